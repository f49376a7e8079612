"""Pass 1: probe the file and find the people in the picture."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from avse.errors import NoAudioError, NoFaceError, NoVideoError, UnknownSpeakerError, UsageError
from avse.faces.detect import FaceBackend, backend_version, open_backend
from avse.faces.face_settings import Hint
from avse.faces.known import name_people
from avse.faces.people import People, Person, joined
from avse.faces.people_file import Known, read_people
from avse.faces.references import describe_references
from avse.media import (
    AudioReader,
    AudioStream,
    MediaInfo,
    VideoStream,
    find_splices,
    probe,
)
from avse.media.probe import undecodable
from avse.models.device import pick_device
from avse.scene.cache import FileCache, open_file_cache
from avse.scene.corrections import (
    NOTHING,
    Corrections,
    apply_corrections,
    corrections_of,
    keep_names,
)
from avse.scene.face_analysis import (
    FaceAnalysis,
    Tools,
    faces_in_cache,
    find_faces,
    keep_faces,
)
from avse.scene.part import WHOLE, Part, find_part
from avse.scene.speakers import Speaker, Speakers
from avse.settings import Settings
from avse.utils.clock import clock
from avse.utils.paths import user_path
from avse.utils.progress import Progress, no_progress

if TYPE_CHECKING:
    from avse.inference.sound import FileSound

SLOW_HZ, TOO_SLOW_HZ = 10.0, 6.0
"""Frame rates below which lips are unreliable, and useless. The voices of the example gain 1.5 dB
of
SI-SDR at 25 frames per second, 1.2 at 12.5, 0.2 at 8, and lose 1 or more at 6."""


@dataclass(frozen=True)
class Scene:
    """A recording and the people in it.

    Attributes:
        info: streams of the file.
        video: the video stream.
        audio: the chosen sound track; None if the file has none and none was required.
        people: the people, in order of their numbers; their times are relative to `origin`.
        origin: zero of the people's times on the container's clock: the first sample of the
            processed sound, so that lips and sound share one time line.
        about_file: messages to the user about the file: tracks, clock, corrections.
        turned: rotation, in counter-clockwise quarter turns, in which faces are upright; boxes
            refer to the picture as it is.
        part: the processed part of the recording.
        kept: the cache of the recording, or None.
        offset_ms: the A/V offset that the user has set (positive: the sound is late), or None.

    Examples:
        >>> import avse
        >>> scene = avse.look("talk.mp4", avse.Settings())
        >>> [(person.number, round(person.seconds_on_screen, 1)) for person in scene.people]
        [(1, 6.4), (2, 6.4)]
        >>> [person.number for person in scene.choose("@2.5s:0.75,0.50")]
        [2]
    """

    info: MediaInfo
    video: VideoStream
    audio: AudioStream | None
    people: People
    origin: Fraction
    about_file: tuple[str, ...] = ()
    turned: int = 0
    part: Part = WHOLE
    kept: FileCache | None = field(default=None, repr=False)
    offset_ms: float | None = None

    @property
    def notes(self) -> list[str]:
        """Messages to the user about the recording."""
        notes = list(self.about_file)
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
        """Median rate of frames that show a face, in Hz; infinite if there are none."""
        steps = [np.diff(person.times) for person in self.people if len(person.times) > 1]
        return 1 / float(np.median(np.concatenate(steps))) if steps else float("inf")

    @property
    def doubt(self) -> float:
        """Share, 0..1, of the mixture in the voices, because the frame rate is too low for lips."""
        return float(np.clip((SLOW_HZ - self.rate_hz) / (SLOW_HZ - TOO_SLOW_HZ), 0.0, 1.0))

    @property
    def track(self) -> int | None:
        """Index of the sound track, as in `AudioReader`."""
        wanted = None if self.audio is None else self.audio.index
        return next((n for n, one in enumerate(self.info.audio) if one.index == wanted), None)

    @property
    def picture(self) -> int:
        """Index of the video stream, as in `FrameReader`."""
        return [one.index for one in self.info.videos].index(self.video.index)

    @property
    def length_s(self) -> float | None:
        """Length of the processed part in seconds; None if unknown."""
        length = self.part.length(self.info.start, self.info.duration)
        return None if length is None else float(length)

    @property
    def sound(self) -> FileSound:
        """The sound to process.

        Raises:
            NoAudioError: the recording has no sound.
        """
        from avse.inference.sound import FileSound

        if self.audio is None:
            raise NoAudioError(
                f"{self.info.path.name}: there is no sound track", "give a recording with sound"
            )
        return FileSound(
            self.info.path,
            self.track,
            self.audio.sample_rate,
            self.audio.channels,
            self.origin,
            self.part.start,
            self.part.stop,
            self.part.length(self.audio.start, self.audio.duration or self.info.duration),
        )

    def playing_time(self, time: Fraction) -> float:
        """Playing time in seconds, as players show it."""
        return float(time + self.origin - self.info.start)

    def choose(self, speaker: Speaker) -> list[Person]:
        """Find the chosen people, in order of their numbers.

        Raises:
            UnknownSpeakerError: nobody has that number or name, or is at that point.
            UsageError: the text does not name a speaker.
        """
        return Speakers.read(speaker).resolve(self)


def choose_tracks(
    info: MediaInfo, track: int | None, picture: int = 0, *, need_audio: bool = True
) -> tuple[VideoStream, AudioStream | None]:
    """Choose the video stream and the sound track of a file.

    Args:
        info: streams of the file.
        track: index of the sound track; None for the default track.
        picture: index of the video stream.
        need_audio: whether to refuse a file without sound.

    Raises:
        NoVideoError: the video stream does not exist.
        NoAudioError: the sound track does not exist, and `need_audio` is set.
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
    track = info.default_track if track is None else track
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


