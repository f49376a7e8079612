"""Segments of the picture, and what browsers play as it is."""

from __future__ import annotations

import io
import struct
import threading
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from avse.media import FrameReader, probe
from avse.page import proxy as proxies
from avse.page.proxy import PROXY_TYPE, Proxy, UnwantedError, media_type

from ..media.media_files import Picture, Sound, write_media


def times(data: bytes) -> tuple[Fraction, list[Fraction], Fraction]:
    """The decode time of a segment's fragment, when each picture is shown, and the end."""
    place = data.index(b"tfdt") + 8
    start = Fraction(struct.unpack(">Q", data[place : place + 8])[0], 90_000)
    run = data.index(b"trun") + 4
    count = struct.unpack(">I", data[run + 4 : run + 8])[0]
    base = data.index(b"mdhd") + 16
    assert struct.unpack(">I", data[base : base + 4]) == (90_000,)
    with av.open(io.BytesIO(data)) as file:
        packets = [p for p in file.demux(video=0) if p.size]
        stream = file.streams.video[0]
        assert len(packets) == count
        assert [p.is_keyframe for p in packets] == [True] + [False] * (count - 1)
        assert all(p.pts == p.dts for p in packets)
        shown = [p.pts * stream.time_base for p in packets]
        length = shown[-1] - shown[0] + packets[-1].duration * stream.time_base
    return start, [start + time - shown[0] for time in shown], start + length


