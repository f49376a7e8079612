"""Corpora are known by their folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from avse.errors import InputError, UsageError
from avse.prepare.layouts import find_sources, read_labels


def folder(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


@pytest.mark.parametrize(
    ("paths", "layout", "first"),
    [
        (["s1/bbaf2n.mpg", "s2/lwwz9a.mpg"], "grid", ("grid", "s1", "s1")),
        (["video/s12/mpg_6000/bbaf2n.mpg"], "grid", ("grid", "s12", "s12")),
        (
            ["main/5535415699068794046/00001.mp4", "main/5535415699068794046/00002.mp4"],
            "lrs",
            ("lrs", "5535415699068794046", "5535415699068794046"),
        ),
        (["trainval/0Fi83BHQsMA/50001.mp4"], "lrs", ("lrs", "0Fi83BHQsMA", "0Fi83BHQsMA")),
        (
            ["dev/mp4/id00012/21Uxsk56VDQ/00001.mp4", "dev/mp4/id00015/0fijmz4vTVU/00001.mp4"],
            "voxceleb",
            ("voxceleb2", "id00012", "id00012/21Uxsk56VDQ"),
        ),
        (["anna/1.mp4", "ben/x/2.mp4"], "folders", ("clips", "anna", None)),
        (["anna/train/1.mp4", "ben/test/2.mp4"], "folders", ("clips", "anna", None)),
        (["00139.mp4", "00146.mp4"], "flat", ("clips", None, None)),
        (["train/00139.mp4", "test/00146.mp4"], "flat", ("clips", None, None)),
    ],
)
def test_layouts_are_recognised(
    tmp_path: Path, paths: list[str], layout: str, first: tuple[str, str | None, str | None]
) -> None:
    found = find_sources([folder(tmp_path / "clips", *paths)])
    assert found.layout == layout
    source = next(s for s in found.sources if s.path == paths[0])
    assert (source.corpus, source.person, source.recording) == first
    assert source.id == f"{first[0]}/{paths[0].rpartition('.')[0]}"
    assert len(found.sources) == len(paths)


def test_one_persons_own_folder_may_be_named(tmp_path: Path) -> None:
    root = folder(tmp_path / "s7", "bbaf2n.mpg")
    assert find_sources([root]).sources[0].person == "s7"


def test_scenes_of_the_avse_challenge_take_the_voice_beside_the_picture(tmp_path: Path) -> None:
    root = folder(
        tmp_path,
        *(f"train/scenes/S00001_{kind}" for kind in ("silent.mp4", "target.wav", "mixed.wav")),
        *(f"dev/scenes/S30001_{kind}" for kind in ("silent.mp4", "target.wav")),
        "dev/scenes/S30001_target_mono_anechoic.wav",
        "dev/scenes/S30002_silent.mp4",
    )
    found = find_sources([root])
    assert found.layout == "avsec"
    assert [(s.id, s.sound, s.person) for s in found.sources] == [
        ("avsec/dev/scenes/S30001", "dev/scenes/S30001_target_mono_anechoic.wav", None),
        ("avsec/train/scenes/S00001", "train/scenes/S00001_target.wav", None),
    ]
    assert "1 files do not fit" in found.warnings[0]


def test_a_layout_and_a_corpus_can_be_asked_for(tmp_path: Path) -> None:
    root = folder(tmp_path / "clips", "anna/1.mp4", "loose.mp4")
    found = find_sources([root], "folders", "mine")
    assert [s.id for s in found.sources] == ["mine/anna/1"]
    assert found.warnings
    with pytest.raises(UsageError, match="not laid out as voxceleb"):
        find_sources([root], "voxceleb")


def test_two_clips_of_one_name_are_refused(tmp_path: Path) -> None:
    one, two = (folder(tmp_path / n / "clips", "a/1.mp4") for n in ("x", "y"))
    with pytest.raises(UsageError, match="two clips are called"):
        find_sources([one, two])


def test_names_that_are_no_text_still_make_ids(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    try:
        open(bytes(tmp_path / "clips") + b"/\xff.mp4", "wb").close()  # noqa: PTH123
    except OSError:
        pytest.skip("this file system takes no such names")
    assert find_sources([tmp_path / "clips"]).sources[0].id == "clips/\\udcff"


def test_a_table_names_corpus_and_speaker(tmp_path: Path) -> None:
    root = folder(tmp_path / "speech", "a/x/1.opus", "b/2.opus")
    table = tmp_path / "list.tsv"
    table.write_text(
        "file\tcorpus\tspeaker\tduration_s\na/x/1.opus\tone\tsp1\t2\nb/2.opus\ttwo\tsp2\t3\n"
        "gone.opus\ttwo\tsp3\t3\n",
        encoding="utf-8",
    )
    found = read_labels(table, [root])
    assert [(s.corpus, s.person) for s in found.sources] == [("one", "sp1"), ("two", "sp2")]
    assert found.warnings == ("1 files that list.tsv lists are not there",)


def test_a_table_without_speakers_goes_by_folders(tmp_path: Path) -> None:
    root = folder(tmp_path / "noise", "places/river.opus", "esc10/rain/1.ogg")
    table = tmp_path / "list.tsv"
    table.write_text("file\tlicence\nplaces/river.opus\tx\nesc10/rain/1.ogg\ty\n", encoding="utf-8")
    found = read_labels(table, [root])
    assert [(s.corpus, s.person) for s in found.sources] == [
        ("esc10", "rain"),
        ("places", "places"),
    ]


@pytest.mark.parametrize("text", ["", "name\tspeaker\na\tb\n"])
def test_a_table_without_files_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "list.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="column called file"):
        read_labels(tmp_path / "list.tsv", [tmp_path])


def test_a_table_of_nothing_that_is_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.tsv").write_text("file\na.wav\n", encoding="utf-8")
    with pytest.raises(InputError, match="none of the files"):
        read_labels(tmp_path / "list.tsv", [tmp_path])