@dataclass(frozen=True)
class Examined:
    """The contents of a file, before face detection.

    Attributes:
        info: streams of the file, in playing times.
        video, audio: the streams to process.
        notes: messages to the user about them.
        known: the people in the file of people, if the settings name one.
    """

    info: MediaInfo
    video: VideoStream
    audio: AudioStream | None
    notes: tuple[str, ...]
    known: Sequence[Known] = ()


def examine(
    path: str | os.PathLike[str], settings: Settings, *, need_audio: bool | None = True
) -> Examined:
    """Check, before anything heavy is loaded, whether a recording can be processed.

    Args:
        path: the recording.
        settings: see `Settings`.
        need_audio: whether to refuse a recording without sound; None to require a sound track only
            if the settings name one.

    Raises:
        MediaError: the file cannot be read.
        NoVideoError: the file has no video stream.
        NoAudioError: the sound track does not exist or is empty, and `need_audio` is set.
        InputError, UsageError: the file of people is invalid.
        UsageError: the part is outside of the recording or of its sound.
    """
    splices = find_splices(path)
    info = splices.apply(probe(path))
    name = info.path.name
    known = read_people(user_path(settings.people)) if settings.people else []
    need_audio = bool(info.audio) if need_audio is None else need_audio
    video, audio = choose_tracks(info, settings.track, settings.picture, need_audio=need_audio)
    part = find_part(info, settings)
    if audio is not None and part.length(audio.start, audio.duration) == 0 and not part.is_whole:
        raise UsageError(
            f"{name}: the sound track has nothing in the part from "
            f"{clock(part.begin(info.start) - info.start, None)} on",
            "choose another --start and --end, or another --track",
        )
    notes = []
    if splices.all:
        notes.append(splices.describe(info.start))
    if audio is not None:
        track = info.audio.index(audio)
        if need_audio and settings.track is None and len(info.audio) > 1:
            notes.append(
                f"of {len(info.audio)} sound tracks, track {track} is taken, which plays by "
                "default; --track chooses another"
            )
        with AudioReader(path, track=track) as sound:
            if sound.empty and need_audio:
                raise NoAudioError(
                    f"{name}: sound track {track} is empty: its header leaves nothing to play",
                    "check that it plays in a media player; copy or download it again",
                )
    return Examined(info, video, audio, tuple(notes), known)


