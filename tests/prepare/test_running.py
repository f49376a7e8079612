"""Packs: resumed, the same bytes however they came about, divided by person, clips dropped."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from avse.data.clips import AudioClip
from avse.data.pack import PreparedPack
from avse.errors import InputError, OutputExistsError, UsageError
from avse.prepare import measuring
from avse.prepare.running import prepare
from avse.prepare.settings import PrepareSettings
from tests.mixtures.made_clips import write_wav

SOUND = PrepareSettings(sound_only=True)


def files(folder: Path) -> dict[str, str]:
    """Sums of everything in a pack that is meant to be seen."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.is_file()
    }


def rows(folder: Path, name: str = "clips.jsonl") -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


@pytest.fixture(scope="module")
def pack(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packs") / "people"
    prepare([people], folder, PrepareSettings(hold_out=("ben",)))
    return folder


def test_a_pack_holds_lips_and_sound(pack: Path) -> None:
    listed = rows(pack)
    assert [row["id"] for row in listed] == [
        f"people/{name}" for name in ("ben/0", "ben/1", "anna/0", "anna/1")
    ]
    assert {row["person"]: row["split"] for row in listed}["ben"] == "test"
    for row in listed:
        assert row["samples"] == 30 * 640
        assert row["frames"] == 30
        flags = row["flags"]
        assert isinstance(flags, dict)
        assert flags["seen"] > 0.9
        assert flags["faces"] == 1
        assert flags["eyes_px"] > 20
    assert (pack / "people.png").read_bytes()[:4] == b"\x89PNG"
    report = json.loads((pack / "report.json").read_text())
    assert report["layout"] == "folders"
    assert report["people"] == 2
    assert "anna" in (pack / "report.txt").read_text()
    assert not [path for path in pack.iterdir() if "part" in path.name]


def test_the_reader_gives_back_what_went_in(pack: Path) -> None:
    read = PreparedPack(pack, confident=2.0)
    clips = read.talking(corpus="people")
    assert len(clips) == 4
    assert [clip.person for clip in read.talking("test")] == ["ben", "ben"]
    assert read.chosen("train", "others") == []
    clip = clips[0]
    assert clip.audio.shape == (30 * 640,)
    assert clip.lips.shape == (30, 43, 3)
    assert clip.seen.shape == (30,)
    raw = read.tensor(read.clips[0], "sound")
    np.testing.assert_array_equal(clip.audio, raw.astype(np.float32) / 32768)
    assert abs(float(np.median(clip.lips[clip.seen > 0]))) < 1e-3
    sound = read.sound("test")
    assert isinstance(sound.clips[1], AudioClip)
    np.testing.assert_array_equal(sound.audio(sound.clips[0]), clip.audio)


def test_the_reader_applies_sure_delays(pack: Path, tmp_path: Path) -> None:
    copy = tmp_path / "pack"
    shutil.copytree(pack, copy)
    listed = rows(copy)
    for row, (late, sure) in zip(listed, [(2, 0.95), (-3, 0.99), (2, 0.5), (0, 1)], strict=True):
        row.update(delay_frames=late, delay_confidence=sure)
    (copy / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in listed))
    read = PreparedPack(copy)
    frames = [len(clip.seen) for clip in read.talking()]
    assert frames == [28, 27, 30, 30]
    late, early = read.talking()[0], read.talking()[1]
    whole = read.tensor(read.clips[0], "sound").astype(np.float32) / 32768
    np.testing.assert_array_equal(late.audio, whole[2 * 640 :])
    np.testing.assert_array_equal(late.seen, read.tensor(read.clips[0], "seen")[:-2])
    np.testing.assert_array_equal(early.seen, read.tensor(read.clips[1], "seen")[3:])
    assert len(early.audio) == 27 * 640


def test_two_processes_make_the_same_bytes(pack: Path, people: Path, tmp_path: Path) -> None:
    prepare([people], tmp_path / "again", PrepareSettings(hold_out=("ben",)), jobs=2)
    assert files(tmp_path / "again") == files(pack)


