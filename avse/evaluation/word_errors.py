"""Word error rate of a recogniser's output against a reference."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from avse.metrics import Score, not_defined


def normalise(text: str) -> list[str]:
    """Words in lower case, without punctuation (apostrophes in words stay)."""
    plain = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    return re.findall(r"\w+(?:'\w+)*", plain)


def word_error_rate(heard: str, said: str) -> Score:
    """Insertions, deletions and substitutions per reference word; 0 is best.

    Args:
        heard: words in the estimate.
        said: words in the reference.
    """
    hypothesis, truth = normalise(heard), normalise(said)
    if not truth:
        return not_defined("there are no words in the reference")
    return Score(_distance(hypothesis, truth) / len(truth))


def _distance(a: Sequence[str], b: Sequence[str]) -> int:
    """The Levenshtein distance of two lists of words."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]
