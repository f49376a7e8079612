"""What is found, how outputs are called, and what is refused before any work."""

from __future__ import annotations

import io
import os
import struct
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from avse.batch.discover import Found, discover
from avse.batch.estimates import START_S, estimate
from avse.batch.manifest import Record
from avse.batch.plan import BatchPlan, Item, bytes_needed, in_shard, make_items
from avse.batch.run import read_shard
from avse.batch.worker import Probed, ProbeTask, Tried, look_into
from avse.errors import InputError, OutputExistsError, UsageError
from avse.scene.speakers import Speakers
from tests.media.media_files import Picture, Sound, write_media

from .fake import REQUEST, write_tree


def below(found: list[Found], root: Path) -> list[tuple[str, str]]:
    return [(str(f.path.relative_to(root)), str(f.below)) for f in found]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = write_tree(tmp_path / "in", a__x="", b__x="", y="", b__c__z="")
    for name in ("note.txt", ".hidden.mp4", "._y.mp4"):
        (root / name).touch()
    (root / ".trash").mkdir()
    (root / ".trash" / "old.mp4").touch()
    return root


def test_folders_keep_their_sub_folders_and_hide_what_is_hidden(tree: Path) -> None:
    found = discover([str(tree)], output=tree / "out")
    assert below(found, tree) == [
        ("a/x.mp4", "a"),
        ("b/c/z.mp4", "b/c"),
        ("b/x.mp4", "b"),
        ("y.mp4", "."),
    ]


def test_outputs_inside_the_input_folder_are_no_inputs(tree: Path) -> None:
    write_tree(tree / "cleaned", a__x="")
    found = discover([str(tree)], output=tree / "cleaned")
    assert len(found) == 4


