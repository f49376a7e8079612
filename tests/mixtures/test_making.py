from __future__ import annotations

import dataclasses
import hashlib
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import avse.mixtures.rendering
from avse.errors import InputError, OutputError, OutputExistsError, UsageError
from avse.media import AudioReader, probe, read_frames
from avse.mixtures.manifest import Item, read_manifest
from avse.mixtures.plan import MixturePlan, plan_set
from avse.mixtures.rendering import check_folder, make_item, make_set
from avse.mixtures.settings import SetSettings

from .made_clips import grey, pcm, write_clip

NUMBERS = {"anna": 1, "ben": 2, "böhm": 3, "dora": 4, "emil": 5}
SETTINGS = SetSettings(count=3, speakers=3)


@pytest.fixture(scope="session")
def plan(people: Path, noises: Path) -> MixturePlan:
    return plan_set(people, SETTINGS, noise=noises)


def make(plan: MixturePlan, folder: Path, people: Path, noises: Path, **more: int) -> object:
    return make_set(plan, folder, clips=people, noise=noises, **more)


@pytest.fixture(scope="session")
def made(
    plan: MixturePlan, people: Path, noises: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("made") / "set"
    make(plan, folder, people, noises)
    return folder


def tree(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def test_twice_the_same_bytes(made: Path, people: Path, noises: Path, tmp_path: Path) -> None:
    again = plan_set(people, SETTINGS, noise=noises)
    make(again, tmp_path / "elsewhere", people, noises)
    assert tree(tmp_path / "elsewhere") == tree(made)
    assert len(tree(made)) == 2 + 3 * (1 + 3 + 1 + 1)


def test_the_sums_are_those_of_the_files(made: Path, plan: MixturePlan) -> None:
    listed = [
        line.split("  ") for line in (made / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    ]
    files = tree(made)
    del files["manifest.jsonl"], files["SHA256SUMS"]
    assert {path: digest for digest, path in listed} == files
    assert [path for _, path in listed] == [
        path for item in plan.manifest.items for path in item.outputs.paths()
    ]
    assert read_manifest(made) == plan.manifest


def test_faces_stand_in_the_order_of_the_references(made: Path, plan: MixturePlan) -> None:
    for item in plan.manifest.items:
        assert item.picture is not None
        path = made / str(item.outputs.video)
        frames = list(read_frames(path))
        assert [frame.time for frame in frames] == [Fraction(n, 25) for n in range(len(frames))]
        assert len(frames) == item.picture.frames
        height, width = frames[0].image.shape[:2]
        assert (height, width) == (item.picture.height, item.picture.width)
        for frame in (frames[0], frames[-1]):
            for number, source in enumerate(item.sources):
                x = int(item.picture.centre(number) * width)
                seen = frame.image[height // 2, x].astype(int)
                assert np.abs(seen - grey(NUMBERS[source.speaker])).max() <= 3


def test_parts_keep_their_proportions(plan: MixturePlan) -> None:
    shapes = {"anna": 48 / 32, "ben": 64 / 48, "böhm": 48 / 32, "dora": 48 / 32, "emil": 32 / 48}
    for item in plan.manifest.items:
        assert item.picture is not None
        assert item.picture.height == 32
        for source, width in zip(item.sources, item.picture.widths, strict=True):
            assert width % 2 == 0
            assert abs(width - 32 * shapes[source.speaker]) <= 1


def test_the_sound_of_a_video_is_the_mixture(made: Path, plan: MixturePlan) -> None:
    for item in plan.manifest.items:
        path = made / str(item.outputs.video)
        info = probe(path)
        assert info.video is not None
        assert (info.video.codec, info.audio[0].codec) == ("h264", "flac")
        assert info.video.start == info.audio[0].start == 0
        with AudioReader(path) as reader:
            sound = np.concatenate([block.samples for block in reader], axis=-1)[0]
        np.testing.assert_allclose(sound, pcm(made / item.outputs.mixture), rtol=0, atol=2**-23)


def test_nothing_tells_when_or_by_what_a_video_was_made(made: Path) -> None:
    with av.open(str(made / "videos" / "00001.mkv")) as file:
        assert "creation_time" not in file.metadata
        assert file.metadata.get("encoder", "") in ("", "Lavf")


def test_height_and_rate_can_be_chosen(people: Path, tmp_path: Path) -> None:
    settings = SetSettings(count=1, height=64, sample_rate=44_100, seconds=0.2)
    plan = plan_set(people, settings)
    make_set(plan, tmp_path / "set", clips=people)
    (item,) = plan.manifest.items
    assert item.samples == 5 * 1764
    info = probe(tmp_path / "set" / "videos" / "00001.mkv")
    assert info.video is not None
    assert info.video.height == 64
    assert info.audio[0].sample_rate == 44_100


@pytest.mark.parametrize("late", [Fraction(1, 5), Fraction(-1, 5)])
@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30), Fraction(24000, 1001), Fraction(60)])
def test_a_flash_and_its_click_stay_together(tmp_path: Path, fps: Fraction, late: Fraction) -> None:
    """Sound that starts before or after the picture, at any frame rate."""
    video_start, sound_start = Fraction(1, 2), Fraction(1, 2) + late
    count, flash = round(2 * fps), round(fps)
    images = [np.full((32, 48, 3), 255 if n >= flash else 0, np.uint8) for n in range(count)]
    sound = np.zeros(44_100 * 2, np.float32)
    sound[round((video_start + flash / fps - sound_start) * 44_100)] = 0.9
    timing = {"video_start": video_start, "sound_start": sound_start}
    for person in ("a", "b"):
        write_clip(
            tmp_path / "clips" / person / "x.mkv", 1, images=images, sound=sound, fps=fps, **timing
        )
    plan = plan_set(tmp_path / "clips", SetSettings(count=1))
    make_set(plan, tmp_path / "set", clips=tmp_path / "clips")
    (item,) = plan.manifest.items
    frames = list(read_frames(tmp_path / "set" / "videos" / "00001.mkv"))
    seen = next(n for n, frame in enumerate(frames) if frame.image.mean() > 128) / 25
    heard = np.abs(pcm(tmp_path / "set" / item.outputs.mixture)).argmax() / 16_000
    begin = max(video_start, sound_start) + Fraction(item.sources[0].start_s)
    assert heard == pytest.approx(float(video_start + flash / fps - begin), abs=1e-3)
    assert abs(seen - heard) <= 0.5 / 25 + 0.5 / fps + 1e-3


def test_a_run_that_was_stopped_is_taken_up(
    plan: MixturePlan,
    made: Path,
    people: Path,
    noises: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "set"

    def stopped(item: Item, *rest: object, **more: object) -> None:
        if item.id == "00002":
            raise KeyboardInterrupt
        make_item(item, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(avse.mixtures.rendering, "make_item", stopped)
        with pytest.raises(KeyboardInterrupt):
            make(plan, folder, people, noises)
    assert read_manifest(folder) == plan.manifest
    assert (folder / "videos" / "00001.mkv").is_file()
    assert not (folder / "videos" / "00002.mkv").exists()
    # A kill leaves an unfinished file and the sums of the last item unwritten.
    (folder / "videos" / ".00002.0123abcd.part.mkv").write_bytes(b"half")
    (folder / "mixtures" / "00002.wav").write_bytes(b"of another time")
    done = make(plan, folder, people, noises)
    assert (done.kept, done.made) == (("00001",), ("00002", "00003"))
    assert tree(folder) == tree(made)


def test_what_is_missing_or_damaged_is_made_again(
    plan: MixturePlan, made: Path, people: Path, noises: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    make(plan, folder, people, noises)
    (folder / "references" / "00003.2.wav").unlink()
    with (folder / "noise" / "00001.wav").open("r+b") as file:
        file.seek(2000)
        file.write(b"\1")
    done = make(plan, folder, people, noises)
    assert (done.kept, done.made) == (("00002",), ("00001", "00003"))
    assert tree(folder) == tree(made)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.wav")}
    assert make(plan, folder, people, noises).made == ()
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.wav")}


def test_another_set_is_replaced_only_when_asked(
    plan: MixturePlan, people: Path, noises: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    make(plan, folder, people, noises)
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    shorter = plan_set(people, dataclasses.replace(SETTINGS, count=2), noise=noises)
    with pytest.raises(OutputExistsError, match="holds another set") as caught:
        make(shorter, folder, people, noises)
    assert "--force" in caught.value.hint
    assert read_manifest(folder) == plan.manifest
    done = make(shorter, folder, people, noises, overwrite=True)
    assert (done.kept, done.made) == (("00001", "00002"), ())
    other = plan_set(people, dataclasses.replace(SETTINGS, count=1, seed=5, video=False))
    done = make(other, folder, people, noises, overwrite=True)
    assert done.made == ("00001",)
    assert sorted(tree(folder)) == [
        "SHA256SUMS",
        "manifest.jsonl",
        "mixtures/00001.wav",
        "notes.txt",
        *(f"references/00001.{n}.wav" for n in (1, 2, 3)),
    ]


def test_folders_that_a_set_cannot_go_to(
    plan: MixturePlan, people: Path, noises: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is a file"):
        make(plan, tmp_path / "file", people, noises)
    for folder in (people, people / "set", people.parent):
        with pytest.raises(UsageError, match="contains the other"):
            check_folder(folder, people, None, overwrite=True)
    for folder in (people, people / "anna", people.parent):
        with pytest.raises(UsageError, match="contains the other"):
            make(plan, folder, people, noises, overwrite=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    with pytest.raises(OutputExistsError, match="is not empty"):
        make(plan, tmp_path / "full", people, noises)


def test_a_clip_that_goes_bad_while_mixing_does_not_stop_the_rest(
    people: Path, tmp_path: Path
) -> None:
    shutil.copytree(people, tmp_path / "clips")
    settings = SetSettings(count=6)
    plan = plan_set(tmp_path / "clips", settings)
    (tmp_path / "clips" / "anna" / "1.mkv").write_bytes(b"gone")
    done = make_set(plan, tmp_path / "set", clips=tmp_path / "clips")
    bad = {i.id for i in plan.manifest.items if "anna" in {s.speaker for s in i.sources}}
    assert {failure.id for failure in done.failures} == bad
    assert 0 < len(bad) < 6
    assert set(done.made) == {i.id for i in plan.manifest.items} - bad
    assert not list((tmp_path / "set").rglob("*.part.*"))
    before = tree(tmp_path / "set")
    shutil.rmtree(tmp_path / "set")
    again = make_set(plan, tmp_path / "set", clips=tmp_path / "clips", jobs=2)
    assert (again.made, again.kept) == (done.made, ())
    assert [(f.id, f.error.message, f.error.hint) for f in again.failures] == [
        (f.id, f.error.message, f.error.hint) for f in done.failures
    ]
    assert tree(tmp_path / "set") == before


def test_a_file_that_cannot_be_written_ends_the_work(
    plan: MixturePlan, people: Path, noises: Path, tmp_path: Path
) -> None:
    for jobs in (1, 2):
        folder = tmp_path / f"set{jobs}"
        (folder / "mixtures" / "00001.wav").mkdir(parents=True)
        with pytest.raises(OutputError):
            make(plan, folder, people, noises, overwrite=True, jobs=jobs)


@pytest.mark.parametrize("name", ["mixtures", "references", "videos"])
def test_a_link_does_not_lead_out_of_the_folder(
    plan: MixturePlan, people: Path, noises: Path, tmp_path: Path, name: str
) -> None:
    other, folder = tmp_path / "other", tmp_path / "set"
    for made in (other, folder):
        made.mkdir()
    victims = [other / Path(path).name for path in plan.manifest.items[0].outputs.paths()]
    for victim in victims:
        victim.write_text("precious")
    (folder / name).symlink_to(other)
    with pytest.raises(InputError, match="leads out of the folder"):
        make(plan, folder, people, noises, overwrite=True)
    assert {victim.read_text() for victim in victims} == {"precious"}


def test_a_manifest_that_asks_for_more_than_a_clip_holds(
    plan: MixturePlan, people: Path, noises: Path, tmp_path: Path
) -> None:
    item = plan.manifest.items[0]
    with pytest.raises(InputError, match="ends before"):
        make_item(
            dataclasses.replace(item, samples=1000 * item.samples),
            tmp_path,
            clips=people,
            noise=noises,
        )
