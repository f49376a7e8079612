"""Assign people to the training, validation and test splits, by one rule for all verbs.

The split depends only on the person's name. So it stays the same when a folder grows, and `avse
prepare` and `avse mix --split test` have the same test speakers.
"""

from __future__ import annotations

import hashlib

TRAIN, VALID, TEST, ALL = "train", "valid", "test", "all"
SPLITS = (TRAIN, VALID, TEST, ALL)

SHARE = 0.1
"""Share of people in the test split, and equally in the validation split."""

RULE = "sha256 of the person's name"
"""What packs call it."""


def split_of(
    person: str, *, test_share: float = SHARE, valid_share: float = SHARE, seed: int = 0
) -> str:
    """The split of a person.

    Args:
        person: the name of the person, or of their folder, without that of the corpus.
        test_share: share of people in `TEST`; a larger share keeps the people of a smaller one.
        valid_share: share of people in `VALID`.
        seed: other than 0, it moves people to other splits.
    """
    name = f"{seed}:{person}" if seed else person
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    rest, tenth = divmod(int.from_bytes(digest[:8], "big"), 10)
    place = tenth * 1000 + rest % 1000  # of 10,000
    if place < round(test_share * 10_000):
        return TEST
    return VALID if place < round((test_share + valid_share) * 10_000) else TRAIN
