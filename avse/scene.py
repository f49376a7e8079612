"""Pass 1, the picture: what the file holds and who can be seen in it."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import numpy as np

from avse.errors import NoAudioError, NoFaceError, NoVideoError, UnknownSpeakerError, UsageError
from avse.faces.detect import FaceBackend, open_backend
from avse.faces.known import name_people
from avse.faces.people import People, Person, joined
from avse.faces.recognition import open_recogniser
from avse.faces.references import describe_references
from avse.faces.track import Frame as PictureAt
from avse.faces.track import find_people
from avse.faces.turning import Samples, find_turn, turn_back, turn_frames
from avse.media import AudioStream, Frame, MediaInfo, VideoStream, probe, read_frames
from avse.people_file import read_people
from avse.settings import Settings

Progress = Callable[[str, float, "float | None"], None]
"""Called with (stage, seconds of the recording done, seconds in all or None if unknown)."""

Speaker: TypeAlias = "int | str | Sequence[int]"
"""A number, several, "all", a point in time and picture ("@12.5s:0.31,0.40"), or names and numbers
with commas between them: "anna,3"."""

_POINT = re.compile(r"@(?P<t>\d+(?:\.\d+)?)s?:(?P<x>[01](?:\.\d+)?),(?P<y>[01](?:\.\d+)?)")


SLOW_HZ, TOO_SLOW_HZ = 10.0, 6.0
"""Pictures a second below which lips are read badly, and not at all. The example's voices gain
1.5 dB of SI-SDR at 25 pictures a second, 1.2 at 12.5, 0.2 at 8, and lose 1 or more at 6."""


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
        turned: by how many quarters, counter-clockwise, the picture had to be turned to show
            faces upright; boxes are those of the picture as it is.
    """

    info: MediaInfo
    video: VideoStream
    audio: AudioStream | None
    people: People
    origin: Fraction
    turned: int = 0

    @property
    def notes(self) -> list[str]:
        """What the user should know about the picture, in words."""
        notes = []
        if self.turned:
            way = ("counter-clockwise", "upside down", "clockwise")[self.turned - 1]
            how = way if self.turned == 2 else f"turned by 90 degrees {way}"
            notes.append(f"the picture is not upright: faces were found with it {how}")
        still = [str(person.number) for person in self.people if person.still]
        if still:
            who = f"person {still[0]} is a" if len(still) == 1 else f"people {', '.join(still)} are"
            what = "still picture" if len(still) == 1 else "still pictures"
            notes.append(f"{who} {what}, and silent: nothing in the face moves by itself")
        if self.doubt:
            notes.append(
                f"only {self.rate_hz:.2g} pictures a second: below {SLOW_HZ:g} lips are read badly,"
                " so voices stay near the mixture, and who speaks is a guess"
            )
        return notes

    @property
    def rate_hz(self) -> float:
        """How many pictures a second show a face, at the usual pace; infinite if none do."""
        steps = [np.diff(person.times) for person in self.people if len(person.times) > 1]
        return 1 / float(np.median(np.concatenate(steps))) if steps else float("inf")

    @property
    def doubt(self) -> float:
        """Share, 0..1, in which voices are the mixture, as pictures follow too slowly for lips."""
        return float(np.clip((SLOW_HZ - self.rate_hz) / (SLOW_HZ - TOO_SLOW_HZ), 0.0, 1.0))

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
            return [self._at(*read_point(text))]
        numbers = [speaker] if isinstance(speaker, int) else sorted(set(speaker))
        chosen = [self.people.numbered(n) for n in numbers]
        missing = [n for n, person in zip(numbers, chosen, strict=True) if person is None]
        if missing or not chosen:
            asked = ", ".join(map(str, missing)) or "nobody"
            raise UnknownSpeakerError(
                f"{self.info.path.name}: there is no speaker {asked}", f"choose from: {valid}"
            )
        return list({person.number: person for person in chosen if person is not None}.values())

    def _at(self, seconds: Fraction, x: float, y: float) -> Person:
        """Who is at a point of the picture.

        Raises:
            UnknownSpeakerError: nobody is.
        """
        time = float(seconds + self.info.start - self.origin)
        person = self.people.at(time, x, y)
        if person is not None:
            return person
        name, last = self.info.path.name, self.info.duration
        if last is not None and seconds > last:
            raise UnknownSpeakerError(
                f"{name}: ends at {float(last):.1f} s, before {float(seconds):g} s",
                f"choose an earlier time, or one of the people: {self._valid()}",
            )
        boxes = [(person, person.box_at(time)) for person in self.people]
        there = [(p, b[0] + b[2] / 2, b[1] + b[3] / 2) for p, b in boxes if b is not None]
        if not there:
            when = [(float(np.abs(p.times - time).min()), p) for p in self.people]
            apart, nearest = min(when, key=lambda pair: pair[0])
            raise UnknownSpeakerError(
                f"{name}: nobody is in sight at {float(seconds):g} s",
                f"the nearest in time is person {nearest.number}, {apart:.1f} s away; "
                f"people: {self._valid()}",
            )
        there.sort(key=lambda place: abs(place[1] - x) + abs(place[2] - y))
        places = ", ".join(f"{p.number} at {u:.2f},{v:.2f}" for p, u, v in there[:4])
        raise UnknownSpeakerError(
            f"{name}: nobody is at {x:g},{y:g} of the picture at {float(seconds):g} s",
            f"in sight then: person {places}; people: {self._valid()}",
        )

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
        MissingExtraError: people are to be known by their faces, without `avse[identity]`.
    """
    info = probe(path)
    video, audio = choose_tracks(info, settings.track, need_audio=need_audio)
    known = read_people(Path(settings.people).expanduser()) if settings.people else []
    recogniser = open_recogniser()
    origin = audio.start if audio is not None else info.start
    if backend is None:
        backend = open_backend(settings.faces, device=pick_device(settings.device))
    known = describe_references(known, backend, recogniser)
    total = float(info.duration) if info.duration is not None else None
    longer = max(video.width, video.height)

    def frames() -> Iterator[Frame]:
        return _relative(read_frames(path, max_side=settings.face_side), origin)

    def find(pictures: Iterator[PictureAt]) -> People:
        return find_people(
            pictures,
            backend,
            scale=max(1.0, longer / settings.face_side),
            recogniser=recogniser,
            progress=lambda time: progress("faces", float(time + origin - info.start), total),
        )

    samples = Samples()
    people, turned = find(samples.watch(frames())), 0
    if not len(people):
        turned = find_turn(samples.images, backend)
    if turned:
        people = turn_back(find(turn_frames(frames(), turned)), turned)
    if not len(people):
        raise NoFaceError(
            f"{info.path.name}: no face was found in the picture, whichever way up",
            _too_small(video, settings.face_side),
        )
    people = _one_each(info.path.name, people, settings)
    return Scene(
        info, video, audio, name_people(people, known) if known else people, origin, turned
    )


_SMALLEST_PX, _SQUARE_PX = 40, 440
"""Width of the smallest face that is found for certain, in a square of so many pixels in which
the default backend looks closely; see `avse.faces.closer`."""


def _too_small(video: VideoStream, side: int) -> str:
    """What a face must be like to be found."""
    longer = max(video.width, video.height)
    width = round(_SMALLEST_PX * max(1.0, longer / side) * min(1.0, longer / _SQUARE_PX))
    return (
        f"faces must be in sight for more than half a second, look towards the camera and be wider "
        f"than about {width} pixels of {video.width}x{video.height}"
    )


def _one_each(name: str, people: People, settings: Settings) -> People:
    """With those joined whom the user knows to be one, and without a voice for still pictures."""
    silent = tuple(person.silenced() if person.still else person for person in people)
    people = dataclasses.replace(people, persons=silent)
    try:
        return joined(people, settings.same)
    except KeyError as error:
        numbers = ", ".join(str(person.number) for person in people)
        raise UnknownSpeakerError(
            f"{name}: there is no person {error.args[0]} to join to another",
            f"--same takes numbers that `avse inspect` shows: {numbers}",
        ) from None


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
