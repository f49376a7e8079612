"""Pass 1, the picture: what the file holds and who can be seen in it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

from avse.clock import clock, read_clock
from avse.errors import NoAudioError, NoFaceError, NoVideoError, UnknownSpeakerError, UsageError
from avse.faces.detect import FaceBackend, open_backend
from avse.faces.known import name_people
from avse.faces.people import People, Person
from avse.faces.recognition import open_recogniser
from avse.faces.references import describe_references
from avse.faces.track import find_people
from avse.media import AudioStream, Frame, MediaInfo, VideoStream, probe, read_frames
from avse.part import WHOLE, Part, find_part
from avse.people_file import read_people
from avse.settings import Settings

Progress = Callable[[str, float, "float | None"], None]
"""Called with (stage, seconds of the recording done, seconds in all or None if unknown)."""

Speaker: TypeAlias = "int | str | Sequence[int]"
"""A number, several, "all", a point in time and picture ("@12.5s:0.31,0.40"), or names and numbers
with commas between them: "anna,3"."""

_NUMBER = re.compile(r"-?\d{1,9}(?:\.\d{1,12})?|-?\.\d{1,12}", re.ASCII)


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
            first sample of the sound that is worked on, so that lips and sound share one time line.
        part: what of the recording is worked on.
    """

    info: MediaInfo
    video: VideoStream
    audio: AudioStream | None
    people: People
    origin: Fraction
    part: Part = WHOLE

    @property
    def length_s(self) -> float | None:
        """Seconds of the part that is worked on; None where the file does not say."""
        length = self.part.length(self.info.start, self.info.duration)
        return None if length is None else float(length)

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
            time = seconds + self.info.start
            if not self.part.holds(time):
                raise UnknownSpeakerError(
                    f"{self.info.path.name}: {clock(seconds, None)} lies outside of the part that "
                    "is worked on",
                    "choose a time from --start to --end",
                )
            person = self.people.at(time - self.origin, x, y)
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
    """Read a point in time and picture, such as "@12.5s:0.31,0.40" or "@1:02:03.5:0.31,0.40".

    Returns:
        Seconds from the beginning of the file, and 0..1 from the left and from the top.

    Raises:
        UsageError: it is none; the message says what is wrong with it.
    """
    text = text.strip()
    if not text.startswith("@"):
        raise UsageError(
            f"{text!r} names no speaker",
            'give a number, "all", or a point such as @12.5s:0.31,0.40; names need --people',
        )
    time, colon, place = text[1:].rpartition(":")
    numbers = place.split(",")
    if not colon or len(numbers) != 2:
        raise _bad_point(f"{text!r} is not a point: it needs a time and two numbers")
    for number, name, side in zip(numbers, ("first", "second"), ("width", "height"), strict=True):
        about = f"{place}: the {name} number is a share of the {side} and must lie in 0 to 1"
        if not _NUMBER.fullmatch(number.strip()) or not 0 <= float(number) <= 1:
            raise _bad_point(about)
    seconds = read_clock(time)
    if seconds < 0:
        raise _bad_point(f"{time}: the time counts from the beginning and cannot be negative")
    return seconds, float(numbers[0]), float(numbers[1])


def _bad_point(what: str) -> UsageError:
    return UsageError(
        what,
        "give a number, or @TIME:X,Y such as @12.5s:0.31,0.40 or @1:02:03.5:0.31,0.40: X from the "
        "left, Y from the top, as shares of the picture",
    )


def choose_tracks(
    info: MediaInfo, track: int, *, need_audio: bool = True
) -> tuple[VideoStream, AudioStream | None]:
    """The picture and the sound track of a file that are to be worked on.

    Args:
        info: what the file holds.
        track: which sound track.
        need_audio: whether to refuse a file without it.

    Raises:
        NoVideoError: there is no moving picture.
        NoAudioError: there is no such sound track, and `need_audio`.
    """
    name = info.path.name
    if info.video is None:
        raise NoVideoError(
            f"{name}: there is no moving picture to point at",
            "avse needs the video; for sound alone use an audio-only tool",
        )
    if track < len(info.audio):
        return info.video, info.audio[track]
    if need_audio and not info.audio:
        raise NoAudioError(f"{name}: there is no sound track", "check the file with `avse inspect`")
    if need_audio:
        last = len(info.audio) - 1
        raise NoAudioError(f"{name}: there is no sound track {track}", f"choose 0 to {last}")
    return info.video, None


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
        UsageError: the part asked for does not lie in the recording.
        MissingExtraError: people are to be known by their faces, without `avse[identity]`.
    """
    info = probe(path)
    video, audio = choose_tracks(info, settings.track, need_audio=need_audio)
    known = read_people(Path(settings.people).expanduser()) if settings.people else []
    recogniser = open_recogniser()
    part = find_part(info, settings)
    begin, length = part.begin(info.start), part.length(info.start, info.duration)
    total = None if length is None else float(length)
    origin = begin if audio is None else part.begin(audio.start)
    if audio is not None and part.length(audio.start, audio.duration) == 0 and not part.is_whole:
        raise UsageError(
            f"{info.path.name}: the sound track has nothing in the part from "
            f"{clock(begin - info.start, None)} on",
            "choose another --start and --end, or another --track",
        )
    if backend is None:
        backend = open_backend(settings.faces, device=pick_device(settings.device))
    known = describe_references(known, backend, recogniser)
    longer = max(video.width, video.height)
    frames = read_frames(path, max_side=settings.face_side, start=part.start, stop=part.stop)
    people = find_people(
        _relative(frames, origin),
        backend,
        scale=max(1.0, longer / settings.face_side),
        recogniser=recogniser,
        progress=lambda time: progress("faces", float(time + origin - begin), total),
    )
    if not len(people):
        raise NoFaceError(
            f"{info.path.name}: no face was found in the picture",
            "faces must be in sight for more than half a second and wider than about 25 pixels",
        )
    if known:
        people = name_people(people, known)
    return Scene(info, video, audio, people, origin, part)


def _relative(frames: Iterator[Frame], origin: Fraction) -> Iterator[Frame]:
    for frame in frames:
        yield Frame(frame.time - origin, frame.image)


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
