"""Published splits of GRID; `avse.data.splits` divides any other folder.

The GRID corpus (Cooke, Barker, Cunningham, Shao 2006) has 34 talkers; number 21 has no video.
"""

from __future__ import annotations

from dataclasses import dataclass

from avse.data.splits import ALL, TEST, TRAIN, VALID

ANY, LIST = "any", "list"
GRID_TALKERS = frozenset(range(1, 35))


@dataclass(frozen=True)
class GridProtocol:
    """A published use of GRID.

    Attributes:
        valid: talker numbers of the validation split.
        test: talker numbers of the test split; the others are in train.
        sir_db: range of the level of the first speaker over another, in dB.
    """

    valid: frozenset[int]
    test: frozenset[int]
    sir_db: tuple[float, float]

    def talkers(self, split: str) -> frozenset[int]:
        """Talker numbers of a split."""
        train = GRID_TALKERS - self.valid - self.test
        return {TRAIN: train, VALID: self.valid, TEST: self.test, ALL: GRID_TALKERS}[split]


GRID_PROTOCOLS = {
    "casia-grid": GridProtocol(
        valid=frozenset({1, 4, 11, 25, 27, 30}),
        test=frozenset({6, 12, 16, 17, 18, 23}),
        sir_db=(-5.0, 5.0),
    ),
    # Morrone et al. 2019, arXiv:1811.02480.
    "morrone-grid": GridProtocol(
        valid=frozenset({26, 27, 29, 31}),
        test=frozenset({30, 32, 33, 34}),
        sir_db=(0.0, 0.0),
    ),
}
PROTOCOLS = (*GRID_PROTOCOLS, ANY, LIST)
