from __future__ import annotations

from pathlib import Path

import pytest

from avse.data.splits import split_of
from avse.errors import InputError, UsageError
from avse.mixtures.corpus import find_clips, find_corpus, talker_of
from avse.mixtures.protocols import GRID_PROTOCOLS, GRID_TALKERS

from .made_clips import write_wav

STATED = {
    ("casia-grid", "test"): {6, 12, 16, 17, 18, 23},
    ("casia-grid", "valid"): {1, 4, 11, 25, 27, 30},
    ("morrone-grid", "valid"): {26, 27, 29, 31},
    ("morrone-grid", "test"): {30, 32, 33, 34},
}


def talkers(root: Path, protocol: str, split: str, *, pictures: bool = True) -> set[int]:
    corpus = find_corpus(root, protocol, split, pictures=pictures)
    assert corpus.warnings == ()
    return {int(name[1:]) for name in corpus.people()}


@pytest.mark.parametrize("protocol", GRID_PROTOCOLS)
def test_grid_splits_are_those_published_and_share_nobody(grid: Path, protocol: str) -> None:
    found = {split: talkers(grid, protocol, split) for split in ("train", "valid", "test")}
    for split in ("valid", "test"):
        assert found[split] == STATED[protocol, split]
    assert not found["train"] & found["valid"]
    assert not found["train"] & found["test"]
    assert not found["valid"] & found["test"]
    # Talker 21 has no picture, so nobody misses him.
    assert found["train"] | found["valid"] | found["test"] == GRID_TALKERS - {21}
    assert talkers(grid, protocol, "all") == GRID_TALKERS - {21}


def test_grid_sound_alone(grid_sound: Path) -> None:
    assert talkers(grid_sound, "casia-grid", "test", pictures=False) == STATED["casia-grid", "test"]
    assert talkers(grid_sound, "casia-grid", "all", pictures=False) == GRID_TALKERS
    with pytest.raises(InputError, match="holds no videos"):
        find_corpus(grid_sound, "casia-grid", "test", pictures=True)


def test_who_is_missing_from_a_split_is_said(tmp_path: Path) -> None:
    write_wav(tmp_path / "s30" / "a.wav", [0.0])
    corpus = find_corpus(tmp_path, "morrone-grid", "test", pictures=False)
    assert [clip.speaker for clip in corpus.clips] == ["s30"]
    (warning,) = corpus.warnings
    assert warning.startswith("s32, s33, s34 of the morrone-grid test split are not there")


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("s7/bbaf2n.mpg", 7),
        ("S07/bbaf2n.mpg", 7),
        ("video/s34/mpg_6000/bbaf2n.mpg", 34),
        ("s7.mpg", None),
        ("s7x/a.mpg", None),
        ("sam/a.mpg", None),
    ],
)
def test_talkers_are_told_by_folders(path: str, number: int | None) -> None:
    assert talker_of(path) == number


def test_another_layout_is_no_grid(people: Path) -> None:
    with pytest.raises(UsageError, match="not laid out as GRID is") as caught:
        find_corpus(people, "casia-grid", "test", pictures=True)
    assert "--protocol any" in caught.value.hint


def test_people_of_any_folder_are_its_folders(people: Path) -> None:
    corpus = find_corpus(people, "any", "all", pictures=True)
    assert {name: [c.path for c in clips] for name, clips in corpus.people().items()} == {
        "anna": ["anna/1.mkv"],
        "ben": ["ben/b 1.mkv"],
        "böhm": ["böhm/x/1.mp4"],
        "dora": ["dora/late.mkv"],
        "emil": ["emil/1.mpg"],
    }


def test_any_folder_is_split_by_person(tmp_path: Path) -> None:
    names = [f"person {n}" for n in range(200)]
    for name in names:
        for clip in ("a.wav", "b.wav"):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / clip).write_bytes(b"")
    splits = {
        split: set(find_corpus(tmp_path, "any", split, pictures=False).people())
        for split in ("train", "valid", "test")
    }
    assert set.union(*splits.values()) == set(names)
    assert sum(map(len, splits.values())) == len(names)
    assert 10 <= len(splits["valid"]) <= 30
    assert 10 <= len(splits["test"]) <= 30


def test_nobody_changes_sides() -> None:
    """Changing this would leak people of published test sets into training."""
    names = ("anna", "id00017", "a", "c", "p7", "q", "s")
    assert [split_of(name) for name in names] == [
        *("train", "train", "test", "test", "test", "valid", "valid")
    ]


def test_what_counts_as_a_clip(tmp_path: Path) -> None:
    for name in (
        "p/a.MP4", "p/a.wav", "p/b.wav", "p/c.txt", "p/.d.mp4", ".hidden/e.mp4", "p/q/f.webm",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "p" / "circle").symlink_to(tmp_path)
    (tmp_path / "linked").symlink_to(tmp_path / "p" / "q")
    assert find_clips(tmp_path, pictures=True) == ["linked/f.webm", "p/a.MP4", "p/q/f.webm"]
    assert "p/b.wav" in find_clips(tmp_path, pictures=False)
    assert "p/a.wav" not in find_clips(tmp_path, pictures=False)


def test_folders_that_will_not_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        find_clips(tmp_path / "none", pictures=True)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is not a folder"):
        find_clips(tmp_path / "file", pictures=True)
    with pytest.raises(InputError, match="holds no videos"):
        find_clips(tmp_path, pictures=True)
    (tmp_path / "a.mp4").touch()
    with pytest.raises(UsageError, match="are not in folders"):
        find_corpus(tmp_path, "any", "all", pictures=True)
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "b.mp4").touch()
    corpus = find_corpus(tmp_path, "any", "all", pictures=True)
    assert corpus.warnings == ("1 clips lie in no person's folder and are left out",)
