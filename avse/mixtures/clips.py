"""Read the sound and pictures of a clip on one clock, which begins where both have begun."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avse.errors import InputError, NoAudioError, NoVideoError
from avse.media import AudioReader, FrameReader, MediaInfo, VideoStream, probe
from avse.media.opening import Damage, open_input, read_packets, seconds, with_next
from avse.utils.fingerprint import sha256

_MARGIN_S = 1  # of pictures read before and after, to find the nearest

FloatArray = NDArray[np.float32]
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class ClipAudio:
    """The decoded sound of a clip.

    Attributes:
        samples: (samples,) mono, from the clip's beginning to its end.
        begin: when the clip begins, in seconds on the file's clock: the later of the starts of
            sound and picture.
        length: in seconds, to the earlier of the ends of sound and picture.
        video: its picture, if it has one.
    """

    samples: FloatArray
    begin: Fraction
    length: Fraction
    video: VideoStream | None


def read_voice(path: Path, rate_hz: int, *, picture: bool) -> ClipAudio:
    """Read the sound of a clip.

    Args:
        path: the clip.
        rate_hz: sample rate of the result.
        picture: whether to refuse a clip without video.

    Raises:
        MediaError: it cannot be read.
        NoAudioError: it has no sound.
        NoVideoError: it has no video, and `picture` is set.
        InputError: sound and picture do not overlap, or are not numbers.
    """
    info = probe(path)
    if picture and info.video is None:
        raise NoVideoError(f"{path} has no moving picture", "leave it out, or use --no-video")
    if not info.audio:
        raise NoAudioError(f"{path} has no sound", "leave it out")
    with AudioReader(path, rate_hz=rate_hz, mono=True) as reader:
        start = reader.start
        blocks = [block.samples[0] for block in reader]
        if reader.not_numbers:
            raise InputError(f"{path}: the sound holds values that are not numbers", "leave it out")
    sound = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    begin, end = start, start + Fraction(len(sound), rate_hz)
    if info.video is not None:
        begin, end = max(begin, info.video.start), min(end, picture_end(info, info.video))
    if end <= begin:
        raise InputError(f"{path}: there is no moment with sound and picture", "leave it out")
    sound = sound[round((begin - start) * rate_hz) :][: round((end - begin) * rate_hz)]
    return ClipAudio(sound, begin, end - begin, info.video)


def picture_end(info: MediaInfo, video: VideoStream) -> Fraction:
    """Time at which the last frame of a file ends, from its packets: headers are often wrong."""
    step = 1 / (video.average_rate or Fraction(25))
    last = video.start
    with open_input(info.path) as container:
        stream = container.streams[video.index]
        for packet in read_packets(container, [stream], Damage()):
            time = seconds(packet.dts if packet.pts is None else packet.pts, stream)
            if time is not None and packet.size:
                last = max(last, time)
    return last + step


def pictures(
    path: Path, start: Fraction, count: int, fps: int, size: tuple[int, int]
) -> Iterator[Image]:
    """Yield frames at a constant rate; each is the frame of the file that is nearest in time.

    Args:
        path: the clip.
        start: time of the first, in seconds on the file's clock.
        count: number of frames; the last frame is repeated where the file ends too early.
        fps: frames per second.
        size: width and height to scale to.

    Yields:
        (height, width, 3) uint8, RGB.

    Raises:
        MediaError: the file cannot be read.
        NoVideoError: it has no video, or no frame can be decoded.
    """
    given = 0
    shown: Image | None = None
    end = start + Fraction(count, fps)
    with FrameReader(path, start=start - _MARGIN_S, stop=end + _MARGIN_S) as reader:
        for frame, following in with_next(reader):
            # This one is the nearest until half way to the next.
            until = None if following is None else (frame.time + following.time) / 2
            fresh = True
            while given < count and (until is None or start + Fraction(given, fps) < until):
                if fresh:
                    shown, fresh = scaled(frame.image, size), False
                assert shown is not None
                yield shown
                given += 1
            if given == count:
                return
    if given < count:
        raise _no_picture(path)


def check_picture(path: Path) -> None:
    """Check that at least one frame of a clip can be decoded.

    Raises:
        MediaError: the file cannot be read.
        NoVideoError: none can.
    """
    with FrameReader(path) as reader:
        if next(reader, None) is None:
            raise _no_picture(path)


def scaled(image: Image, size: tuple[int, int]) -> Image:
    """Scale a picture (height, width, 3) uint8 to a width and a height."""
    width, height = size
    if image.shape[:2] == (height, width):
        return image
    from av.video.frame import VideoFrame

    smaller = width * height < image.shape[0] * image.shape[1]
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    made = frame.reformat(
        width=width,
        height=height,
        format="rgb24",
        interpolation="AREA" if smaller else "BICUBIC",
    )
    return np.asarray(made.to_ndarray(), np.uint8)


def cut(sound: FloatArray, start: int, count: int) -> FloatArray:
    """Crop (count,) samples from `start` on; a sample that is missing at the end becomes 0."""
    part = sound[start : start + count]
    return np.pad(part, (0, count - len(part)))


def put(sound: FloatArray, onset: int, count: int) -> FloatArray:
    """Pad sound with silence on both sides: (count,) samples, the sound begins at `onset`."""
    return np.pad(sound, (onset, count - onset - len(sound)))


def loop(sound: FloatArray, start: int, count: int) -> FloatArray:
    """Loop sound: (count,) samples from `start` on, which begin again at 0 after the end."""
    return np.asarray(np.take(sound, np.arange(start, start + count), mode="wrap"), np.float32)


def file_sha256(path: Path) -> str:
    """Compute the SHA-256 of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return sha256(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", "check the file") from error


def _no_picture(path: Path) -> NoVideoError:
    return NoVideoError(f"{path}: no picture of it can be decoded", "leave it out")
