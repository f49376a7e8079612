"""Settings of a pack; the command line and the library share these defaults."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from avse.data.splits import SHARE
from avse.errors import UsageError
from avse.prepare.layouts import AUTO, LAYOUTS
from avse.settings import Settings

VERSION = 1
"""Version of the measurements of a clip; increase it when older results become invalid."""


@dataclass(frozen=True)
class PrepareSettings:
    """Settings for finding, measuring, filtering and dividing clips.

    Attributes:
        layout: "auto", or the layout of the folders; see `avse.prepare.layouts`.
        corpus: name of the corpus; None for the layout's name.
        sound_only: whether to use sound only, as for speech without video and for noise.
        faces: face backend, as in `avse.settings.Settings`.
        model: weights whose embeddings are used to estimate the A/V offset.
        min_seconds: shorter clips are dropped.
        max_seconds: longer clips are dropped without reading them; cut them into sentences first.
        min_seen: smallest share of frames with visible lips.
        min_dominance: smallest share of the speaker's face in the face area of all faces, summed
            over time.
        min_eyes_px: smallest median distance between the outer eye corners, in pixels; the lips of
            smaller faces have too few pixels.
        max_clipped: largest share of samples at full scale.
        min_level_db: smallest level of the loud parts, in dB of full scale.
        strictness: above 1, clustering finds more people in unlabelled clips; below 1, fewer.
        test_share: share of people in the split "test".
        valid_share: share of people in the split "valid".
        hold_out: people who are always in the split "test": "PERSON" or "CORPUS/PERSON".
        seed: another value than 0 gives other splits than those of `avse mix`.
        shard_mb: largest size of a shard, in 10⁶ bytes.

    Raises:
        UsageError: a value is invalid.
    """

    layout: str = AUTO
    corpus: str | None = None
    sound_only: bool = False
    faces: str = Settings.faces
    model: str = Settings.model
    min_seconds: float = 0.8
    max_seconds: float = 600.0
    min_seen: float = 0.6
    min_dominance: float = 0.8
    min_eyes_px: float = 12.0
    max_clipped: float = 0.02
    min_level_db: float = -55.0
    strictness: float = 1.0
    test_share: float = SHARE
    valid_share: float = SHARE
    hold_out: tuple[str, ...] = ()
    seed: int = 0
    shard_mb: float = 60.0

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise UsageError(
                f"there is no layout {self.layout!r}", f"choose from: {', '.join(LAYOUTS)}"
            )
        if self.corpus is not None and (not self.corpus.strip() or "/" in self.corpus):
            raise UsageError(
                f"{self.corpus!r} cannot name a corpus", "use letters and digits, such as grid"
            )
        for name, share in (("test", self.test_share), ("valid", self.valid_share)):
            if not 0 <= share <= 1:
                raise UsageError(f"a {name} share of {share:g} is out of range", "choose 0 to 1")
        if self.test_share + self.valid_share > 1:
            raise UsageError(
                f"shares of {self.test_share:g} and {self.valid_share:g} are more than all",
                "test and validation share have to add up to 1 at most",
            )
        if not 1 <= self.shard_mb <= 60:
            raise UsageError(f"shards of {self.shard_mb:g} MB are out of range", "choose 1 to 60")

    def measured(self) -> str:
        """Digest of the settings that measuring a clip depends on, which exclude thresholds."""
        return digest(
            {"version": VERSION, "sound_only": self.sound_only, "faces": self.faces,
             "longest": self.max_seconds}
        )  # fmt: skip


def digest(value: object) -> str:
    """SHA-256 of a JSON value, shortened to 16 hex digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
