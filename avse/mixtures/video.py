"""Write a video of people side by side, the same bytes each time on one machine.

Matroska, because it takes FLAC: the sound is the mixture itself to 24 bits, with no delay of a
lossy encoder, so what is measured on the video is what was mixed. The picture is H.264, which any
player shows; its encoder runs in one thread, because what it writes depends on their number, and
without its macroblock tree, with which the bytes were seen to differ from one run to the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from avse.media.atomic_files import appearing, explain
from avse.media.encoding import SpeechEncoder, choose_encoding

if TYPE_CHECKING:
    from av.container import OutputContainer

Image = NDArray[np.uint8]

SUFFIX = ".mkv"
CRF = 20
_PRESET = "veryfast"  # two and a half times as quick as "medium", 0.4 dB PSNR below it


def held(images: Iterable[Image], onset: int, count: int) -> Iterator[Image]:
    """A film that waits on its first picture and stays on its last.

    Args:
        images: one or more.
        onset: how many pictures before it moves.
        count: how many in all.
    """
    given = 0
    image: Image | None = None
    for image in images:
        for _ in range(onset + 1 if given == 0 else 1):
            yield image
            given += 1
    if image is not None:
        yield from (image for _ in range(count - given))


def side_by_side(people: Iterable[Iterable[Image]]) -> Iterator[Image]:
    """Join the pictures of several people, left to right.

    Args:
        people: for each, (height, width, 3) images of one height; as many for each.

    Yields:
        (height, sum of widths, 3) images.
    """
    for images in zip(*people, strict=True):
        yield np.concatenate(images, axis=1)


def write_video(
    path: Path,
    images: Iterable[Image],
    sound: NDArray[np.float32],
    *,
    size: tuple[int, int],
    fps: int,
    rate_hz: int,
) -> None:
    """Write pictures and sound that begin together, replacing what is there.

    Args:
        path: where to; it appears complete or not at all. Ends in .mkv.
        images: (height, width, 3) uint8, RGB.
        sound: (samples,) mono, full scale 1.0.
        size: width and height of the images, both even.
        fps: images a second.
        rate_hz: of the sound.

    Raises:
        OutputError: it cannot be written.
        AvseError: whatever `images` raises.
    """
    import av
    from av.error import FFmpegError

    with appearing(path) as temporary, _writing(path, FFmpegError):
        # "bitexact" leaves out random identifiers, dates and version numbers.
        container = av.open(
            f"file:{temporary.absolute()}",
            "w",
            format="matroska",
            options={"fflags": "+bitexact"},
        )
        with container:
            _fill(container, images, sound, size, fps, rate_hz)


def _fill(
    container: OutputContainer,
    images: Iterable[Image],
    sound: NDArray[np.float32],
    size: tuple[int, int],
    fps: int,
    rate_hz: int,
) -> None:
    from av.video.frame import VideoFrame

    options = {"crf": str(CRF), "preset": _PRESET, "threads": "1", "mbtree": "0"}
    video: Any = container.add_stream("libx264", rate=fps, options=options)
    video.width, video.height = size
    video.pix_fmt = "yuv420p"
    video.codec_context.thread_count = 1
    encoding = choose_encoding(SUFFIX, "flac", rate_hz, 1, None)
    voice = SpeechEncoder(
        encoding,
        [sound[None]],
        sample_rate=rate_hz,
        channels=1,
        layout="mono",
        start=Fraction(0),
        tags={},
    )
    voice.join(container)
    for n, image in enumerate(images):
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts, frame.time_base = n, Fraction(1, fps)
        for packet in video.encode(frame):
            container.mux(packet)
        for packet in voice.packets_until(Fraction(n, fps)):
            container.mux(packet)
    for packet in video.encode(None):
        container.mux(packet)
    for packet in voice.packets_until(None):
        container.mux(packet)


@contextmanager
def _writing(path: Path, trouble: type[Exception]) -> Iterator[None]:
    """Turn refusals to write into `OutputError`; errors of `avse` pass."""
    try:
        yield
    except (OSError, trouble) as error:
        raise explain(path, error) from error  # type: ignore[arg-type]
