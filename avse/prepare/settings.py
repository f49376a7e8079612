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
"""Of what is measured in a clip; raised when old results are no good any more."""


@dataclass(frozen=True)
class PrepareSettings:
    """How clips are found, measured, kept and divided.

    Attributes:
        layout: "auto", or how the folders are laid out; see `avse.prepare.layouts`.
        corpus: what the clips count towards; None for the layout's own name.
        sound_only: whether there are no pictures, as for speech without video and noise.
        faces: face backend, as in `avse.settings.Settings`.
        model: weights whose embeddings tell how far sound and picture are apart.
        min_seconds: a shorter clip is dropped.
        max_seconds: a longer clip is dropped unread: it belongs cut into sentences.
        min_seen: share of frames in which the lips must be in sight.
        min_dominance: of several faces, one must have this share of the face area, summed over
            time, to be taken for the speaker.
        min_eyes_px: median distance between the outer eye corners; lips of smaller faces are a
            handful of pixels.
        max_clipped: share of samples at full scale.
        min_level_db: level of the loud parts, in dB of full scale, below which there is silence.
        strictness: above 1, unlabelled people are told apart more readily; below, less.
        test_share: share of people who are kept for testing.
        valid_share: share of people who are kept for validation.
        hold_out: people who are in test whatever their name: "PERSON" or "CORPUS/PERSON".
        seed: moves people to other splits than those of `avse mix`.
        shard_mb: size of a shard at most, in 10⁶ bytes.

    Raises:
        UsageError: a choice that makes no sense.
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
        """Digest of what measuring a clip depends on; thresholds are applied afterwards."""
        return digest(
            {"version": VERSION, "sound_only": self.sound_only, "faces": self.faces,
             "longest": self.max_seconds}
        )  # fmt: skip


def digest(value: object) -> str:
    """SHA-256 of a JSON value, shortened to 16 digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
