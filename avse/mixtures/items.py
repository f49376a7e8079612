"""One mixture of a test set: sources, noise, picture, outputs. See `avse.mixtures.manifest`, which
stores it."""

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
    """The speech of one speaker in a mixture.

    Attributes:
        path: the clip, relative to the folder of clips.
        speaker: name of the speaker.
        start_s: beginning of the excerpt, in seconds from the beginning of the clip, which is the
            first moment with sound and, if the clip has video, a frame.
        gain_db: gain applied to the decoded mono sound.
        sha256: SHA-256 of the clip's file, or None.
        onset_s: position of the excerpt in the mixture, in seconds. Excerpts are equally long, and
            the last one ends with the mixture.
    """

    path: Text
    speaker: Text
    start_s: Start
    gain_db: Gain
    sha256: Digest | None = None
    onset_s: Annotated[float, Meta(ge=0, le=LONGEST_S)] = 0.0


@dataclass(frozen=True)
class Noise:
    """The noise in a mixture; a noise that is too short is looped.

    Attributes:
        path: the file, relative to the folder of noises.
        start_s: beginning of the excerpt, in seconds from the file's first sample.
        gain_db: gain applied to the decoded mono sound.
        sha256: SHA-256 of the file, or None.
    """

    path: Text
    start_s: Start
    gain_db: Gain
    sha256: Digest | None = None


@dataclass(frozen=True)
class Picture:
    """The side-by-side video.

    Attributes:
        fps: frames per second; the first frame is at the first sample.
        frames: number of frames.
        height: height in pixels.
        widths: width of each speaker's part in pixels, left to right, in the order of the sources.
    """

    fps: Annotated[int, Meta(ge=1, le=240)]
    frames: Annotated[int, Meta(ge=1, le=LONGEST_S * 240)]
    height: Width
    widths: Annotated[tuple[Width, ...], Meta(min_length=1, max_length=MOST_VOICES)]

    @property
    def width(self) -> int:
        """Width of the whole picture in pixels."""
        return sum(self.widths)

    def centre(self, number: int) -> float:
        """Centre of a speaker's part, 0 (left) to 1; speakers count from 0."""
        return (sum(self.widths[:number]) + self.widths[number] / 2) / self.width


@dataclass(frozen=True)
class Outputs:
    """The files of an item, relative to the folder of the manifest.

    Attributes:
        mixture: the mixture.
        references: the speech of each source as it is in the mixture, in the order of the sources.
        noise: the noise as it is in the mixture; None without noise.
        video: faces side by side with the mixture as sound; None for sets without pictures.
        activity: reference diarization as RTTM, where person1 is the first source; None if all
            speakers talk at once.
    """

    mixture: str
    references: tuple[str, ...]
    noise: str | None
    video: str | None
    activity: str | None = None

    def paths(self) -> list[str]:
        """All paths that are set."""
        named = [self.mixture, *self.references, self.noise, self.video, self.activity]
        return [path for path in named if path is not None]


@dataclass(frozen=True)
class Item:
    """One mixture.

    Attributes:
        id: name of the item in the set.
        sources: two or more speakers.
        noise: the noise, or None.
        sir_db: signal-to-interference ratio of each source: its power over that of all other
            sources, over the whole item.
        snr_db: power of the sum of the sources over that of the noise; None without noise.
        sample_rate: sample rate of the sound files, in Hz.
        samples: length of the sound files.
        seed: seed of the item's random choices, together with the set's seed.
        picture: the video's layout, or None.
        outputs: the files of the item.
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
        """Position of the excerpt of a source, in units of 1 / rate_hz; sources count from 0."""
        return round(self.sources[number].onset_s * rate_hz)

    def excerpt(self, whole: int, rate_hz: int) -> int:
        """Length of each excerpt in a mixture of length `whole`, in units of 1 / rate_hz."""
        return whole - max(self.onset(n, rate_hz) for n in range(len(self.sources)))
