"""The verb `mix`, as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avse.mixtures.manifest import read_manifest

from ..mixtures.made_clips import grid_folder, pcm, write_clip
from .conftest import Run


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("people")
    for n, name in enumerate(("anna", "ben", "carl"), 1):
        write_clip(root / name / "1.mkv", n, frames=6)
    return root


@pytest.fixture(scope="session")
def talkers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test and validation talkers of both GRID protocols, sound alone."""
    root = tmp_path_factory.mktemp("grid")
    for talker in (1, 4, 6, 11, 12, 16, 17, 18, 23, 25, 26, 27, 29, 30, 31, 32, 33, 34):
        grid_folder(root, range(talker, talker + 1), ending=".wav")
    return root


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets are small here: a process takes longer to start than to make one."""
    monkeypatch.setenv("AVSE_JOBS", "1")


def files() -> dict[str, bytes]:
    return {
        str(path): path.read_bytes() for path in sorted(Path("set").rglob("*")) if path.is_file()
    }


def test_a_user_gets_a_set(program: Run, clips: Path) -> None:
    ran = program("mix", clips, "-o", "set", "--count", 2)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"{Path('set', 'manifest.jsonl')}\n"
    assert sorted(files()) == [
        "set/SHA256SUMS",
        "set/manifest.jsonl",
        *(f"set/mixtures/0000{n}.wav" for n in (1, 2)),
        *(f"set/references/0000{n}.{k}.wav" for n in (1, 2) for k in (1, 2)),
        *(f"set/videos/0000{n}.mkv" for n in (1, 2)),
    ]
    first = files()
    again = program("mix", clips, "-o", "set", "--count", 2)
    assert (again.code, again.out) == (0, ran.out)
    assert again.errors == ["avse: 2 mixtures existed already, 0 made"]
    assert files() == first
    refused = program("mix", clips, "-o", "set", "--count", 3)
    assert (refused.code, refused.out) == (2, "")
    assert "--force" in refused.errors[-1]
    assert files() == first
    more = program("mix", clips, "-o", "set", "--count", 3, "--force")
    assert (more.code, more.errors) == (0, ["avse: 2 mixtures existed already, 1 made"])


def test_processes_do_not_show(program: Run, clips: Path) -> None:
    assert program("mix", clips, "-o", "set", "--count", 3, "-j", 1).code == 0
    alone = files()
    Path("set").rename("alone")
    ran = program("mix", clips, "-o", "set", "--count", 3, "-j", 2)
    assert (ran.code, ran.err) == (0, "")
    assert files() == alone


@pytest.mark.parametrize(
    ("protocol", "split", "talks"),
    [
        ("casia-grid", "test", {6, 12, 16, 17, 18, 23}),
        ("casia-grid", "valid", {1, 4, 11, 25, 27, 30}),
        ("morrone-grid", "valid", {26, 27, 29, 31}),
        ("morrone-grid", None, {30, 32, 33, 34}),
    ],
)
def test_grid(run: Run, talkers: Path, protocol: str, split: str | None, talks: set[int]) -> None:
    options = ["--split", split] if split else []
    ran = run(
        "mix", talkers, "-o", "set", "--protocol", protocol, *options, "--no-video", "--count", 25
    )
    assert (ran.code, ran.err) == (0, "")
    manifest = read_manifest(Path("set"))
    assert (manifest.protocol, manifest.split) == (protocol, split or "test")
    heard = {source.speaker for item in manifest.items for source in item.sources}
    assert heard == {f"s{number}" for number in talks}
    levels = [item.sir_db[0] for item in manifest.items]
    if protocol == "morrone-grid":
        assert max(map(abs, levels)) < 1e-3
    else:
        assert min(levels) < -2 < 2 < max(levels)
        assert all(-5.001 <= level <= 5.001 for level in levels)


def test_json(run: Run, clips: Path) -> None:
    ran = run("mix", clips, "-o", "set", "--count", 2, "--no-video", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert json.loads(ran.out) == {
        "manifest": str(Path("set", "manifest.jsonl")),
        "sha256": read_manifest(Path("set")).sha256,
        "protocol": "any",
        "split": "all",
        "made": 2,
        "kept": 0,
        "failed": [],
        "items": None,
    }


def test_a_dry_run_shows_the_plan_and_writes_nothing(run: Run, clips: Path) -> None:
    ran = run("mix", clips, "-o", "set", "--count", 3, "-n")
    assert ran.code == 0
    assert ran.errors == ["avse: dry run: nothing was written"]
    head, *rows = ran.out.splitlines()
    assert head.split() == ["mixture", "length", "left", "to", "right"]
    assert [row.split()[0] for row in rows] == ["00001", "00002", "00003"]
    assert all(".mkv" in row and "dB" in row for row in rows)
    shown = json.loads(run("mix", clips, "-o", "set", "--count", 3, "-n", "--json").out)
    assert list(Path().iterdir()) == []
    run("mix", clips, "-o", "set", "--count", 3)
    lines = Path("set", "manifest.jsonl").read_text(encoding="ascii").splitlines()
    assert [json.loads(line) for line in lines[1:]] == shown["items"]
    assert json.loads(lines[0])["sha256"] == shown["sha256"]


def test_levels_noise_and_speakers(run: Run, clips: Path, talkers: Path) -> None:
    options = ("--sir", "-3", "--snr", "2..2.5", "--speakers", "3", "--no-video", "--seed", "4")
    ran = run("mix", clips, "-o", "set", "--count", 1, "--noise", talkers, *options)
    assert (ran.code, ran.err) == (0, "")
    (item,) = read_manifest(Path("set")).items
    assert item.snr_db is not None
    assert 2 <= item.snr_db <= 2.5
    assert len(item.sources) == 3
    assert len(pcm(Path("set", str(item.outputs.noise)))) == item.samples
    # The first voice is 3 dB below each of two others.
    assert item.sir_db[0] == pytest.approx(-6.01, abs=0.01)


def test_a_list(run: Run, clips: Path) -> None:
    Path("list.scp").write_text("x/anna_1.wav 1 x/ben_1.wav -1\nx/eve_1.wav 0 x/ben_1.wav 0\n")
    ran = run("mix", clips, "-o", "set", "--list", "list.scp", "--no-video")
    assert (ran.code, ran.out) == (1, f"{Path('set', 'manifest.jsonl')}\n")
    assert ran.errors[0].startswith("avse: error: mixture 00002: no clip fits x/eve_1 in the list")
    assert ran.errors[1] == "hint: check the folder of clips"
    assert read_manifest(Path("set")).protocol == "list"


def test_a_broken_clip_is_reported_once_and_the_rest_is_made(run: Run, tmp_path: Path) -> None:
    for n, name in enumerate(("anna", "ben", "carl"), 1):
        write_clip(tmp_path / "clips" / name / "1.mkv", n, frames=4)
    (tmp_path / "clips" / "carl" / "1.mkv").write_bytes(b"nothing")
    ran = run("mix", tmp_path / "clips", "-o", "set", "--count", 12)
    assert ran.code == 1
    assert ran.out == f"{Path('set', 'manifest.jsonl')}\n"
    error, hint = ran.errors
    assert "more: " in error
    assert "carl" in error
    assert hint.startswith("hint: ")
    assert 0 < len(read_manifest(Path("set")).items) < 12
    ran = run("mix", tmp_path / "clips", "-o", "set", "--count", 12, "--json")
    answer = json.loads(ran.out)
    assert ran.code == 1
    assert len(answer["failed"]) + answer["kept"] == 12


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("none", "-o", "set"), 2, "none does not exist"),
        (("here", "-o", "set"), 1, "here holds no videos"),
        (("CLIPS",), 2, "--output"),
        (("CLIPS", "-o", ""), 2, "--output"),
        (("CLIPS", "-o", "set", "--sir", "loud"), 2, "--sir 'loud' is not a level"),
        (("CLIPS", "-o", "set", "--sir", "5..-5"), 2, "SIR 5..-5 dB is not a range"),
        (("CLIPS", "-o", "set", "--speakers", "5"), 2, "5 speakers are out of range"),
        (("CLIPS", "-o", "set", "--speakers", "4"), 1, "each mixture needs 4"),
        (("CLIPS", "-o", "set", "--protocol", "grid"), 2, "no protocol 'grid'"),
        (("CLIPS", "-o", "set", "--protocol", "list"), 2, "go together"),
        (("CLIPS", "-o", "set", "--protocol", "any", "--list", "x"), 2, "go together"),
        (("CLIPS", "-o", "set", "--list", "x"), 2, "the list x cannot be read"),
        (("CLIPS", "-o", "set", "--protocol", "casia-grid"), 2, "not laid out as GRID is"),
        (("CLIPS", "-o", "set", "--split", "dev"), 2, "no split 'dev'"),
        (("CLIPS", "-o", "set", "--noise", "none"), 2, "none does not exist"),
        (("CLIPS", "-o", "file"), 2, "file is a file"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(
    run: Run, clips: Path, options: tuple[str, ...], code: int, says: str
) -> None:
    Path("here").mkdir()
    Path("file").touch()
    ran = run("mix", *(clips if option == "CLIPS" else option for option in options))
    assert (ran.code, ran.out) == (code, "")
    error, hint = ran.errors
    assert error.startswith("avse: error: ")
    assert says in error
    assert hint.startswith("hint: ")
    assert sorted(path.name for path in Path().iterdir()) == ["file", "here"]


def test_defaults_come_from_file_and_environment(
    run: Run, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("mine.toml").write_text('[mix]\nsir = "1..2"\ncount = 4\nno-video = true\n')
    monkeypatch.setenv("AVSE_COUNT", "1")
    assert run("mix", clips, "-o", "set", "--config", "mine.toml").code == 0
    manifest = read_manifest(Path("set"))
    assert manifest.settings["sir_db"] == [1.0, 2.0]
    assert len(manifest.items) == 1
    assert manifest.items[0].picture is None


def test_interrupted(run: Run, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import avse.mixtures.rendering

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(avse.mixtures.rendering, "make_item", stop)
        ran = run("mix", clips, "-o", "set", "--count", 2)
    assert (ran.code, ran.out, ran.errors) == (130, "", ["avse: interrupted"])
    ran = run("mix", clips, "-o", "set", "--count", 2)
    assert (ran.code, ran.err) == (0, "")
