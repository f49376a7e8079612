"""What one mixture of a test set is made of; see `avse.mixtures.manifest`, which stores it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

HIGHEST_RATE_HZ, LONGEST_S, LATEST_S = 192_000, 4 * 3600, 10**6
MOST_VOICES, WIDEST_PX, LOUDEST_DB = 64, 16_384, 400
"""Bounds of what `avse mix` writes and more: a manifest may come from anybody."""

Text = Annotated[str, Meta(min_length=1)]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Whole = Annotated[int, Meta(ge=0)]
Start = Annotated[float, Meta(ge=0, le=LATEST_S)]
Gain = Annotated[float, Meta(ge=-LOUDEST_DB, le=LOUDEST_DB)]
Width = Annotated[int, Meta(ge=1, le=WIDEST_PX)]


@dataclass(frozen=True)
class ItemSource:
    """A voice in a mixture.

    Attributes:
        path: the clip, relative to the folder of clips.
        speaker: who talks; the same name is the same person.
        start_s: where the excerpt begins, in seconds after the clip's own beginning: the first
            moment that has sound and, if the clip has a picture, picture.
        gain_db: gain applied to the decoded mono sound.
        sha256: of the clip's file, or None.
        onset_s: where the excerpt is put in the mixture, in seconds from its beginning. Excerpts
            are equally long, and the latest ends with the mixture.
    """

    path: Text
    speaker: Text
    start_s: Start
    gain_db: Gain
    sha256: Digest | None = None
    onset_s: Annotated[float, Meta(ge=0, le=LONGEST_S)] = 0.0


@dataclass(frozen=True)
class Noise:
    """The noise in a mixture, begun again from its start where it is too short.

    Attributes:
        path: the file, relative to the folder of noises.
        start_s: where the excerpt begins, in seconds after the file's first sample.
        gain_db: gain applied to the decoded mono sound.
        sha256: of the file, or None.
    """

    path: Text
    start_s: Start
    gain_db: Gain
    sha256: Digest | None = None


@dataclass(frozen=True)
class Picture:
    """The side-by-side picture.

    Attributes:
        fps: pictures a second, evenly spaced; the first is at the first sample.
        frames: how many.
        height: in pixels.
        widths: of each person's part in pixels, left to right, in the order of the sources.
    """

    fps: Annotated[int, Meta(ge=1, le=240)]
    frames: Annotated[int, Meta(ge=1, le=LONGEST_S * 240)]
    height: Width
    widths: Annotated[tuple[Width, ...], Meta(min_length=1, max_length=MOST_VOICES)]

    @property
    def width(self) -> int:
        """Of the whole picture in pixels."""
        return sum(self.widths)

    def centre(self, number: int) -> float:
        """Where the middle of a person's part is, 0 (left) to 1; persons count from 0."""
        return (sum(self.widths[:number]) + self.widths[number] / 2) / self.width


@dataclass(frozen=True)
class Outputs:
    """The files of an item, relative to the folder of the manifest.

    Attributes:
        mixture: sound of all.
        references: each voice exactly as it stands in the mixture, in the order of the sources.
        noise: the noise exactly as it stands in the mixture; None without noise.
        video: faces side by side with the mixture as sound; None for sets without pictures.
        activity: who speaks when, as RTTM: person1 is the first source; None where all talk at
            once.
    """

    mixture: str
    references: tuple[str, ...]
    noise: str | None
    video: str | None
    activity: str | None = None

    def paths(self) -> list[str]:
        """All of them."""
        named = [self.mixture, *self.references, self.noise, self.video, self.activity]
        return [path for path in named if path is not None]


@dataclass(frozen=True)
class Item:
    """One mixture.

    Attributes:
        id: its name in the set.
        sources: its voices, two or more people.
        noise: its noise, or None.
        sir_db: of each voice: its power over that of all other voices, over the whole item.
        snr_db: power of all voices together over that of the noise; None without noise.
        sample_rate: of all its sound files.
        samples: their length.
        seed: what its random choices were drawn from, together with the set's seed.
        picture: the video's picture, or None.
        outputs: its files.
    """

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")]
    sources: Annotated[tuple[ItemSource, ...], Meta(min_length=2, max_length=MOST_VOICES)]
    noise: Noise | None
    sir_db: tuple[float, ...]
    snr_db: float | None
    sample_rate: Annotated[int, Meta(ge=1, le=HIGHEST_RATE_HZ)]
    samples: Annotated[int, Meta(ge=1, le=LONGEST_S * HIGHEST_RATE_HZ)]
    seed: Whole
    picture: Picture | None
    outputs: Outputs

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.samples / self.sample_rate

    def onset(self, number: int, rate_hz: int) -> int:
        """Where the excerpt of a source is put, in units of 1 / rate_hz; sources count from 0."""
        return round(self.sources[number].onset_s * rate_hz)

    def excerpt(self, whole: int, rate_hz: int) -> int:
        """How long each excerpt is, if the whole mixture is so long, in units of 1 / rate_hz."""
        return whole - max(self.onset(n, rate_hz) for n in range(len(self.sources)))
