"""Who is learnt from, who is validated on, who is tested on: one answer, whoever asks.

The name of a person alone decides, so that nobody changes sides when a folder grows, and whoever
`avse prepare` keeps for testing is whom `avse mix --split test` takes.
"""

from __future__ import annotations

import hashlib

TRAIN, VALID, TEST, ALL = "train", "valid", "test", "all"
SPLITS = (TRAIN, VALID, TEST, ALL)

SHARE = 0.1
"""Of all people who are tested on, and again of those who are validated on."""

RULE = "sha256 of the person's name"
"""What packs call it."""


def split_of(
    person: str, *, test_share: float = SHARE, valid_share: float = SHARE, seed: int = 0
) -> str:
    """The split of a person.

    Args:
        person: the name of the person, or of their folder, without that of the corpus.
        test_share: share of people in `TEST`; whoever is in it with a small share is with a larger.
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
