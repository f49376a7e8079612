"""Settings of a test set; command line and library share the defaults."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

from avse.data.splits import SPLITS
from avse.errors import UsageError
from avse.mixtures.protocols import ANY, GRID_PROTOCOLS, LIST, PROTOCOLS

Range = tuple[float, float]
"""Lowest and highest value in dB."""

MOST_SPEAKERS = 4
DEFAULT_COUNT = 100
FPS = 25


@dataclass(frozen=True)
class SetSettings:
    """Settings of a test set.

    Attributes:
        protocol: splits and levels: "casia-grid", "morrone-grid", "any" (any folder, split by
            speaker) or "list" (a file lists the mixtures).
        split: "train", "valid", "test" or "all"; None for the protocol's default: "test" for
            GRID protocols and for lists with splits, else "all".
        speakers: speakers in a mixture, 2 to 4; None for 2. Lists have their own number.
        count: number of mixtures; None for 100, or all mixtures of a list.
        sir_db: range of the level of the first speaker over each other speaker; None for the
            protocol's: 0 dB for "morrone-grid", -5 to 5 dB otherwise. Lists have their own.
        snr_db: range of the level of all speakers over the noise.
        seconds: maximal length of an item; None for the length of its shortest clip.
        height: height of the video in pixels, even; None for that of the smallest clip of each
            item.
        sample_rate: sample rate in Hz, a multiple of 25.
        video: whether to make videos.
        turns: None if all speakers talk at once. Else they take turns, in random order: each begins
            when the one before has this share, 0 to 1, of its excerpt left. Before and after
            its turn, a speaker's picture stands still.
        seed: of all random choices.

    Raises:
        UsageError: a setting is invalid.
    """

    protocol: str = ANY
    split: str | None = None
    speakers: int | None = None
    count: int | None = None
    sir_db: Range | None = None
    snr_db: Range = (0.0, 15.0)
    seconds: float | None = None
    height: int | None = None
    sample_rate: int = 16_000
    video: bool = True
    turns: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _one_of("protocol", self.protocol, PROTOCOLS)
        if self.split is not None:
            _one_of("split", self.split, SPLITS)
        if self.speakers is not None and not 2 <= self.speakers <= MOST_SPEAKERS:
            raise UsageError(f"{self.speakers} speakers are out of range", "choose 2, 3 or 4")
        if self.count is not None and self.count < 1:
            raise UsageError(f"a count of {self.count} is out of range", "choose 1 or more")
        for name, levels in (("SIR", self.sir_db), ("SNR", self.snr_db)):
            if levels is not None and not _is_range(levels):
                raise UsageError(
                    f"the {name} {levels[0]:g}..{levels[1]:g} dB is not a range",
                    "write the lower end first, such as -5..5; at most 60 dB either way",
                )
        if self.seconds is not None and not 0.04 <= self.seconds <= 3600:
            raise UsageError(
                f"{self.seconds:g} seconds are out of range", "choose 0.04 to 3600 seconds"
            )
        if self.height is not None and (self.height % 2 or not 16 <= self.height <= 4320):
            raise UsageError(
                f"a height of {self.height} is out of range", "choose an even one, 16 to 4320"
            )
        if self.sample_rate % FPS or not 8000 <= self.sample_rate <= 192_000:
            raise UsageError(
                f"a sample rate of {self.sample_rate} Hz is out of range",
                f"choose a multiple of {FPS} from 8000 to 192000",
            )
        if self.turns is not None and not 0 <= self.turns <= 1:
            raise UsageError(
                f"turns that overlap by a share of {self.turns:g} are out of range",
                "choose 0 (one after the other) to 1 (all at once)",
            )
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"a seed of {self.seed} is out of range", "choose 0 or more")
        if self.protocol == LIST and (self.speakers is not None or self.sir_db is not None):
            raise UsageError(
                "a list says itself how many speak and at which levels",
                "leave --speakers and --sir out",
            )

    @property
    def voices(self) -> int:
        """Number of speakers in a drawn mixture."""
        return 2 if self.speakers is None else self.speakers

    @property
    def levels_db(self) -> Range:
        """Range of levels in dB."""
        if self.sir_db is not None:
            return self.sir_db
        grid = GRID_PROTOCOLS.get(self.protocol)
        return (-5.0, 5.0) if grid is None else grid.sir_db

    @property
    def samples_per_frame(self) -> int:
        """Samples per frame."""
        return self.sample_rate // FPS

    def record(self, *, noise: bool) -> dict[str, Any]:
        """Convert the settings to the JSON values in a manifest.

        Args:
            noise: whether the set has noise.
        """
        drawn = self.protocol != LIST
        # Sets without turns keep the settings, and so the hash, that they always had.
        turns = {} if self.turns is None else {"turns": float(self.turns)}
        return {
            **turns,
            "speakers": self.voices if drawn else None,
            "count": DEFAULT_COUNT if drawn and self.count is None else self.count,
            "sir_db": list(map(float, self.levels_db)) if drawn else None,
            "snr_db": list(map(float, self.snr_db)) if noise else None,
            "seconds": self.seconds,
            "sample_rate": self.sample_rate,
            "fps": FPS if self.video else None,
            "height": self.height,
        }


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"there is no {name} {value!r}", f"choose from: {', '.join(known)}")


def _is_range(levels: Range) -> bool:
    low, high = levels
    return isfinite(low) and isfinite(high) and -60 <= low <= high <= 60