def look(
    path: str | os.PathLike[str],
    settings: Settings,
    *,
    progress: Progress = no_progress,
    need_audio: bool = True,
    backend: FaceBackend | None = None,
    examined: Examined | None = None,
) -> Scene:
    """Find the people in a recording.

    Args:
        path: the recording.
        settings: see `Settings`.
        progress: called with (stage, seconds done, seconds in all or None).
        need_audio: whether to refuse a recording without sound.
        backend: an open face backend, in place of `settings.faces`.
        examined: the result of `examine`, or None.

    Returns:
        The recording and the people in it.

    Raises:
        MediaError: the file cannot be read.
        NoVideoError: the file has no video stream.
        NoAudioError: it has no such sound track, and `need_audio`.
        NoFaceError: no face was found.
        InputError, UsageError: the file of people, or a reference in it, is invalid.
        UsageError: the part is outside of the recording.
        MissingExtraError: face recognition is needed and `avse[identity]` is not installed.
    """
    found = examined or examine(path, settings, need_audio=need_audio)
    info, video, audio, notes = found.info, found.video, found.audio, found.notes
    known = found.known
    part = find_part(info, settings)
    begin, length = part.begin(info.start), part.length(info.start, info.duration)
    total = None if length is None else float(length)
    origin = begin if audio is None else part.begin(audio.start)
    tools = _tools(settings, backend)
    if known:
        known = describe_references(known, tools.backend, tools.recogniser)
    kept = open_file_cache(info.path) if settings.cache else None
    corrections = corrections_of(info.path) if settings.corrections else NOTHING
    people, turned = find_faces(
        _face_analysis(info, video, part, origin, settings, corrections),
        tools,
        kept,
        lambda time: progress("faces", float(time + origin - begin), total),
    )
    people, corrected = apply_corrections(
        people,
        corrections,
        float(info.start - origin),
        lambda time: part.holds(Fraction(time) + info.start),
    )
    if not len(people):
        raise NoFaceError(
            f"{info.path.name}: corrections say of every face that it is not a person",
            "change them, or ignore them with --no-corrections",
        )
    people = _one_each(info.path.name, people, settings)
    people = keep_names(name_people(people, known), people) if known else people
    notes, offset_ms = (*notes, *corrected), corrections.offset_ms
    return Scene(info, video, audio, people, origin, notes, turned, part, kept, offset_ms)


def keep_people(
    info: MediaInfo,
    video: VideoStream,
    origin: Fraction,
    settings: Settings,
    corrections: Corrections,
    people: People,
) -> None:
    """Store the people of a whole recording in the cache for `look`.

    Args:
        info, video, origin: see `Scene`.
        settings: see `Settings`.
        corrections: the corrections of the recording.
        people: all people, uncorrected.
    """
    kept = open_file_cache(info.path) if settings.cache and len(people) else None
    tools = _tools(settings, None)
    if kept is not None and tools.version is not None:
        analysis = _face_analysis(info, video, WHOLE, origin, settings, corrections)
        keep_faces(analysis, tools, kept, people)


def known_people(
    info: MediaInfo,
    video: VideoStream,
    origin: Fraction,
    settings: Settings,
    corrections: Corrections,
) -> People | None:
    """The cached people of a whole recording, uncorrected, or None.

    Args:
        info, video, origin: see `Scene`.
        settings: see `Settings`.
        corrections: the corrections of the recording.
    """
    kept = open_file_cache(info.path) if settings.cache else None
    if kept is None:
        return None
    analysis = _face_analysis(info, video, WHOLE, origin, settings, corrections)
    known = faces_in_cache(analysis, _tools(settings, None), kept)
    return None if known is None else known[0]


def _face_analysis(
    info: MediaInfo,
    video: VideoStream,
    part: Part,
    origin: Fraction,
    settings: Settings,
    corrections: Corrections,
) -> FaceAnalysis:
    hints = tuple(
        Hint(face.time + float(info.start - origin), face.box) for face in corrections.added
    )
    return FaceAnalysis(info, video, settings.picture, part, origin, settings.face_side, hints)


def _tools(settings: Settings, backend: FaceBackend | None) -> Tools:
    # The others are on the CPU wherever all else is; asking for a device would load PyTorch.
    asked = settings.faces.startswith("face-alignment") and backend is None
    device = pick_device(settings.device) if asked else "cpu"
    return Tools(
        lambda: open_backend(settings.faces, device=device),
        backend_version(settings.faces, device=device),
        backend,
    )


def _one_each(name: str, people: People, settings: Settings) -> People:
    """Join people whom the user has joined, and mark still pictures as silent."""
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