def test_every_reason_to_drop_a_clip(trouble: Path, tmp_path: Path) -> None:
    made = prepare([trouble], tmp_path / "pack", PrepareSettings())
    assert {drop.source.path.rpartition(".")[0]: drop.reason for drop in made.dropped} == {
        reason: reason
        for reason in (
            "too short", "silence", "clipped", "several faces", "no face", "no picture",
            "unreadable", "lips out of sight",
        )
    }  # fmt: skip
    assert made.clips == 1
    assert [clip.source.path for clip in made.failures] == ["unreadable.mp4"]
    assert len(rows(tmp_path / "pack", "dropped.jsonl")) == 8
    assert made.layout == "flat"
    (row,) = rows(tmp_path / "pack")
    assert row["person"] == "like-good"


def test_a_rerun_reads_only_what_is_new_or_has_changed(voices: Path, tmp_path: Path) -> None:
    root = tmp_path / "voices"
    shutil.copytree(voices, root)
    assert prepare([root], tmp_path / "pack", SOUND).measured_before == 0
    before = files(tmp_path / "pack")
    assert prepare([root], tmp_path / "pack", SOUND).measured_before == 16
    assert files(tmp_path / "pack") == before
    os.utime(root / "p1" / "0.wav")  # touched, not changed
    write_wav(root / "p2" / "0.wav", np.full(20_000, 0.2, np.float32))
    write_wav(root / "p9" / "0.wav", np.full(20_000, 0.2, np.float32))
    made = prepare([root], tmp_path / "pack", SOUND)
    assert (made.measured_before, made.clips) == (15, 17)
    assert prepare([root], tmp_path / "pack", SOUND, force=True).measured_before == 0


