"""Files appear complete or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from avse.errors import OutputError, OutputExistsError
from avse.media.atomic_files import appearing, size


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with appearing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.suffix == ".txt"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_is_left_of_what_fails(tmp_path: Path, error: type[BaseException]) -> None:
    def fail() -> None:
        with appearing(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_what_has_come_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"

    def be_late() -> None:
        with appearing(path, overwrite=False) as temporary:
            temporary.write_text("new")
            path.write_text("precious")

    with pytest.raises(OutputExistsError):
        be_late()
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_refusals_of_the_system_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "none" / "a.txt", tmp_path / "file" / "a.txt"):
        with pytest.raises(OutputError, match=r"a\.txt"), appearing(path) as temporary:
            temporary.write_text("new")


def test_sizes_are_told_in_units_that_show_them() -> None:
    assert [size(count) for count in (2.5e9, 999e6, 1.2e6, 40)] == [
        "2.5 GB",
        "999.0 MB",
        "1.2 MB",
        "0.0 kB",
    ]
