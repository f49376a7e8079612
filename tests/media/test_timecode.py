from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from avse.media import probe
from avse.media.timecode import Timecode, timecode_of

from .media_files import Picture, write_media

NTSC = Fraction(30_000, 1001)


@pytest.mark.parametrize(
    ("rate", "drop", "frame", "text"),
    [
        (Fraction(25), False, 0, "00:00:00:00"),
        (Fraction(25), False, 90_000, "01:00:00:00"),
        (Fraction(24_000, 1001), False, 24, "00:00:01:00"),
        (NTSC, True, 1799, "00:00:59;29"),
        (NTSC, True, 1800, "00:01:00;02"),  # 00 and 01 are left out
        (NTSC, True, 3597, "00:01:59;29"),
        (NTSC, True, 3598, "00:02:00;02"),
        (NTSC, True, 17_981, "00:09:59;29"),
        (NTSC, True, 17_982, "00:10:00;00"),  # but in no tenth minute
        (NTSC, True, 107_892, "01:00:00;00"),
        (NTSC, False, 107_892, "00:59:56:12"),
        (2 * NTSC, True, 3600, "00:01:00;04"),
        (2 * NTSC, True, 35_964, "00:10:00;00"),
        (Fraction(60), False, 3600, "00:01:00:00"),
        (Fraction(25), False, 25 * 86_400, "00:00:00:00"),
    ],
)
def test_frames_as_text(rate: Fraction, drop: bool, frame: int, text: str) -> None:
    assert Timecode(rate, drop).text(frame) == text


def test_dropped_numbers_keep_step_with_the_clock() -> None:
    code = Timecode(NTSC, drop=True)
    for hours in (1, 5, 23):
        assert code.text(code.frame(3600 * hours)).startswith(f"{hours:02d}:00:00;0")


@pytest.mark.parametrize(
    ("rate", "expected", "drop", "exact"),
    [
        (Fraction(25), Fraction(25), False, True),
        (NTSC, NTSC, True, True),
        (Fraction(30), Fraction(30), False, True),
        (Fraction(24_000, 1001), Fraction(24_000, 1001), False, True),
        (2 * NTSC, 2 * NTSC, True, True),
        (Fraction(50), Fraction(50), False, True),
        (Fraction(10), Fraction(25), False, False),
        (Fraction(59, 2), NTSC, True, False),
    ],
)
def test_the_rate_of_a_file(
    tmp_path: Path, rate: Fraction, expected: Fraction, drop: bool, exact: bool
) -> None:
    path = write_media(tmp_path / "a.mp4", Picture(rate=rate, frames=60))
    video = probe(path).video
    assert video is not None
    assert timecode_of(path, video) == Timecode(expected, drop, 0, exact)


def test_uneven_frames_are_not_exact(tmp_path: Path) -> None:
    times = [Fraction(n + (n % 3 == 1) * Fraction(1, 3), 25) for n in range(50)]
    path = write_media(tmp_path / "a.mp4", Picture(frames=50, times=times))
    video = probe(path).video
    assert video is not None
    assert not timecode_of(path, video).exact


@pytest.mark.parametrize(
    ("written", "rate", "first", "shown"),
    [
        ("01:00:00:00", Fraction(25), 90_000, "01:00:02:00"),
        ("01:00:00;00", NTSC, 107_892, "01:00:02;00"),
        ("01:00:00:00", NTSC, 108_000, "01:00:02:00"),
        ("00:01:00;02", NTSC, 1800, "00:01:02;02"),
    ],
)
@pytest.mark.parametrize("suffix", [".mov", ".mkv"])
def test_the_timecode_in_a_file(
    tmp_path: Path, suffix: str, written: str, rate: Fraction, first: int, shown: str
) -> None:
    plain = write_media(tmp_path / "plain.mp4", Picture(rate=rate, frames=5))
    path = tmp_path / f"a{suffix}"
    with av.open(str(plain)) as source, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        output.metadata["timecode"] = written
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    video = probe(path).video
    assert video is not None
    code = timecode_of(path, video)
    assert code.first == first
    assert code.text(code.frame(0)) == written
    assert code.text(code.frame(2.002 if rate == NTSC else 2.0)) == shown