def pictures(data: bytes) -> list[np.ndarray]:
    with av.open(io.BytesIO(data)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


def mark(image: np.ndarray) -> float:
    """What tells the pictures of `Picture` apart: its lower right corner."""
    height, width, _ = image.shape
    return float(image[-height // 8 :, -width // 8 :].mean())


def test_segments_join_and_hold_every_picture_at_its_time(tmp_path: Path) -> None:
    video = write_media(tmp_path / "a.avi", Picture("mpeg4", frames=225, options={"g": "300"}))
    proxy = Proxy(video)
    found = []
    for number in range(3):
        data = proxy.segment(number)
        assert data is not None
        start, shown, end = times(data)
        assert start == shown[0] == 4 * number
        assert end == min(4 * number + 4, 9)
        found += shown
    assert proxy.segment(3) is None
    assert found == [Fraction(n, 25) for n in range(225)]
    proxy.close()


def test_a_segment_is_the_same_whether_played_up_to_or_jumped_to(tmp_path: Path) -> None:
    video = write_media(tmp_path / "a.avi", Picture("mpeg4", frames=225, options={"g": "300"}))
    played, jumped = Proxy(video), Proxy(video)
    assert played.segment(0) is not None
    data = played.segment(1)
    assert data is not None
    assert data == jumped.segment(1)
    with FrameReader(video, start=4, stop=8) as reader:
        for picture, frame in zip(pictures(data), reader, strict=True):
            assert mark(picture) == pytest.approx(mark(frame.image), abs=12)
    played.close()
    jumped.close()


def test_pictures_of_uneven_length_keep_their_times(tmp_path: Path) -> None:
    shown = [Fraction(n, 10) for n in (0, 1, 3, 35, 61, 62, 70, 95)]
    video = write_media(tmp_path / "a.mkv", Picture(frames=len(shown), times=shown))
    proxy = Proxy(video)
    expected = {0: [0, 0.1, 0.3, 3.5], 1: [4, 6.1, 6.2, 7], 2: [8, 9.5]}
    for number, wanted in expected.items():
        data = proxy.segment(number)
        assert data is not None
        assert [float(time) for time in times(data)[1]] == pytest.approx(wanted, abs=0.001)
    second = proxy.segment(1)
    assert second is not None
    with FrameReader(video) as reader:
        frames = [frame.image for frame in reader]
    # What is on the screen at 4 s began at 3.5 s.
    assert mark(pictures(second)[0]) == pytest.approx(mark(frames[3]), abs=12)
    proxy.close()


def test_a_picture_that_begins_late_and_ends_early_fills_its_segments(tmp_path: Path) -> None:
    late = Picture("libx264", frames=50, start=Fraction(5))
    video = write_media(tmp_path / "a.mkv", late, Sound("flac", seconds=Fraction(14)))
    proxy = Proxy(video)
    marks = {}
    for number, count in ((0, 1), (1, 1 + 49 + 1), (2, 1), (3, 1)):
        data = proxy.segment(number)
        assert data is not None
        start, shown, end = times(data)
        assert (start, end) == (4 * number, min(4 * number + 4, 14))
        assert len(shown) == pytest.approx(count, abs=1)
        marks[number] = [mark(picture) for picture in pictures(data)]
    assert marks[0][0] == pytest.approx(marks[1][0], abs=12)
    assert marks[2][0] == marks[3][0] == pytest.approx(marks[1][-1], abs=12)
    assert marks[2][0] != pytest.approx(marks[0][0], abs=30)
    proxy.close()


@pytest.mark.parametrize(
    ("size", "rotation", "height", "expected"),
    [
        ((64, 48), None, 480, (64, 48)),
        ((98, 50), None, 480, (98, 50)),
        ((640, 360), None, 120, (214, 120)),
        ((360, 202), 90.0, 180, (100, 180)),
    ],
)
def test_pictures_are_upright_even_and_no_larger_than_asked(
    tmp_path: Path,
    size: tuple[int, int],
    rotation: float | None,
    height: int,
    expected: tuple[int, int],
) -> None:
    spec = Picture(width=size[0], height=size[1], frames=5, rotation=rotation)
    video = write_media(tmp_path / "a.mp4", spec)
    proxy = Proxy(video)
    data = proxy.segment(0, height=height)
    assert data is not None
    first = pictures(data)[0]
    assert (first.shape[1], first.shape[0]) == expected
    with FrameReader(video) as reader:
        original = next(reader).image
    corners = [(0.05, 0.9), (0.9, 0.4), (0.1, 0.1)]
    for x, y in corners:
        small = first[int(y * first.shape[0]), int(x * first.shape[1])].astype(int)
        large = original[int(y * original.shape[0]), int(x * original.shape[1])].astype(int)
        assert np.abs(small - large).max() < 40
    proxy.close()


def test_the_codec_is_what_was_announced(tmp_path: Path) -> None:
    for size in ((64, 48), (1920, 1080)):
        video = write_media(tmp_path / "a.avi", Picture("mpeg4", *size, frames=3))
        data = Proxy(video).segment(0, height=1080)
        assert data is not None
        place = data.index(b"avcC") + 5
        assert data[place : place + 3].hex() in PROXY_TYPE


@pytest.fixture
def slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Proxy, list[int], threading.Event]:
    """A proxy, the segments that it has begun to make, and what lets it finish them."""
    video = write_media(tmp_path / "a.avi", Picture("mpeg4", frames=420))
    proxy, begun, go = Proxy(video), [], threading.Event()
    make = proxy._make

    def make_slowly(pictures: object, number: int, wanted: object) -> bytes | None:
        begun.append(number)
        while not go.wait(0.01):
            proxy._check(wanted)  # type: ignore[arg-type]
        return make(pictures, number, wanted)  # type: ignore[arg-type]

    monkeypatch.setattr(proxy, "_make", make_slowly)
    return proxy, begun, go


def test_two_segments_are_made_at_once_and_each_only_once(
    slow: tuple[Proxy, list[int], threading.Event],
) -> None:
    proxy, begun, go = slow
    found: dict[int, bytes | None] = {}
    threads = [
        threading.Thread(target=lambda n=n, k=k: found.update({n: proxy.segment(k)}))
        for n, k in enumerate([0, 0, 1, 1, 2])
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    assert sorted(begun) == [0, 1] or (len(begun) == 2 and 2 in begun)
    go.set()
    for thread in threads:
        thread.join(20)
    assert sorted(begun) == [0, 1, 2]
    assert found[0] == found[1] is not None
    assert found[2] == found[3] is not None
    proxy.close()


def test_what_nobody_waits_for_is_given_up(slow: tuple[Proxy, list[int], threading.Event]) -> None:
    proxy, begun, go = slow
    left = threading.Event()
    outcome: list[BaseException] = []

    def ask(number: int) -> None:
        try:
            proxy.segment(number, wanted=lambda: not left.is_set())
        except UnwantedError as error:
            outcome.append(error)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(3)]  # two made, one waits
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    assert len(begun) == 2
    left.set()
    for thread in threads:
        thread.join(5)
    assert len(outcome) == 3
    go.set()
    assert proxy.segment(0) is not None  # for others it is made as ever
    proxy.close()
    with pytest.raises(UnwantedError):
        proxy.segment(1)


def test_the_cache_is_bounded_in_bytes(tmp_path: Path) -> None:
    video = write_media(tmp_path / "a.avi", Picture("mpeg4", frames=420))
    one = Proxy(video)
    first = one.segment(0)
    assert first is not None
    assert one.segment(0) is first
    proxy = Proxy(video, cache_bytes=int(len(first) * 2.5))
    kept = {n: proxy.segment(n) for n in range(4)}
    assert proxy.segment(3) is kept[3]
    assert proxy.segment(0) is not kept[0]
    assert proxy.segment(0) == kept[0]
    for each in (one, proxy):
        each.close()


@pytest.mark.parametrize(
    ("name", "picture", "sound", "expected"),
    [
        ("a.mp4", Picture(), "aac", r'video/mp4; codecs="avc1.{avc}, mp4a.40.2"'),
        ("a.mov", Picture(), "aac", r'video/mp4; codecs="avc1.{avc}, mp4a.40.2"'),
        ("a.mov", Picture(), "pcm_s16le", r'video/mp4; codecs="avc1.{avc}"'),
        ("a.mp4", Picture(), None, r'video/mp4; codecs="avc1.{avc}"'),
        ("a.mp4", Picture(rotation=90.0), "flac", r'video/mp4; codecs="avc1.{avc}, flac"'),
        ("a.webm", Picture("libvpx-vp9"), "libopus", 'video/webm; codecs="vp9, opus"'),
        ("a.webm", Picture("libvpx"), "libopus", 'video/webm; codecs="vp8, opus"'),
        ("a.webm", Picture("libsvtav1"), "libopus", 'video/webm; codecs="av01.0.00M.08, opus"'),
        ("a.mkv", Picture(), "aac", None),
        ("a.mkv", Picture("libvpx-vp9"), "libopus", None),
        ("a.avi", Picture("mpeg4"), "mp3", None),
        ("a.mp4", Picture("mpeg4"), "aac", None),
        ("a.mp4", Picture("libx265"), "aac", None),
        ("a.mp4", Picture(hflip=True, rotation=0.0), "aac", None),
        ("a.ts", Picture(), "aac", None),
    ],
)
def test_what_browsers_surely_play(
    tmp_path: Path, name: str, picture: Picture, sound: str | None, expected: str | None
) -> None:
    if picture.codec in ("libx265", "libsvtav1"):
        key = "x265-params" if picture.codec == "libx265" else "svtav1-params"
        picture.options[key] = "log-level=none" if key == "x265-params" else "lp=1"
    sounds = [] if sound is None else [Sound(sound)]
    path = write_media(tmp_path / name, picture, *sounds)
    found = media_type(probe(path))
    if expected is None or found is None:
        assert found == expected
        return
    if "{avc}" in expected:
        with av.open(str(path)) as file:
            extra = file.streams.video[0].codec_context.extradata
        assert extra is not None
        expected = expected.format(avc=extra[1:4].hex())
    assert found == expected


def test_ten_bits_and_joined_clocks_are_not_left_to_the_browser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p10le"
        for _ in range(5):
            image = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), "rgb24")
            file.mux(stream.encode(image.reformat(format="yuv420p10le")))
        file.mux(stream.encode(None))
    assert media_type(probe(path)) is None
    gap = [Fraction(n, 25) + (1000 if n > 10 else 0) for n in range(25)]
    jumped = write_media(tmp_path / "b.mp4", Picture(times=gap), Sound())
    assert proxies.find_splices(jumped).all
    assert media_type(probe(jumped)) is None