def test_patterns_and_lists(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = discover([f"{tree}/**/*.mp4"], output=tree / "out")
    assert [f for f in below(found, tree) if ".trash" not in f[0]] == [
        ("a/x.mp4", "a"),
        ("b/c/z.mp4", "b/c"),
        ("b/x.mp4", "b"),
        ("y.mp4", "."),
    ]
    names = tree / "names.txt"
    names.write_text(f"{tree}/y.mp4\r\n\n{tree}/a\n")
    found = discover([], [str(names)], output=tree / "out")
    assert below(found, tree) == [("a/x.mp4", "."), ("y.mp4", ".")]
    typed = io.TextIOWrapper(io.BytesIO(f"{tree}/a/x.mp4\0{tree}/b/x.mp4\0".encode()))
    monkeypatch.setattr(sys, "stdin", typed)
    found = discover([], ["-"], output=tree / "out", base=tree)
    assert below(found, tree) == [("a/x.mp4", "a"), ("b/x.mp4", "b")]


def test_what_is_not_there_is_said(tree: Path) -> None:
    with pytest.raises(InputError, match="no file matches"):
        discover([f"{tree}/*.mkv"], output=tree / "out")
    (tree / "empty").mkdir()
    with pytest.raises(InputError, match="no videos"):
        discover([str(tree / "empty")], output=tree / "out")
    with pytest.raises(InputError, match="list"):
        discover([], [str(tree / "no.txt")], output=tree / "out")
    with pytest.raises(UsageError, match="not below"):
        discover([str(tree / "y.mp4")], output=tree / "out", base=tree / "a")


def test_two_with_one_name_are_refused_with_the_way_out(tree: Path) -> None:
    given = [str(tree / "a/x.mp4"), str(tree / "b/x.mp4")]
    with pytest.raises(OutputExistsError, match="both be written") as caught:
        make_items(discover(given, output=tree / "out"), REQUEST, tree / "out")
    assert "--base" in caught.value.hint
    assert len(make_items(discover(given, output=tree, base=tree), REQUEST, tree / "out")) == 2
    (tree / "y.mov").touch()
    given = [str(tree / "y.mp4"), str(tree / "y.mov")]
    with pytest.raises(OutputExistsError, match="both be written"):
        make_items(discover(given, output=tree / "out"), REQUEST, tree / "out")
    named = replace(REQUEST, template="{name}.{speaker}{ext}")
    assert len(make_items(discover(given, output=tree / "out"), named, tree / "out")) == 2


def test_an_output_is_never_an_input(tree: Path) -> None:
    request = replace(REQUEST, verb="enhance", template="{stem}.mp4")
    with pytest.raises(OutputExistsError, match="is an input"):
        make_items(discover([str(tree)], output=tree / "out"), request, tree)


def test_one_template_for_two_people_is_refused(tree: Path) -> None:
    request = replace(REQUEST, speakers=Speakers.read([1, 2]), template="{stem}.wav")
    with pytest.raises(OutputExistsError, match="two outputs"):
        make_items(discover([str(tree)], output=tree / "out"), request, tree / "out")


def test_shards_are_parts_of_the_whole() -> None:
    items = [Item(f"key{n}", Path(f"/{n}.mp4"), Path(), 4.0) for n in range(200)]
    parts = [[i.key for i in items if in_shard(i, number, 3)] for number in (1, 2, 3)]
    assert sorted(key for part in parts for key in part) == sorted(item.key for item in items)
    assert min(map(len, parts)) > 40
    assert read_shard("3/8") == (3, 8)
    for text in ("0/3", "4/3", "x/3", "3", "1/"):
        with pytest.raises(UsageError):
            read_shard(text)


def test_the_largest_comes_first_and_size_and_time_follow_from_it() -> None:
    def item(name: str, seconds: float, width: int) -> Item:
        probed = Probed(seconds, 10**6, width, width, 25.0, 192_000)
        return Item(name, Path(f"/{name}"), Path(), 4.0, probed)

    plan = BatchPlan([item("short", 10, 640), item("large", 60, 1280), item("small", 60, 320)])
    plan.sort()
    assert [i.key for i in plan.todo] == ["large", "small", "short"]
    assert bytes_needed(plan.todo, REQUEST, {}) == 2 * 192_000 * 130
    assert bytes_needed(plan.todo, REQUEST, {"/large": 4}) == 192_000 * (4 * 60 + 2 * 70)


def test_the_estimate_follows_what_was_measured() -> None:
    probed = Probed(100.0, 10**6, 1280, 720, 25.0, 192_000)
    items = [Item(name, Path(f"/{name}"), Path(), 4.0, probed) for name in "abcd"]
    rule = estimate(items, 2, [])
    assert (rule.basis, rule.seconds) == ("rule", START_S + 2 * items[0].work_s)
    assert rule.low_s < rule.seconds < rule.high_s
    trial = estimate(items, 2, [], [Tried(9.0, 2.0, 1.0), Tried(7.0, 4.0, 1.0)])
    assert (trial.basis, trial.seconds) == ("trial", round(9 + 2 * 3 * items[0].work_s, 1))
    records = [
        Record("done", "/x", None, "", "", seconds=50.0, media_s=25.0),
        Record("failed", "/y", None, "", "", seconds=999.0, media_s=25.0),
    ]
    known = estimate(items, 2, records, [Tried(9.0, 2.0, 1.0)])
    assert (known.basis, known.seconds) == ("records", START_S + 2 * 200.0)
    assert estimate(items, 50, records).seconds == START_S + 200.0  # no more jobs than work
    assert estimate([], 2, records).seconds == 0


def test_the_digest_follows_what_decides_the_outputs() -> None:
    settings = REQUEST.settings
    same = replace(
        REQUEST, settings=replace(settings, device="cuda", model="other", people="p.toml")
    )
    assert same.digest() == REQUEST.digest()
    for other in (
        replace(REQUEST, settings=replace(settings, window_s=5)),
        replace(REQUEST, speakers=Speakers.read(1)),
        replace(REQUEST, residual=True),
        replace(REQUEST, people_sha256="0"),
        replace(REQUEST, template="{stem}-{speaker}.flac"),
    ):
        assert other.digest() != REQUEST.digest()


def test_names_that_are_no_text_have_keys(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.mp4"))
    path.touch()
    (found,) = discover([str(tmp_path)], output=tmp_path / "out")
    (item,) = make_items([found], REQUEST, tmp_path / "out")
    assert len(item.key) == 20


def test_a_header_that_claims_months_asks_for_no_disk(tmp_path: Path) -> None:
    """Else one such file would stop the whole batch for want of terabytes."""
    path = write_media(tmp_path / "a.mkv", Picture(), Sound("flac"))
    data = bytearray(path.read_bytes())
    place = data.index(b"\x44\x89\x88") + 3  # the duration, in milliseconds
    data[place : place + 8] = struct.pack(">d", 9e9)
    path.write_bytes(data)
    probed = look_into(ProbeTask(str(path), REQUEST))
    assert probed.media_s is not None
    assert probed.media_s <= len(data) / 1000
    item = Item("a", path, Path(), 4.0, probed)
    assert bytes_needed([item], REQUEST, {}) < 2 * 192_000 * 120