def test_shards_keep_to_their_size(voices: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    root = tmp_path / "long"
    for n in range(6):
        noise = 0.1 * np.random.default_rng(n).standard_normal(20 * 16_000)
        write_wav(root / f"p{n}" / "a.wav", noise.astype(np.float32))
    write_wav(root / "p7" / "too long.wav", np.full(40 * 16_000, 0.1, np.float32))
    made = prepare([root], folder, PrepareSettings(sound_only=True, shard_mb=1))
    assert [drop.reason for drop in made.dropped] == ["too long"]
    shards = sorted(folder.glob("shard-*"))
    assert len(shards) == 6
    assert all(shard.stat().st_size <= 1e6 for shard in shards)
    prepare([root], folder, SOUND)
    assert len(list(folder.glob("shard-*"))) == 1
    assert len(PreparedPack(folder).sound().clips) == 7


def test_nobody_is_in_two_splits(voices: Path, tmp_path: Path) -> None:
    settings = PrepareSettings(
        sound_only=True, test_share=0.3, valid_share=0.3, hold_out=("p3", "voices/p4")
    )
    prepare([voices], tmp_path / "pack", settings)
    splits: dict[object, set[object]] = {}
    for row in rows(tmp_path / "pack"):
        splits.setdefault(row["person"], set()).add(row["split"])
    assert all(len(where) == 1 for where in splits.values())
    assert splits["p3"] == splits["p4"] == {"test"}
    first = dict(splits)
    moved = PrepareSettings(sound_only=True, test_share=0.3, valid_share=0.3, seed=1)
    prepare([voices], tmp_path / "pack", moved)
    assert {row["person"]: {row["split"]} for row in rows(tmp_path / "pack")} != first
    with pytest.raises(UsageError, match="nobody of that name"):
        prepare([voices], tmp_path / "pack", PrepareSettings(sound_only=True, hold_out=("zoe",)))


def test_what_can_be_refused_is_refused_first(voices: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "letter.txt").touch()
    with pytest.raises(OutputExistsError, match="is not empty"):
        prepare([voices], other, SOUND)
    with pytest.raises(UsageError, match="contains the other"):
        prepare([voices], voices / "pack", SOUND)
    with pytest.raises(UsageError, match="does not exist"):
        prepare([tmp_path / "gone"], tmp_path / "pack", SOUND)
    prepare([voices / "p1"], tmp_path / "pack", PrepareSettings(sound_only=True, layout="flat"))
    with pytest.raises(OutputExistsError, match="other folders"):
        prepare([voices], tmp_path / "pack", SOUND)
    prepare([voices], tmp_path / "pack", SOUND, force=True)


def test_nothing_worth_keeping_is_an_error(tmp_path: Path) -> None:
    write_wav(tmp_path / "clips" / "a" / "1.wav", np.zeros(20_000, np.float32))
    with pytest.raises(InputError, match="silence 1"):
        prepare([tmp_path / "clips"], tmp_path / "pack", SOUND)


def test_a_defect_stops_one_clip_only(
    voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = measuring.measure

    def measure(source, settings, backend):  # type: ignore[no-untyped-def]
        if source.path == "p2/1.wav":
            raise RuntimeError("a decoder gone mad")
        return real(source, settings, backend)

    monkeypatch.setattr(measuring, "measure", measure)
    made = prepare([voices], tmp_path / "pack", SOUND)
    assert [drop.detail for drop in made.failures] == ["RuntimeError: a decoder gone mad"]
    assert made.clips == 15
    monkeypatch.undo()
    made = prepare([voices], tmp_path / "pack", SOUND)  # tried again
    assert (made.clips, made.measured_before) == (16, 15)


def test_an_unfinished_pack_is_none(tmp_path: Path) -> None:
    (tmp_path / ".work").mkdir()
    with pytest.raises(InputError, match="not a finished pack"):
        PreparedPack(tmp_path)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_run_is_taken_up(voices: Path, tmp_path: Path, jobs: int) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    prepare([voices], whole, SOUND)
    command = [sys.executable, "-m", "avse", "prepare", str(voices), "-o", str(broken)]
    run = subprocess.Popen([*command, "--sound-only", "-j", str(jobs)], stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not list(broken.glob(".work/*/[!.]*.safetensors")) and time.monotonic() < until:
        time.sleep(0.002)
    run.send_signal(signal.SIGKILL)
    run.wait()
    made = prepare([voices], broken, SOUND)
    assert made.measured_before > 0
    assert files(broken) == files(whole)


@pytest.mark.parametrize(
    "change",
    [
        {"shard": "../other/shard-00000.safetensors"},
        {"shard": "link/shard-00000.safetensors"},
        {"shard": 3},
        {"id": "\ud800"},
        {"frames": 10**400},
        {"frames": 31},
        {"frames": "30"},
        {"samples": None},
        {"delay_frames": 30},
        {"flags": {"seen": "yes"}},
        {"flags": []},
        {"split": ["train"]},
    ],
    ids=str,
)
def test_a_list_that_is_not_that_of_its_shards(
    pack: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    copy = tmp_path / "pack"
    shutil.copytree(pack, copy)
    shutil.copytree(pack, tmp_path / "other")
    (copy / "link").symlink_to(tmp_path / "other")
    row = {**rows(copy)[0], "delay_confidence": 1, **change}
    (copy / "clips.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(InputError):
        PreparedPack(copy).talking()[0]


@pytest.mark.parametrize("content", ["[" * 100_000, "3", "[]", '"x"', "{"])
def test_a_list_that_is_none(pack: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "clips.jsonl").write_text(content + "\n")
    with pytest.raises(InputError, match="damaged"):
        PreparedPack(tmp_path)


def test_labels_stay_below_the_folder_of_clips(voices: Path, tmp_path: Path) -> None:
    write_wav(tmp_path / "secret.wav", np.full(20_000, 0.2, np.float32))
    table = tmp_path / "labels.tsv"
    for name in (str(tmp_path / "secret.wav"), "../secret.wav", "a\0b"):
        table.write_text(f"file\n{name}\n")
        with pytest.raises(UsageError, match="does not lie below"):
            prepare([voices], tmp_path / "pack", SOUND, labels=table)
