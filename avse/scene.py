"""Pass 1, the picture: what the file holds and who can be seen in it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

from avse.errors import NoAudioError, NoFaceError, NoVideoError, UnknownSpeakerError, UsageError
from avse.faces.detect import FaceBackend, open_backend
from avse.faces.known import name_people
from avse.faces.people import People, Person
from avse.faces.recognition import open_recogniser
from avse.faces.references import describe_references
from avse.faces.track import FaceSettings, find_people
from avse.media import AudioStream, Frame, MediaInfo, VideoStream, probe, read_frames
from avse.media.probe import undecodable
from avse.people_file import read_people
from avse.settings import Settings

Progress = Callable[[str, float, "float | None"], None]
"""Called with (stage, seconds of the recording done, seconds in all or None if unknown)."""

Speaker: TypeAlias = "int | str | Sequence[int]"
"""A number, several, "all", a point in time and picture ("@12.5s:0.31,0.40"), or names and numbers
with commas between them: "anna,3"."""

_FEWEST_HZ = 1
"""Pictures a second below which faces are lost from one picture to the next."""

_POINT = re.compile(r"@(?P<t>\d+(?:\.\d+)?)s?:(?P<x>[01](?:\.\d+)?),(?P<y>[01](?:\.\d+)?)")


def no_progress(stage: str, done_s: float, total_s: float | None) -> None:
    """A hook that does nothing."""


@dataclass(frozen=True)
class Scene:
    """A recording and the people in it.

    Attributes:
        info: what the file holds.
        video: the picture.
        audio: the chosen sound track, None if the file has none and none was required.
        people: in order of their numbers. Their times count from `origin`.
        origin: the instant, on the container's clock, that people's times are relative to: the
            first sample of the sound track, so that lips and sound share one time line.
    """

    info: MediaInfo
    video: VideoStream
    audio: AudioStream | None
    people: People
    origin: Fraction

    @property
    def picture(self) -> int:
        """Which picture of the file it is, as `FrameReader` counts them."""
        return [one.index for one in self.info.videos].index(self.video.index)

    def playing_time(self, time: Fraction) -> float:
        """Seconds from the beginning of the file, as a player shows them."""
        return float(time + self.origin - self.info.start)

    def choose(self, speaker: Speaker) -> list[Person]:
        """The people asked for, in order of their numbers.

        Raises:
            UnknownSpeakerError: nobody has that number or name, or nobody is at that point.
            UsageError: not a way to name a speaker.
        """
        valid = self._valid()
        if isinstance(speaker, str):
            text = speaker.strip()
            if text == "all":
                return list(self.people)
            if text.isdecimal():
                return self.choose(int(text))
            if not text.startswith("@"):
                return self.choose([self._number_of(part.strip()) for part in text.split(",")])
            seconds, x, y = read_point(text)
            person = self.people.at(seconds + self.info.start - self.origin, x, y)
            if person is None:
                raise UnknownSpeakerError(
                    f"{self.info.path.name}: no face at {speaker}",
                    f"run `avse inspect` to see who is where; people: {valid}",
                )
            return [person]
        numbers = [speaker] if isinstance(speaker, int) else sorted(set(speaker))
        chosen = [self.people.numbered(n) for n in numbers]
        missing = [n for n, person in zip(numbers, chosen, strict=True) if person is None]
        if missing or not chosen:
            asked = ", ".join(map(str, missing)) or "nobody"
            raise UnknownSpeakerError(
                f"{self.info.path.name}: there is no speaker {asked}", f"choose from: {valid}"
            )
        return [person for person in chosen if person is not None]

    def _number_of(self, text: str) -> int:
        if text.isdecimal():
            return int(text)
        person = self.people.named(text)
        if person is None:
            raise UnknownSpeakerError(
                f"{self.info.path.name}: {text!r} is not in the picture, or was not recognised",
                f"choose from: {self._valid()}",
            )
        return person.number

    def _valid(self) -> str:
        """Numbers, and names in brackets."""
        return ", ".join(f"{p.number} ({p.name})" if p.name else f"{p.number}" for p in self.people)


def read_point(text: str) -> tuple[Fraction, float, float]:
    """Read a point in time and picture, such as "@12.5s:0.31,0.40".

    Returns:
        Seconds from the beginning of the file, and 0..1 from the left and from the top.

    Raises:
        UsageError: it is none.
    """
    point = _POINT.fullmatch(text.strip())
    if point is None or float(point["x"]) > 1 or float(point["y"]) > 1:
        raise UsageError(
            f"{text!r} names no speaker",
            'give a number, "all", or a point such as @12.5s:0.31,0.40 (seconds, then 0 to 1 from '
            "the left and from the top); names need --people",
        )
    return Fraction(point["t"]), float(point["x"]), float(point["y"])


def choose_tracks(
    info: MediaInfo, track: int, picture: int = 0, *, need_audio: bool = True
) -> tuple[VideoStream, AudioStream | None]:
    """The picture and the sound track of a file that are to be worked on.

    Args:
        info: what the file holds.
        track: which sound track.
        picture: which moving picture.
        need_audio: whether to refuse a file without it.

    Raises:
        NoVideoError: there is no such moving picture.
        NoAudioError: there is no such sound track, and `need_audio`.
    """
    name = info.path.name
    if not info.videos:
        unknown = undecodable(info, ("picture",))
        raise NoVideoError(
            f"{name}: there is no moving picture to point at" + (unknown and f": {unknown}"),
            "convert it to H.264 first"
            if unknown
            else "avse needs the video; for sound alone use an audio-only tool",
        )
    if picture >= len(info.videos):
        last = len(info.videos) - 1
        raise NoVideoError(f"{name}: there is no picture {picture}", _numbers_up_to(last))
    if track < len(info.audio):
        return info.videos[picture], info.audio[track]
    if need_audio and not info.audio:
        unknown = undecodable(info, ("sound",))
        raise NoAudioError(
            f"{name}: there is no sound track" + (unknown and f" that can be decoded: {unknown}"),
            "convert it to AAC first" if unknown else "check the file with `avse inspect`",
        )
    if need_audio:
        last = len(info.audio) - 1
        raise NoAudioError(f"{name}: there is no sound track {track}", _numbers_up_to(last))
    return info.videos[picture], None


def _numbers_up_to(last: int) -> str:
    return f"choose 0 to {last}" if last else "it has one, number 0"


def look(
    path: str | os.PathLike[str],
    settings: Settings,
    *,
    progress: Progress = no_progress,
    need_audio: bool = True,
    backend: FaceBackend | None = None,
) -> Scene:
    """Find the people in a recording.

    Args:
        path: the recording.
        settings: see `Settings`.
        progress: see `Progress`.
        need_audio: whether a recording without sound is refused.
        backend: who finds faces, if it is open already; else the one that the settings name.

    Raises:
        MediaError: the file cannot be read.
        NoVideoError: it has no moving picture.
        NoAudioError: it has no such sound track, and `need_audio`.
        NoFaceError: no face was found.
        InputError, UsageError: the file of people, or a reference in it, is of no use.
        MissingExtraError: people are to be known by their faces, without `avse[identity]`.
    """
    info = probe(path)
    video, audio = choose_tracks(info, settings.track, settings.picture, need_audio=need_audio)
    known = read_people(Path(settings.people).expanduser()) if settings.people else []
    recogniser = open_recogniser()
    origin = audio.start if audio is not None else info.start
    if backend is None:
        backend = open_backend(settings.faces, device=pick_device(settings.device))
    known = describe_references(known, backend, recogniser)
    total = float(info.duration) if info.duration is not None else None
    longer = max(video.width, video.height)
    pictures = _Pictures(
        read_frames(path, picture=settings.picture, max_side=settings.face_side), origin
    )
    people = find_people(
        pictures,
        backend,
        scale=max(1.0, longer / settings.face_side),
        recogniser=recogniser,
        progress=lambda time: progress("faces", float(time + origin - info.start), total),
    )
    if not len(people):
        pictures.check_enough(info.path.name)
        raise NoFaceError(
            f"{info.path.name}: no face was found in the picture",
            "faces must be in sight for more than half a second and wider than about 25 pixels",
        )
    return Scene(info, video, audio, name_people(people, known) if known else people, origin)


class _Pictures:
    """Frames whose times count from an instant; knows afterwards how many there were."""

    def __init__(self, frames: Iterator[Frame], origin: Fraction) -> None:
        self._frames, self._origin = frames, origin
        self._count = 0
        self._first = self._last = Fraction(0)

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._frames:
            self._first = self._first if self._count else frame.time
            self._last = frame.time
            self._count += 1
            yield Frame(frame.time - self._origin, frame.image)

    def check_enough(self, name: str) -> None:
        """Refuse what is too little to find anybody in, which is not the same as nobody.

        Raises:
            NoFaceError: there are too few pictures, or they last too short.
        """
        least_s = FaceSettings.min_seconds
        length_s = float(self._last - self._first)
        if not self._count:
            raise NoFaceError(
                f"{name}: none of its pictures can be decoded", "copy or download the file again"
            )
        if length_s < least_s:
            raise NoFaceError(
                f"{name}: the picture is too short to find a face in ({length_s:.1f} s)",
                f"a face must be in sight for {least_s:g} s",
            )
        if self._count < length_s * _FEWEST_HZ:
            raise NoFaceError(
                f"{name}: there are too few pictures to follow a face: {self._count} in "
                f"{length_s:.1f} s",
                "lips can be read from about 10 pictures a second on; 25 are good",
            )


def pick_device(name: str) -> str:
    """Turn "auto" into a device that is there.

    Raises:
        UsageError: not a device, or one that this machine has not.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"the device {name!r} cannot be used: {str(error).splitlines()[0]}",
            "use --device auto, cpu, cuda, cuda:N or mps; `avse doctor` lists what is here",
        ) from error
    return name
