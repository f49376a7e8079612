"""Paths from users and from files."""

from __future__ import annotations

from pathlib import Path

import pytest

from avse.errors import InputError, UsageError
from avse.utils.paths import inside, is_below, is_there, user_path


def test_a_users_path_has_their_home_put_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    assert user_path("~/talk.mp4") == Path("/home/anna/talk.mp4")
    assert user_path("a~b/~c") == Path("a~b/~c")


@pytest.mark.parametrize("text", ["~no-such-user-here/x.mp4", "a\0b"])
def test_what_cannot_be_a_path_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        user_path(text)


def test_a_name_from_a_file_stays_below_its_folder(tmp_path: Path) -> None:
    folder, other = tmp_path / "folder", tmp_path / "other"
    for made in (folder / "in", other):
        made.mkdir(parents=True)
    (folder / "away").symlink_to(other)
    (folder / "round").symlink_to(folder / "in")
    (folder / "file").symlink_to(other / "file")
    for name in ("x", "in/x", "in/not/yet/x", "round/x", "file"):
        assert inside(folder, name) == folder / name
    for name in (
        "",
        ".",
        "..",
        "../x",
        "in/../../x",
        "in//x",
        "/etc/x",
        "away/x",
        "a\0b",
        "\ud800",
    ):
        with pytest.raises(InputError, match="leads out of the folder"):
            inside(folder, name)
    (tmp_path / "link").symlink_to(folder)
    assert inside(tmp_path / "link", "x") == tmp_path / "link" / "x"


def test_names_that_no_file_can_have_are_not_there() -> None:
    assert not is_there(Path("x" * 5000))
    assert not is_there(Path("a\0b"))
    assert is_below("ok/fine")
