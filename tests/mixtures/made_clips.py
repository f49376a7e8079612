"""Clips made on the spot: a flat grey picture and a hum, different for each person."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile

CODECS = {
    ".mpg": ("mpeg1video", "mp2"),
    ".mkv": ("ffv1", "flac"),
    ".mp4": ("libx264", "aac"),
    ".avi": ("mpeg4", "mp2"),
}
SAMPLE_FORMATS = {"mp2": "s16", "flac": "s16", "aac": "fltp"}


def hum(seconds: float, rate: int, person: int, level: float = 0.1) -> np.ndarray:
    """(samples,) float32: two tones and some noise of this person alone."""
    rng = np.random.default_rng(person)
    t = np.arange(round(seconds * rate)) / rate
    tones = np.sin(2 * np.pi * (150 + 23 * person) * t) + np.sin(
        2 * np.pi * (700 + 41 * person) * t
    )
    return (level * (tones + 0.2 * rng.standard_normal(len(t)))).astype(np.float32)


def grey(person: int) -> int:
    return 30 + 5 * person


def write_clip(
    path: Path,
    person: int,
    *,
    frames: int = 8,
    fps: Fraction = Fraction(25),
    size: tuple[int, int] = (48, 32),
    rate: int = 44_100,
    images: list[np.ndarray] | None = None,
    sound: np.ndarray | None = None,
    video_start: Fraction = Fraction(0),
    sound_start: Fraction = Fraction(0),
) -> Path:
    """Write a clip; the ending chooses the codecs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    video_codec, sound_codec = CODECS[path.suffix]
    if images is None:
        images = [np.full((size[1], size[0], 3), grey(person), np.uint8)] * frames
    if sound is None:
        sound = hum(len(images) / fps + 0.1, rate, person)
    with av.open(str(path), "w") as file:
        video = file.add_stream(video_codec, rate=fps)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        base = Fraction(1, 90_000) if video_start else 1 / fps
        video.codec_context.time_base = base
        audio = file.add_stream(sound_codec, rate=rate, layout="mono")
        fmt = SAMPLE_FORMATS[sound_codec]
        audio.codec_context.format = fmt
        packets = []
        for n, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24")
            frame.pts, frame.time_base = round((video_start + n / fps) / base), base
            packets += video.encode(frame)
        packets += video.encode(None)
        samples = sound if fmt == "fltp" else np.rint(sound * 32768).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None], fmt, "mono")
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = round(sound_start * rate)
        packets += audio.encode(frame)
        packets += audio.encode(None)
        for packet in packets:
            file.mux(packet)
    return path


def write_wav(path: Path, sound: np.ndarray, rate: int = 16_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, rate, subtype="FLOAT")
    return path


def grid_folder(root: Path, talkers: range, *, ending: str = ".mpg", inner: str = "") -> Path:
    """A folder laid out as GRID is: s1/bbaf2n.mpg, or s1/video/mpg_6000/bbaf2n.mpg."""
    for talker in talkers:
        for name in ("bbaf2n", "lwwz9a"):
            path = root / f"s{talker}" / inner / f"{name}{ending}"
            if ending == ".wav":
                write_wav(path, hum(0.4, 16_000, talker))
            else:
                write_clip(path, talker, frames=3)
    return root


def pcm(path: Path) -> np.ndarray:
    samples, _ = soundfile.read(path, dtype="float32")
    return samples
