"""A part of a long recording: no more is read than that, and it is the same as in the whole."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import av
import numpy as np
import pytest

import avse.media.cutting
import avse.media.opening
from avse.media import AudioReader, NewTrack, probe, read_frames, remux
from tests.conftest import EXAMPLES
from tests.looped import ROUND_S, loop

from .media_files import Picture, Sound, lag, speechlike, write_media
from .remuxed import packets, read
from .test_splices import jumping

START, STOP = Fraction(42), Fraction(44)
ROUNDS = 8


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """The example eight times over, fifty seconds, in several containers."""
    folder = tmp_path_factory.mktemp("long")
    return {
        ending: loop(EXAMPLES / "duet.mp4", folder / f"long.{ending}", ROUNDS)
        for ending in ("mp4", "mkv", "ts")
    }


@pytest.fixture
def decoded(monkeypatch):
    """Counts the packets that are decoded, by kind."""
    counts = Counter()
    decode = avse.media.opening.decode_packet

    def count(packet, damage):
        counts[packet.stream.type] += 1
        return decode(packet, damage)

    monkeypatch.setattr(avse.media.opening, "decode_packet", count)
    return counts


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_only_the_part_of_the_sound_is_decoded(long, decoded, ending):
    with AudioReader(long[ending], start=START, stop=STOP) as reader:
        part = np.concatenate([block.samples for block in reader], axis=1)
        assert reader.start == START
    assert part.shape == (1, 2 * 48000)
    assert decoded["audio"] * 1024 < 4 * 48000  # a second of run-up, and a bit
    with AudioReader(long[ending], start=START, stop=STOP, rate_hz=16000, mono=True) as reader:
        assert sum(block.samples.shape[1] for block in reader) == 2 * 16000
    whole, reader = read(long[ending])
    first = round((START - reader.start) * 48000)
    assert lag(whole[0, first : first + 2 * 48000], part[0]) == 0
    assert np.abs(whole[:, first : first + 2 * 48000] - part).max() < 0.01  # noise of AAC


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_only_the_part_of_the_picture_is_decoded(long, decoded, ending):
    times = [frame.time for frame in read_frames(long[ending], start=START, stop=STOP, max_side=64)]
    assert len(times) == 50
    assert START <= times[0] < START + Fraction(1, 25)
    assert times[-1] < STOP
    assert decoded["video"] <= 50 + ROUND_S * 25 + 5  # from the key frame before on


def test_a_clock_that_leaps_on_the_way_is_not_trusted(media, decoded):
    """Without an index, what comes before a splice has to be read to know when things happen."""
    path = media("a.ts", Picture(frames=100), Sound(seconds=Fraction(4)))
    with av.open(str(path)) as old, av.open(str(path.with_name("b.ts")), "w") as new:
        copies = [new.add_stream_from_template(stream) for stream in old.streams]
        for packet in old.demux():
            if packet.size:
                if packet.pts * packet.time_base > 2.5:
                    packet.pts += 900_000
                    packet.dts += 900_000
                packet.stream = copies[packet.stream_index]
                new.mux(packet)
    spliced = path.with_name("b.ts")
    begin = probe(spliced).audio[0].start
    with AudioReader(spliced, start=begin + 13, stop=begin + 14) as reader:
        list(reader)
    assert decoded["audio"] > 2.4 * 48000 / 1024


@pytest.mark.parametrize("name", ["a.wav", "a.mkv", "a.mov", "a.avi"])
@pytest.mark.parametrize(
    ("start", "stop"), [(0, 1), (1, 2), (Fraction(1, 3), None), (2, 2), (5, 6)]
)
def test_lengths_are_exact_to_the_sample(media, name, start, stop):
    codec = "flac" if name == "a.mkv" else "pcm_s16le"
    picture = None if name == "a.wav" else Picture("mpeg4", frames=75)
    path = media(name, picture, Sound(codec, rate=44100, seconds=Fraction(3)))
    whole, _ = read(path)
    with AudioReader(path, start=Fraction(start), stop=stop and Fraction(stop)) as reader:
        blocks = [block.samples for block in reader]
        part = np.concatenate([np.zeros((2, 0), np.float32), *blocks], axis=1)
    first, last = (len(whole[0]) if t is None else round(t * 44100) for t in (start, stop))
    assert part.shape == whole[:, first:last].shape
    assert np.array_equal(part, whole[:, first:last])


@pytest.mark.parametrize("start", [Fraction(2), Fraction(10, 3), Fraction(5)])
@pytest.mark.parametrize("codec", ["libopus", "aac"])
def test_a_part_of_a_file_whose_clock_counts_milliseconds(media, codec, start):
    sound = Sound(codec, layout="mono", seconds=Fraction(6), start=Fraction(1, 7))
    path = media("a.mkv", Picture(), sound)
    whole, reader = read(path)
    with AudioReader(path, start=start) as part:
        samples = np.concatenate([block.samples for block in part], axis=1)
    first = round((start - reader.start) * reader.sample_rate)
    assert whole[:, first:].shape == samples.shape
    assert lag(whole[0, first:], samples[0]) == 0


def test_sound_that_begins_later_than_the_part(media):
    path = media("a.mkv", Picture(), Sound("flac", start=Fraction(1, 2)))
    with AudioReader(path, start=Fraction(1, 4), stop=Fraction(1)) as reader:
        assert reader.start == Fraction(1, 2)
        assert sum(block.samples.shape[1] for block in reader) == 24000


def _cut(source, target, start=START, stop=STOP, **more):
    count = round((stop - start) * 48000)
    voice = speechlike(1, count, 48000, 3)
    remux(source, NewTrack([voice], 48000, 1, start=start), target, start=start, stop=stop, **more)
    return voice


@pytest.mark.parametrize("source", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_a_part_is_copied_in_step_from_the_key_frame_before(
    long, tmp_path, monkeypatch, source, ending
):
    counts = Counter()
    read_packets = avse.media.cutting.read_packets

    def count(*arguments):
        for packet in read_packets(*arguments):
            counts[packet.stream.type] += 1
            yield packet

    monkeypatch.setattr(avse.media.cutting, "read_packets", count)
    path, target = long[source], tmp_path / f"part.{ending}"
    voice = _cut(path, target, keep_original_audio=True)
    if source != "ts":  # which has no index
        assert counts["video"] <= 50 + 2 * ROUND_S * 25 + 5
        assert counts["audio"] * 1024 <= (2 + 2 * ROUND_S) * 48000
    # The picture: copied from the key frame on, its times moved together.
    if source != "ts":  # whose packets are stored in another form
        before = {digest: time for time, digest in packets(path)}
        late = {round((before[d] - time) % ROUND_S * 1000) for time, d in packets(target)}
        assert max(late) - min(late) <= 1
    first = packets(path)[0][0]
    key = START // ROUND_S * ROUND_S + first
    shown_at = START - (START - first) % Fraction(1, 25)
    zero = shown_at if ending in ("mp4", "mov") else key
    shown = list(read_frames(target))
    images = list(read_frames(path, start=START, stop=STOP))
    placed = {round((f.time + zero - images[0].time) * 25): f.image for f in shown}
    for number, frame in enumerate(images[:10]):
        assert np.array_equal(placed[number], frame.image)
    assert abs(float(shown[-1].time + zero - STOP)) < 0.2
    # The sound: in step with it, the new and the old.
    sound, reader = read(target)
    late = lag(voice[0], sound[0, : len(voice[0])]) / 48000 + float(reader.start + zero - START)
    assert abs(late) < 0.0011
    with (
        AudioReader(path, start=START, stop=STOP) as old,
        AudioReader(target, track=1, start=START - zero) as copied,
    ):
        want, got = (np.concatenate([b.samples for b in r], axis=1)[0] for r in (old, copied))
    assert abs(lag(want[4800:], got[4800 : len(want)])) <= 48
    assert abs(len(got) - len(want)) < 2048


def test_up_to_an_end_alone(long, tmp_path):
    _cut(long["mp4"], tmp_path / "part.mp4", Fraction(0), Fraction(2))
    assert packets(tmp_path / "part.mp4")[:50] == packets(long["mp4"])[:50]
    assert probe(tmp_path / "part.mp4").duration < 2.2


def test_chapters_and_what_has_no_time(tmp_path):
    chapters = [
        {"id": n, "start": n * 1000, "end": n * 1000 + 1000, "time_base": Fraction(1, 1000)}
        | {"metadata": {"title": f"part {n}"}}
        for n in range(4)
    ]
    source = write_media(
        tmp_path / "a.mkv",
        Picture(frames=100, options={"g": "25"}),
        Sound("flac", layout="mono", seconds=Fraction(4)),
        metadata={"title": "Hällo"},
        chapters=chapters,
        attachment=("f.ttf", "font/ttf", b"abcd"),
    )
    _cut(source, tmp_path / "b.mkv", Fraction(3, 2), Fraction(5, 2))
    with av.open(str(tmp_path / "b.mkv")) as container:
        times = [
            (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]["title"])
            for c in container.chapters()
        ]
        assert container.metadata["title"] == "Hällo"
        assert [s.type for s in container.streams] == ["video", "audio", "attachment"]
    half, zero = Fraction(1, 2), Fraction(0)
    assert times == [(half, 1, "part 1"), (1, 3 * half, "part 2")]  # the key frame is at 1 s
    assert packets(tmp_path / "b.mkv")[0][0] == zero


@pytest.mark.parametrize("ending", ["mp4", "mkv", "mov", "ts"])
def test_a_part_after_a_jump_of_the_clock_is_found_in_times_as_played(tmp_path, ending):
    """Two seconds, an hour of nothing, and two seconds: of these four, the last but a half."""
    pieces = [(0, 2), (3600, 2)]
    path = jumping(tmp_path / f"a.{ending}", pieces, pieces)
    begin = probe(path).start
    start, stop = begin + 3, begin + Fraction(7, 2)
    with AudioReader(path, start=start, stop=stop) as reader:
        part = np.concatenate([block.samples for block in reader], axis=1)
        assert reader.start == start
        rate = reader.sample_rate
    assert part.shape[1] == rate // 2
    whole, reader = read(path)
    first = round((start - reader.start) * rate)
    assert part.std() == pytest.approx(whole[:, first : first + rate // 2].std(), rel=0.05)
    assert part.std() > 1.5 * whole[:, : rate // 2].std()  # the second sound is twice as loud
    times = [frame.time for frame in read_frames(path, start=start, stop=stop)]
    assert times == [f.time for f in read_frames(path) if start <= f.time < stop]
    assert len(times) in (12, 13)
    copy = tmp_path / "copy.mkv"
    remux(path, NewTrack([part], rate, len(part)), copy, start=start, stop=stop)
    end = probe(copy).duration
    assert end is not None
    assert Fraction(1, 2) <= end + Fraction(1, 20) < 2  # from a key frame on
    shown = [frame.image for frame in read_frames(copy)]
    asked = [frame.image for frame in read_frames(path, start=start, stop=stop)]
    assert all(np.array_equal(a, b) for a, b in zip(shown[-len(asked) :], asked, strict=True))


def test_a_part_has_no_time_code_of_the_beginning(media, tmp_path):
    path, coded = (
        media("a.mov", Picture("mpeg4", frames=75), Sound("pcm_s16le")),
        tmp_path / "b.mov",
    )
    with av.open(str(path)) as old, av.open(str(coded), "w") as new:
        copies = {s.index: new.add_stream_from_template(s) for s in old.streams}
        new.metadata["timecode"] = "01:00:00:00"
        for packet in old.demux():
            if packet.size:
                packet.stream = copies[packet.stream_index]
                new.mux(packet)
    voice = NewTrack([np.zeros((1, 8000), np.float32)], 8000, 1)
    for start, codes in ((None, 2), (Fraction(1), 0)):  # of the picture, and of the code's track
        copy = tmp_path / "copy.mov"
        made = remux(coded, voice, copy, start=start, overwrite=True, drop_unsupported=True)
        with av.open(str(copy)) as file:
            assert sum("timecode" in stream.metadata for stream in file.streams) == codes
        assert ["belongs to the whole" in why for why in made.dropped] == [True] * (not codes)
