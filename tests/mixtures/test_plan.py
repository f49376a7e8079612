from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
import pytest

from avse.errors import InputError, UsageError
from avse.mixtures.corpus import find_corpus
from avse.mixtures.manifest import Item
from avse.mixtures.plan import PEAK, plan_set
from avse.mixtures.rendering import make_set
from avse.mixtures.sampling import Sampler
from avse.mixtures.settings import SetSettings

from .made_clips import grid_folder, hum, pcm, write_clip, write_wav

SOUND = SetSettings(video=False)


def power(x: np.ndarray) -> float:
    return float(np.mean(x.astype(np.float64) ** 2))


def db(ratio: float) -> float:
    return 10 * float(np.log10(ratio))


def make(tmp_path: Path, clips: Path, settings: SetSettings, **more: Path) -> Iterable[Item]:
    plan = plan_set(clips, settings, **more)
    assert plan.failures == ()
    made = make_set(plan, tmp_path / "set", clips=clips, noise=more.get("noise"))
    assert made.failures == ()
    return plan.manifest.items


@pytest.mark.parametrize(
    ("protocol", "low", "high"), [("casia-grid", -5, 5), ("morrone-grid", 0, 0)]
)
def test_levels_are_those_of_the_protocol(
    grid: Path, tmp_path: Path, protocol: str, low: float, high: float
) -> None:
    settings = SetSettings(protocol=protocol, count=12, video=False)
    drawn = []
    for item in make(tmp_path, grid, settings):
        first, second = (pcm(tmp_path / "set" / path) for path in item.outputs.references)
        sir = db(power(first) / power(second))
        assert item.sir_db == pytest.approx((sir, -sir), abs=1e-3)
        assert low - 1e-3 <= sir <= high + 1e-3
        assert len({source.speaker for source in item.sources}) == 2
        drawn.append(sir)
    assert np.ptp(drawn) > (high - low) / 2 or low == high


@pytest.mark.parametrize("voices", [2, 3, 4])
def test_references_and_noise_add_up_to_the_mixture(
    people: Path, noises: Path, tmp_path: Path, voices: int
) -> None:
    settings = SetSettings(speakers=voices, count=5, snr_db=(3, 8), sir_db=(1, 4), video=False)
    for item in make(tmp_path, people, settings, noise=noises):
        folder = tmp_path / "set"
        parts = [pcm(folder / path) for path in item.outputs.references]
        assert len(parts) == voices
        noise = pcm(folder / str(item.outputs.noise))
        mixture = pcm(folder / item.outputs.mixture)
        assert {len(x) for x in (*parts, noise, mixture)} == {item.samples}
        assert item.samples % 640 == 0
        np.testing.assert_allclose(sum(parts) + noise, mixture, rtol=0, atol=1e-6)
        assert np.abs(mixture).max() == pytest.approx(PEAK, abs=1e-4)
        powers = [power(part) for part in parts]
        for level in [db(powers[0] / other) for other in powers[1:]]:
            assert 1 - 1e-3 <= level <= 4 + 1e-3
        sirs = [db(p / (sum(powers) - p)) for p in powers]
        assert item.sir_db == pytest.approx(sirs, abs=1e-3)
        assert item.snr_db == pytest.approx(db(sum(powers) / power(noise)), abs=1e-3)
        assert 3 <= item.snr_db <= 8


def test_an_item_depends_on_the_seed_and_its_number_alone(grid: Path) -> None:
    few = plan_set(grid, dataclasses.replace(SOUND, count=3)).manifest.items
    more = plan_set(grid, dataclasses.replace(SOUND, count=6)).manifest.items
    other = plan_set(grid, dataclasses.replace(SOUND, count=3, seed=1)).manifest.items
    assert more[:3] == few
    assert all(a.sources != b.sources for a, b in zip(few, other, strict=True))


def test_dice_fall_the_same_for_ever() -> None:
    dice = Sampler(0, 1)
    assert dice.fraction() == 0.1360440997395832
    assert sorted(dice.several("abcd", 4)) == list("abcd")
    assert all(-5 <= dice.level((-5, 5)) <= 5 for _ in range(50))


def test_excerpts_begin_anywhere_in_any_folder_but_not_in_grid(tmp_path: Path, grid: Path) -> None:
    for person in range(1, 5):
        write_wav(tmp_path / "clips" / f"p{person}" / "long.wav", hum(5, 16_000, person))
    settings = dataclasses.replace(SOUND, seconds=1, count=8)
    items = plan_set(tmp_path / "clips", settings).manifest.items
    starts = {source.start_s for item in items for source in item.sources}
    assert len(starts) > 8
    assert all(0 <= start <= 4 and start == round(start * 25) / 25 for start in starts)
    assert {item.samples for item in items} == {16_000}
    settings = dataclasses.replace(settings, protocol="casia-grid", seconds=0.04)
    items = plan_set(grid, settings).manifest.items
    assert {source.start_s for item in items for source in item.sources} == {0.0}


