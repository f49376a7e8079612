from __future__ import annotations

from pathlib import Path

import pytest

from avse.errors import InputError, UsageError
from avse.mixtures.corpus import CorpusClip
from avse.mixtures.lists import Finder, read_list


def entries(tmp_path: Path, text: str) -> list:
    path = tmp_path / "list.txt"
    path.write_text(text, encoding="utf-8")
    return read_list(path)


def test_lists_by_turns(tmp_path: Path) -> None:
    one, two = entries(
        tmp_path,
        "# made by somebody\n"
        "../raw_audio/test/6360322579951237696_00004.wav 3.28669 "
        "../raw_audio/test/6335305254315087182_00057.wav -3.28669\n\n"
        "a.b/c.wav 0 d.wav -1e0 e +2\n",
    )
    assert one.names == (
        "../raw_audio/test/6360322579951237696_00004",
        "../raw_audio/test/6335305254315087182_00057",
    )
    assert one.levels_db == (3.28669, -3.28669)
    assert (one.line, one.split, one.seconds, one.speakers) == (2, None, None, (None, None))
    assert (two.line, two.names, two.levels_db) == (4, ("a.b/c", "d", "e"), (0.0, -1.0, 2.0))


def test_lists_in_columns(tmp_path: Path) -> None:
    row = (
        "train,train,id08108,RCODGWdfzdY/00197,0,train,id07077,oi72_HHDWY4/00288,"
        "0.8976636599379368,4.096"
    )
    one, two = entries(tmp_path, row + "\n" + row.rpartition(",")[0] + "\n")
    assert one.split == "train"
    assert one.names == ("train/id08108/RCODGWdfzdY/00197", "train/id07077/oi72_HHDWY4/00288")
    assert one.speakers == ("id08108", "id07077")
    assert one.levels_db == (0.0, 0.8976636599379368)
    assert (one.seconds, two.seconds) == (4.096, None)


@pytest.mark.parametrize(
    "line",
    [
        "a.wav",
        "a.wav 1",
        "a.wav 1 b.wav",
        "a.wav 1 b.wav one",
        "a.wav 1 b.wav nan",
        "test,test,id1,a,0,test,id2,b",
        "test,test,id1,a,0,test,id2,b,0,-4",
        "test,test,id1,a,0,test,,b,0",
        "test,test,id1,a,0,4.0",
    ],
)
def test_a_line_that_cannot_be_understood_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(UsageError, match="line 2 cannot be understood"):
        entries(tmp_path, f"a.wav 1 b.wav -1\n{line}\n")


def test_lists_that_will_not_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is empty"):
        entries(tmp_path, "\n# nothing\n")
    with pytest.raises(UsageError, match="cannot be read"):
        read_list(tmp_path / "none")
    (tmp_path / "b").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="is not text"):
        read_list(tmp_path / "b")


PATHS = [
    "main/6360322579951237696/00004.mp4",
    "main/6335305254315087182/00057.mp4",
    "test/NCJTV5KaJJc/00001.mp4",
    "test/id06310/_VySEWGPRgk/00148.mp4",
    "train/id06310/_VySEWGPRgk/00148.mp4",
    "train/id08108/RCODGWdfzdY/00197.mp4",
    "flat/id00817_EPPT9urr8Ew_00099.wav",
]


@pytest.mark.parametrize(
    ("name", "path", "speaker"),
    [
        ("../raw_audio/test/6360322579951237696_00004", PATHS[0], "6360322579951237696"),
        ("/data/x/raw_audio/NCJTV5KaJJc_00001", PATHS[2], "NCJTV5KaJJc"),
        ("train/id08108/RCODGWdfzdY/00197", PATHS[5], "id08108"),
        ("/a/raw_audio/id08108_RCODGWdfzdY_00197", PATHS[5], "id08108"),
        ("test/id06310/_VySEWGPRgk/00148", PATHS[3], "id06310"),
        ("raw\\id00817_EPPT9urr8Ew_00099", PATHS[6], "id00817"),
    ],
)
def test_clips_are_found_by_the_end_of_their_name(name: str, path: str, speaker: str) -> None:
    assert Finder(PATHS).find(name, None) == CorpusClip(path, speaker)
    assert Finder(PATHS).find(name, "somebody") == CorpusClip(path, "somebody")


def test_what_is_not_found_or_could_be_two() -> None:
    finder = Finder(PATHS)
    with pytest.raises(InputError, match="no clip fits raw/other_00001"):
        finder.find("raw/other_00001", None)
    with pytest.raises(InputError, match=r"could be test/id06310/.* or train/id06310/"):
        finder.find("/a/raw_audio/id06310__VySEWGPRgk_00148", None)


@pytest.mark.parametrize(
    "line", ['test,"' + "x" * 140_000 + '",a', "a" * 200_000 + ",b", '"unclosed,', "\0,\0"]
)
def test_fields_beyond_measure_are_not_understood(tmp_path: Path, line: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(line)
    with pytest.raises(UsageError, match="line 1 cannot be understood") as caught:
        read_list(path)
    assert len(caught.value.message) < 400
