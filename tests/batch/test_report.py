"""The report as whoever gets it reads it: players, links, words, and nothing of this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from avse.batch import report
from avse.batch.originals import ORIGINALS, CopyTask, copy_sound
from avse.batch.staging import WORK, key_of
from avse.errors import MediaError, OutputError
from avse.media import AudioReader
from avse.settings import Settings
from avse.utils.file_state import mark
from tests.media.media_files import Picture, Sound, speechlike, write_media

from .fake import REQUEST, Told, clean, write_tree
from .pages import REPORT, Page

HOSTILE = "javascript:alert(1) <img src=x onerror=alert(2)> \"q\" 'a' #?%41&amp; ünï 語"


def change_card(output: Path, source: Path, **more: object) -> None:
    """What a worker would have found out about a recording."""
    path = output / WORK / "cards" / f"{key_of(str(source))}.json"
    card = json.loads(path.read_text())
    card["before"].update(more)
    path.write_text(json.dumps(card))


def test_a_recording_has_a_player_for_each_person_and_words(tmp_path: Path) -> None:
    source, output = write_tree(tmp_path / "in", a__x="voices 2"), tmp_path / "out"
    clean(source, output, originals=True)
    page = Page(output / REPORT)
    before, first, second = page.players()
    assert before["aria-label"] == "Before: Original, a/x.mp4"
    assert first["aria-label"] == "After: Person 1, a/x.mp4"
    assert page.file(first["src"]) == output / "a/x.1.wav"
    assert page.file(second["src"]) == output / "a/x.2.wav"
    assert {player["preload"] for player in page.players()} == {"none"}
    assert all("controls" in player for player in page.players())
    assert [image["alt"] for image in page.all("img")] == [f"Face of person {n}" for n in (1, 2, 3)]
    assert "0:01.5 in the picture" in page.text
    assert "Length 0:02.0; people in the picture: 2" in page.text
    buttons = [button["aria-controls"] for button in page.all("button")]
    assert buttons == [first["id"], second["id"]]


def test_the_folder_can_be_moved_and_names_no_other(tmp_path: Path) -> None:
    words = {"a__x": "voices 2", "bad": "refuse", "worse": "unreadable", "dead": "crash"}
    source, output = write_tree(tmp_path / "in", **words), tmp_path / "out"
    (source / f"{HOSTILE}.mp4").write_text("voices 1")
    (source / os.fsdecode(b"\xff.mp4")).write_text("voices 1")
    clean(source, output, originals=True)
    moved = tmp_path / "elsewhere" / "with space #1"
    moved.parent.mkdir()
    shutil.move(output, moved)
    page = Page(moved / REPORT)
    addresses = list(page.addresses())
    assert len(addresses) == 4 + 2 * 3 + 4  # each file and copy: a link and a player
    assert all(page.file(address).is_file() for address in addresses)
    assert str(tmp_path) not in page.source
    assert tmp_path.name not in page.source
    assert "bad.mp4 no face was found What to do: Show one." in page.text
    assert "What to do: Check that it plays." in page.text
    assert "SIGSEGV" in page.text


def test_names_are_text_and_nothing_else(tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    (source / f"{HOSTILE}.mp4").write_text("voices 1")
    (source / "bad <script>alert(3)<script>.mp4").write_text("refuse")
    clean(source, output, originals=True)
    page = Page(output / REPORT)
    assert HOSTILE in page.text
    assert [about.get("src") for about in page.all("script")] == [None]
    assert all("alt" in image for image in page.all("img"))
    assert not [name for _, about in page.tags for name in about if name.startswith("on")]
    assert not [about for _, about in page.tags if "style" in about]


def test_only_its_own_script_may_run_and_nothing_is_fetched(tmp_path: Path) -> None:
    output = tmp_path / "out"
    clean(write_tree(tmp_path / "in", x="voices 1"), output)
    page = Page(output / REPORT)
    (policy,) = (m["content"] for m in page.all("meta") if "http-equiv" in m)
    script = page.source.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "http" not in page.source.replace("http-equiv", "")


def test_an_original_elsewhere_is_said_not_linked(tmp_path: Path) -> None:
    source, output = write_tree(tmp_path / "in", x="voices 1"), tmp_path / "out"
    clean(source, output)
    page = Page(output / REPORT)
    assert len(page.players()) == 1
    assert "Before: the original, x.mp4, is not in this folder." in page.text
    assert page.all("button") == []
    assert not (output / ORIGINALS).exists()


def test_copies_are_made_for_what_is_done_already_and_are_never_stale(tmp_path: Path) -> None:
    source, output = write_tree(tmp_path / "in", x="voices 1"), tmp_path / "out"
    clean(source, output)
    told = Told()
    assert clean(source, output, watcher=told, originals=True).summary.done_before == 1
    (copy,) = (output / ORIGINALS).iterdir()
    page = Page(output / REPORT)
    assert page.file(page.players()[0]["src"]) == copy
    assert page.players()[1]["data-shift"] == "0.0"

    write_tree(source, x="voices 1 changed")
    clean(source, output)
    assert len(Page(output / REPORT).players()) == 1
    clean(source, output, originals=True)
    newer = Page(output / REPORT)
    assert newer.file(newer.players()[0]["src"]).read_text() == "sound of voices 1 changed"
    part = replace(REQUEST, settings=Settings(start=1.0))
    clean(source, output, request=part)
    assert len(Page(output / REPORT).players()) == 1


def test_an_original_in_the_folder_is_played_from_there(tmp_path: Path) -> None:
    output = tmp_path / "out"
    source = write_tree(output / "in", x="voices 1")
    clean(source, output, originals=True)
    page = Page(output / REPORT)
    before, after = page.players()
    assert page.file(before["src"]) == source / "x.mp4"
    assert after["data-shift"] == "0.25"
    assert not (output / ORIGINALS).exists()


def test_an_original_that_browsers_cannot_play_is_a_link_with_words(tmp_path: Path) -> None:
    output = tmp_path / "out"
    source = write_tree(output / "in", x="voices 1")
    clean(source, output)
    change_card(output, source / "x.mp4", plays="")
    clean(source, output)
    page = Page(output / REPORT)
    assert len(page.players()) == 1
    assert source / "x.mp4" in [page.file(address) for address in page.addresses()]
    assert "Browsers cannot play this file." in page.text
    clean(source, output, originals=True)
    assert len(Page(output / REPORT).players()) == 2


def test_an_original_reached_through_a_link_is_elsewhere(tmp_path: Path) -> None:
    output, real = tmp_path / "out", write_tree(tmp_path / "real", x="voices 1")
    (output / "in").mkdir(parents=True)
    (output / "in" / "x.mp4").symlink_to(real / "x.mp4")
    clean(output / "in", output)
    assert "x.mp4, is not in this folder" in Page(output / REPORT).text


def test_copies_are_not_written_through_a_link(tmp_path: Path) -> None:
    source, output = write_tree(tmp_path / "in", x="voices 1"), tmp_path / "out"
    output.mkdir()
    (tmp_path / "other").mkdir()
    (output / ORIGINALS).symlink_to(tmp_path / "other")
    with pytest.raises(OutputError, match="is a link"):
        clean(source, output, originals=True)
    assert list((tmp_path / "other").iterdir()) == []


def test_without_a_card_there_are_players_by_the_names_of_files(tmp_path: Path) -> None:
    source, output = write_tree(tmp_path / "in", x="voices 1"), tmp_path / "out"
    clean(source, output)
    for card in (output / WORK / "cards").iterdir():
        card.write_text("damaged")
    clean(source, output)
    page = Page(output / REPORT)
    assert [page.file(player["src"]) for player in page.players()] == [output / "x.1.wav"]
    assert page.all("img") == []


def test_of_very_many_the_rest_has_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_MOST_CARDS", 1)
    words = {f"n{n}": "voices 1" for n in range(3)}
    source, output = write_tree(tmp_path / "in", **words), tmp_path / "out"
    clean(source, output)
    page = Page(output / REPORT)
    assert len(page.players()) == 1
    linked = {page.file(address) for address in page.addresses()}
    assert linked == {output / f"n{n}.1.wav" for n in range(3)}
    assert "The first 1 recordings have players" in page.text


def test_failures_of_earlier_runs_and_their_files_are_still_told(tmp_path: Path) -> None:
    source, output = write_tree(tmp_path / "in", x="voices 1"), tmp_path / "out"
    clean(source, output)
    write_tree(source, x="refuse")
    clean(source, output)
    page = Page(output / REPORT)
    assert "Failed recordings" in page.text
    assert "Files of an earlier run:" in page.text
    assert [page.file(address) for address in page.addresses()] == [output / "x.1.wav"]
    (output / "x.1.wav").unlink()
    clean(source, output)
    assert list(Page(output / REPORT).addresses()) == []


def copied(source: Path, target: Path, settings: Settings | None = None) -> None:
    copy_sound(CopyTask(str(source), mark(source), settings or Settings(), str(target)))


def test_a_copy_of_the_sound_is_in_step_with_the_original(tmp_path: Path) -> None:
    wave = speechlike(2, 48_000 * 2, 48_000)
    sound = Sound("flac", samples=wave, start=Fraction(1, 2))
    source = write_media(tmp_path / "a b#.mkv", Picture(), sound)
    for settings, begin, end in (
        (Settings(), 0, 96_000),
        (Settings(start=1.0, end=2.0), 24_000, 72_000),
    ):
        target = tmp_path / "copy.m4a"
        copied(source, target, settings)
        with AudioReader(target) as reader:
            found = np.concatenate([block.samples for block in reader], axis=1)
        assert reader.start == 0
        assert abs(found.shape[1] - (end - begin)) <= 1024
        length = min(found.shape[1], end - begin)
        wanted = wave[0, begin : begin + length]
        assert np.corrcoef(found[0, :length], wanted)[0, 1] > 0.97
        target.unlink()


def test_a_recording_that_has_changed_is_not_copied(tmp_path: Path) -> None:
    source = write_media(tmp_path / "a.mkv", Picture(), Sound("flac"))
    task = CopyTask(str(source), mark(source), Settings(), str(tmp_path / "copy.m4a"))
    source.write_bytes(b"something else")
    with pytest.raises(MediaError, match="has changed"):
        copy_sound(task)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]
