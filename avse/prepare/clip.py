"""Measure one clip: lips, sound, appearance and quality. This module drops no clips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avse.dsp.stft import SAMPLE_RATE, VIDEO_RATE
from avse.errors import AvseError, InputError, NoAudioError, NoFaceError, NoVideoError
from avse.faces.detect import FaceBackend
from avse.faces.lips import POINTS
from avse.faces.people import Person
from avse.media import probe
from avse.prepare.appearance import Appearance, AppearanceRecorder
from avse.prepare.audio import MeasuredAudio, read_audio
from avse.prepare.layouts import SourceFile
from avse.prepare.settings import PrepareSettings
from avse.scene.scene import look
from avse.settings import Settings
from avse.utils.fingerprint import sha256

SAMPLES_PER_FRAME = SAMPLE_RATE // VIDEO_RATE

UNREADABLE = "unreadable"
NO_SOUND, NO_PICTURE, NO_FACE, TOO_LONG = "no sound", "no picture", "no face", "too long"


@dataclass(frozen=True)
class FileState:
    """State of a file when it was read: size in bytes, mtime in nanoseconds, SHA-256."""

    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True)
class Measured:
    """Measurements of a clip.

    Attributes:
        files: state of the picture's file and, if it is another one, of the sound's.
        flags: quality measures by name; see `measure`.
        lost: reason why the clip is unusable (`UNREADABLE`, `NO_FACE`, ...); None otherwise.
        detail: message for people about `lost`.
        arrays: sound (samples,) int16; lips (frames, 43, 3) float16 and seen (frames,) uint8, from
            the first sample of the sound on; portraits, skull and clothes of `Appearance`; voice of
            `MeasuredAudio`. Clips of sound alone have sound and voice only.
    """

    files: tuple[FileState, ...]
    flags: dict[str, float]
    lost: str | None
    detail: str
    arrays: dict[str, npt.NDArray[Any]]


def state_of(path: Path) -> FileState:
    """Read the size, the time and the hash of a file.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        status = path.stat()
        digest = sha256(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", "check the file") from error
    return FileState(status.st_size, status.st_mtime_ns, digest)


def files_of(source: SourceFile) -> tuple[Path, ...]:
    """The files of a clip, that of the picture first."""
    names = [source.path] if source.sound is None else [source.path, source.sound]
    return tuple(source.root / name for name in names)


def measure(source: SourceFile, settings: PrepareSettings, backend: FaceBackend | None) -> Measured:
    """Measure a clip; errors are returned in `lost`, not raised.

    Flags: seconds; clipped, level_db, silence and band_hz (see `MeasuredAudio`); and with a picture
    seen (share of frames with lips), faces (number), dominance (the speaker's share of the face
    area, summed over time) and eyes_px.

    Args:
        source: the clip.
        settings: settings of the measurement.
        backend: the face backend; None for sound alone.

    Raises:
        MissingError: a package is missing, so that every clip would fail.
    """
    files: tuple[FileState, ...] = ()
    flags: dict[str, float] = {}

    def lost(reason: str, error: AvseError) -> Measured:
        return Measured(files, flags, reason, error.message, {})

    try:
        files = tuple(state_of(path) for path in files_of(source))
        seconds = _length(source)
        if seconds is not None and seconds > settings.max_seconds:
            flags["seconds"] = round(seconds, 3)
            return Measured(files, flags, TOO_LONG, f"{seconds:.0f} s", {})
        sound = read_audio(files_of(source)[-1])
        flags.update(_sound_flags(sound))
        arrays: dict[str, npt.NDArray[Any]] = {"sound": sound.samples, "voice": sound.voice}
        if backend is not None:
            more, lips_flags = _watch(source, sound, settings, backend)
            arrays |= more
            flags.update(lips_flags)
        return Measured(files, flags, None, "", arrays)
    except NoFaceError as error:
        return lost(NO_FACE, error)
    except NoAudioError as error:
        return lost(NO_SOUND, error)
    except NoVideoError as error:
        return lost(NO_PICTURE, error)
    except InputError as error:
        return lost(UNREADABLE, error)


def _length(source: SourceFile) -> float | None:
    duration = probe(files_of(source)[-1]).duration
    return None if duration is None else float(duration)


def _sound_flags(sound: MeasuredAudio) -> dict[str, float]:
    return {
        "seconds": round(len(sound.samples) / SAMPLE_RATE, 3),
        "clipped": round(sound.clipped, 5),
        "level_db": round(sound.level_db, 1),
        "silence": round(sound.silence, 3),
        "band_hz": round(sound.band_hz),
    }


def _watch(
    source: SourceFile, sound: MeasuredAudio, settings: PrepareSettings, backend: FaceBackend
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, float]]:
    """Measure the lips and the appearance of the only or the dominant face."""
    watcher = AppearanceRecorder(backend)
    choices = Settings(faces=settings.faces, device="cpu", cache=False, corrections=False)
    scene = look(
        source.root / source.path, choices, need_audio=source.sound is None, backend=watcher
    )
    if scene.turned:
        raise NoFaceError(f"{source.path}: the picture is not upright", "turn it, or leave it out")
    people = list(scene.people)
    sizes = [float(_area(person)) for person in people]
    chosen = people[int(np.argmax(sizes))]
    longer = max(scene.video.width, scene.video.height)
    scale = max(1.0, longer / choices.face_side)
    x, y, w, h = (value / scale for value in chosen.box)
    looks = watcher.looks((x, y, w, h))
    if looks is None:
        raise NoFaceError(f"{source.path}: no face is seen from the front", "leave the clip out")
    frames = max(1, len(sound.samples) // SAMPLES_PER_FRAME)
    # Frame 0 of the lips is at the first sample of the sound.
    lips = chosen.lips.window(0, frames)
    seen = lips.seen
    points = lips.points.astype(np.float16)
    assert points.shape[1:] == (POINTS, 3)
    flags = {
        "seen": round(float(seen.mean()), 3),
        "faces": float(len(people)),
        "dominance": round(max(sizes) / max(sum(sizes), 1e-9), 3),
        "eyes_px": round(looks.eyes_px * scale, 1),
    }
    return {"lips": points, "seen": seen.astype(np.uint8), **_described(looks)}, flags


def _area(person: Person) -> float:
    return person.box[2] * person.box[3] * person.seconds_on_screen


def _described(looks: Appearance) -> dict[str, npt.NDArray[Any]]:
    return {
        "portraits": looks.portraits,
        "skull": looks.skull,
        "clothes": looks.clothes,
    }