def test_excerpts_are_where_the_manifest_says(tmp_path: Path) -> None:
    sounds = {p: hum(2, 16_000, p) for p in (1, 2)}
    for person, sound in sounds.items():
        write_wav(tmp_path / "clips" / f"p{person}" / "a.wav", sound)
    settings = dataclasses.replace(SOUND, seconds=0.48, count=3)
    for item in make(tmp_path, tmp_path / "clips", settings):
        for source, path in zip(item.sources, item.outputs.references, strict=True):
            start = round(source.start_s * 16_000)
            expected = sounds[int(source.speaker[1:])][start : start + 7_680]
            gain = 10 ** (source.gain_db / 20)
            np.testing.assert_allclose(pcm(tmp_path / "set" / path), gain * expected, atol=1e-6)


def test_a_list_is_mixed_line_by_line(tmp_path: Path) -> None:
    clips = tmp_path / "main"
    for n, name in enumerate(("111/00001", "222/00007", "333/00002")):
        write_wav(clips / f"{name}.wav", hum(1 + n, 16_000, n + 1))
    text = (
        "../raw/111_00001.wav 2.5 ../raw/222_00007.wav -2.5\n"
        "../raw/222_00007.wav 0 ../raw/444_00001.wav 0\n"
        "../raw/333_00002.wav 0 ../raw/333_00002.wav 0\n"
        "../raw/333_00002.wav 1 ../raw/222_00007.wav -1 ../raw/111_00001.wav -2\n"
    )
    (tmp_path / "list.scp").write_text(text, encoding="utf-8")
    settings = SetSettings(protocol="list", video=False)
    plan = plan_set(clips, settings, list_file=tmp_path / "list.scp")
    one, two = plan.manifest.items
    assert (one.id, two.id) == ("00001", "00004")
    assert [source.path for source in one.sources] == ["111/00001.wav", "222/00007.wav"]
    assert one.sir_db == pytest.approx((5, -5), abs=1e-3)
    assert (one.samples, two.samples) == (16_000, 16_000)
    assert [failure.id for failure in plan.failures] == ["00002", "00003"]
    assert "no clip fits ../raw/444_00001" in plan.failures[0].error.message
    assert "same person" in plan.failures[1].error.message
    with pytest.raises(UsageError, match="names no splits"):
        plan_set(
            clips, dataclasses.replace(settings, split="test"), list_file=tmp_path / "list.scp"
        )


def test_a_list_with_splits(tmp_path: Path) -> None:
    for name in ("test/id00001/v/1", "test/id00002/w/2", "train/id00003/x/3"):
        write_wav(tmp_path / "vox" / f"{name}.wav", hum(1, 16_000, int(name[-1])))
    text = (
        "train,train,id00003,x/3,0,test,id00001,v/1,-1,0.5\n"
        "test,test,id00001,v/1,0,test,id00002,w/2,-3.5,0.48\n"
        "test,test,id00002,w/2,0,test,id00001,v/1,3.5,0.5\n"
    )
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    settings = SetSettings(protocol="list", video=False)

    def plan(**more: object) -> list[Item]:
        chosen = dataclasses.replace(settings, **more)
        return list(
            plan_set(tmp_path / "vox", chosen, list_file=tmp_path / "list.csv").manifest.items
        )

    one, two = plan()
    assert [source.speaker for source in one.sources] == ["id00001", "id00002"]
    assert one.sir_db == pytest.approx((3.5, -3.5), abs=1e-3)
    assert two.sir_db == pytest.approx((-3.5, 3.5), abs=1e-3)
    assert (one.samples, two.samples) == (7_680, 7_680)  # 12 whole pictures
    assert len(plan(split="all")) == 3
    assert len(plan(count=1)) == 1
    assert [s.speaker for s in plan(split="train")[0].sources] == ["id00003", "id00001"]
    with pytest.raises(UsageError, match="has no valid split"):
        plan(split="valid")


def test_a_set_is_made_again_from_its_manifest(people: Path, noises: Path, tmp_path: Path) -> None:
    settings = SetSettings(count=4, seed=3, seconds=0.2)
    plan = plan_set(people, settings, noise=noises)
    make_set(plan, tmp_path / "one", clips=people, noise=noises)
    shutil.copytree(people, tmp_path / "theirs")
    listed = SetSettings(protocol="list")
    manifest = tmp_path / "one" / "manifest.jsonl"
    again = plan_set(tmp_path / "theirs", listed, noise=noises, list_file=manifest)
    assert again == plan
    make_set(again, tmp_path / "two", clips=tmp_path / "theirs", noise=noises)
    for path in (tmp_path / "one").rglob("*.*"):
        twin = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert twin.read_bytes() == path.read_bytes()
    with pytest.raises(UsageError, match="has noise"):
        plan_set(people, listed, list_file=manifest)
    more = dataclasses.replace(listed, count=2)
    with pytest.raises(UsageError, match="says everything itself"):
        plan_set(people, more, noise=noises, list_file=manifest)
    with pytest.raises(InputError, match="no clip of"):
        plan_set(noises, listed, noise=noises, list_file=manifest)
    clip = tmp_path / "theirs" / plan.manifest.items[0].sources[0].path
    with clip.open("ab") as file:
        file.write(b"more")
    changed = plan_set(tmp_path / "theirs", listed, noise=noises, list_file=manifest)
    assert changed.failures[0].id == "00001"
    assert "its SHA-256 differs" in changed.failures[0].error.message
    assert changed.manifest.sha256 != plan.manifest.sha256


