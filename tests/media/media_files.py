"""Small real media files, made on the spot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

SHARED = Path(__file__).parents[2].parent / "shared" / "data"


@dataclass
class Picture:
    """A moving picture: left half brighter than the right, top third red; frame n encodes n."""

    codec: str = "libx264"
    width: int = 64
    height: int = 48
    rate: Fraction = Fraction(25)
    frames: int = 25
    times: list[Fraction] | None = None
    start: Fraction = Fraction(0)
    rotation: float | None = None  # counter-clockwise, as PyAV has it
    hflip: bool = False
    options: dict[str, str] = field(default_factory=dict)
    pixel_aspect: Fraction | None = None

    def images(self) -> Iterable[np.ndarray]:
        for n in range(self.frames):
            image = np.zeros((self.height, self.width, 3), np.uint8)
            image[:, : self.width // 2] = 200  # left is bright
            image[: self.height // 3, :, 0] = 255  # top is reddish
            image[-self.height // 4 :, -self.width // 4 :] = (n * 8) % 256
            yield image


@dataclass
class Sound:
    """A sound track holding `samples`, (channels, n) float32, or noise."""

    codec: str = "aac"
    rate: int = 48000
    layout: str = "stereo"
    seconds: Fraction = Fraction(1)
    samples: np.ndarray | None = None
    start: Fraction = Fraction(0)
    language: str | None = None
    title: str | None = None
    bit_rate: int | None = None

    def wave(self) -> np.ndarray:
        if self.samples is not None:
            return self.samples
        channels = av.AudioLayout(self.layout).nb_channels
        return speechlike(channels, round(self.seconds * self.rate), self.rate)


def speechlike(channels: int, count: int, rate: int, seed: int = 0) -> np.ndarray:
    """Low-passed noise in bursts: survives lossy coding and has one clear correlation peak."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((channels, count + 64))
    kernel = np.hanning(max(3, rate // 4000))
    smooth = np.stack([np.convolve(row, kernel, "same") for row in noise])[:, :count]
    bursts = 0.5 + 0.5 * np.sin(2 * np.pi * 3 * np.arange(count) / rate)
    smooth *= bursts  # no two moments alike
    return (0.5 * smooth / max(1e-9, np.abs(smooth).max(initial=0))).astype(np.float32)


def _pictures(output: Any, spec: Picture) -> tuple[Any, list[Any]]:
    stream = output.add_stream(spec.codec, rate=spec.rate, options=dict(spec.options))
    stream.width, stream.height, stream.pix_fmt = spec.width, spec.height, "yuv420p"
    if spec.codec == "mjpeg":
        stream.pix_fmt = "yuvj420p"
    base = 1 / spec.rate
    if spec.times is not None or spec.start:
        base = Fraction(1, 90000)
    if spec.codec == "libx264":
        stream.options.setdefault("preset", "ultrafast")
    stream.codec_context.time_base = base
    if spec.pixel_aspect is not None:
        stream.codec_context.sample_aspect_ratio = spec.pixel_aspect
    if spec.rotation is not None:
        stream.set_display_rotation(spec.rotation, hflip=spec.hflip)
    frames = []
    for n, image in enumerate(spec.images()):
        frame = av.VideoFrame.from_ndarray(image, "rgb24")
        time = spec.times[n] if spec.times is not None else spec.start + n / spec.rate
        frame.pts, frame.time_base = round(time / base), base
        frames.append(frame)
    return stream, frames


def _sound(output: Any, spec: Sound) -> tuple[Any, list[Any]]:
    stream = output.add_stream(spec.codec, rate=spec.rate)
    stream.codec_context.layout = spec.layout
    if spec.bit_rate:
        stream.bit_rate = spec.bit_rate
    if spec.language:
        stream.metadata["language"] = spec.language
    if spec.title:
        stream.metadata["title"] = spec.title
    depth = {"flac": "s16", "alac": "s16p", "pcm_s16le": "s16", "pcm_s16be": "s16"}
    depth |= {"pcm_s24le": "s32", "pcm_s32le": "s32", "pcm_u8": "u8"}
    form = depth.get(spec.codec)
    if form:
        stream.codec_context.format = form
    wave = spec.wave()
    position = round(spec.start * spec.rate)
    frames = []
    for at in range(0, wave.shape[1], 1000):
        piece = np.ascontiguousarray(wave[:, at : at + 1000])
        fmt, data = "fltp", piece
        if form is not None and form != "u8":
            bits = 16 if form.startswith("s16") else 24 if "24" in spec.codec else 32
            top = 2.0 ** (bits - 1)
            whole = np.clip(np.rint(piece.astype(float) * top), -top, top - 1)
            whole = whole.astype(np.int64) << (0 if bits == 16 else 32 - bits)
            data = whole.astype(np.int16 if bits == 16 else np.int32)
            fmt = form.removesuffix("p")
            data = np.ascontiguousarray(data.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(data, fmt, spec.layout)
        frame.sample_rate, frame.time_base = spec.rate, Fraction(1, spec.rate)
        frame.pts = position + at
        frames.append(frame)
    return stream, frames


def write_media(
    path: Path,
    picture: Picture | None = None,
    *sounds: Sound,
    metadata: dict[str, str] | None = None,
    chapters: list[Any] | None = None,
    attachment: tuple[str, str, bytes] | None = None,
    container: str | None = None,
) -> Path:
    """Write a file with at most one picture and any number of sound tracks."""
    with av.open(str(path), "w", format=container) as output:
        output.metadata.update(metadata or {})
        if chapters:
            output.set_chapters(chapters)
        jobs = []
        if picture is not None:
            jobs.append(_pictures(output, picture))
        jobs += [_sound(output, sound) for sound in sounds]
        if attachment:
            output.add_attachment(*attachment)
        packets = []
        for stream, frames in jobs:
            for frame in [*frames, None]:
                packets += stream.encode(frame)
        for packet in packets:
            output.mux(packet)
    return path


def lag(reference: np.ndarray, other: np.ndarray) -> int:
    """Samples by which `other` comes later than `reference`; both one-dimensional."""
    count = max(len(reference), len(other))
    spectrum = np.fft.rfft(other, 2 * count) * np.fft.rfft(reference, 2 * count).conj()
    best = int(np.argmax(np.fft.irfft(spectrum, 2 * count)))
    return best if best < count else best - 2 * count