def test_a_broken_clip_spoils_only_its_own_items(tmp_path: Path) -> None:
    grid_folder(tmp_path / "clips", range(1, 5), ending=".wav")
    whole = plan_set(tmp_path / "clips", dataclasses.replace(SOUND, count=20)).manifest
    broken = tmp_path / "clips" / "s3" / "bbaf2n.wav"
    broken.write_bytes(b"no sound at all" * 9)
    write_wav(tmp_path / "clips" / "s2" / "lwwz9a.wav", np.zeros(6_400, np.float32))
    plan = plan_set(tmp_path / "clips", dataclasses.replace(SOUND, count=20))
    bad = {"s3/bbaf2n.wav", "s2/lwwz9a.wav"}
    good = [item for item in whole.items if not bad & {source.path for source in item.sources}]
    assert list(plan.manifest.items) == good
    assert len(good) + len(plan.failures) == 20
    messages = {failure.error.message for failure in plan.failures}
    assert any("bbaf2n.wav: is text, not a media file" in message for message in messages)
    assert any("lwwz9a.wav is silent" in message for message in messages)


def test_sets_that_cannot_be_planned(tmp_path: Path, grid: Path) -> None:
    grid_folder(tmp_path / "clips", range(1, 3), ending=".wav")
    with pytest.raises(InputError, match="of 2 people, and each mixture needs 3"):
        plan_set(tmp_path / "clips", dataclasses.replace(SOUND, speakers=3))
    for path in (tmp_path / "clips").rglob("*.wav"):
        path.write_bytes(b"x")
    with pytest.raises(InputError, match="none of 4 mixtures can be made"):
        plan_set(tmp_path / "clips", dataclasses.replace(SOUND, count=4))
    with pytest.raises(UsageError, match="go together"):
        plan_set(grid, SetSettings(protocol="list"))
    with pytest.raises(UsageError, match="does not exist"):
        plan_set(grid, SOUND, noise=tmp_path / "none")
    (tmp_path / "quiet").mkdir()
    write_wav(tmp_path / "quiet" / "a.wav", np.zeros(8_000, np.float32))
    with pytest.raises(InputError, match="20 excerpts in a row are silent"):
        plan_set(grid, dataclasses.replace(SOUND, count=1), noise=tmp_path / "quiet")


def test_a_clip_without_a_picture_or_without_sound(tmp_path: Path) -> None:
    for person in (1, 2):
        write_clip(tmp_path / f"p{person}" / "a.mkv", person)
    (tmp_path / "p1" / "a.mkv").unlink()
    source = write_wav(tmp_path / "x.wav", hum(1, 16_000, 1))
    source.rename(tmp_path / "p1" / "a.mp4")
    with pytest.raises(InputError, match="no moving picture"):
        plan_set(tmp_path, SetSettings(count=1))
    assert find_corpus(tmp_path, "any", "all", pictures=True).people()


def test_a_clip_whose_picture_is_damaged_all_over(tmp_path: Path) -> None:
    write_clip(tmp_path / "p1" / "a.mkv", 1)
    path = write_clip(tmp_path / "p2" / "a.mkv", 2)
    damaged = path.with_name("b.mkv")
    noise = np.random.default_rng(0)
    with av.open(str(path)) as old, av.open(str(damaged), "w") as new:
        copies = [new.add_stream_from_template(stream) for stream in old.streams]
        for packet in old.demux():
            if not packet.size:
                continue
            made = av.Packet(noise.bytes(packet.size)) if packet.stream_index == 0 else packet
            times = packet.pts, packet.dts, packet.time_base
            made.stream = copies[packet.stream_index]
            made.pts, made.dts, made.time_base = times
            new.mux(made)
    path.unlink()
    with pytest.raises(InputError, match="no picture of it can be decoded"):
        plan_set(tmp_path, SetSettings(count=1))
    assert plan_set(tmp_path, dataclasses.replace(SOUND, count=1)).failures == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"protocol": "grid"},
        {"split": "dev"},
        {"speakers": 1},
        {"speakers": 5},
        {"count": 0},
        {"sir_db": (5.0, -5.0)},
        {"sir_db": (0.0, float("nan"))},
        {"snr_db": (0.0, 100.0)},
        {"seconds": 0.0},
        {"height": 287},
        {"sample_rate": 16_001},
        {"sample_rate": 0},
        {"seed": -1},
        {"protocol": "list", "speakers": 2},
        {"protocol": "list", "sir_db": (0.0, 0.0)},
    ],
)
def test_choices_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError) as caught:
        SetSettings(**wrong)
    assert caught.value.hint
