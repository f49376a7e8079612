"""Texts and links that may be sent to others."""

from __future__ import annotations

import os
from urllib.parse import unquote_to_bytes, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avse.utils.sharing import link, shown, without_folders

NAMES = [
    "a b.wav",
    "a#b?c%41&amp;.wav",
    "javascript:alert(1).wav",
    "//host/x".lstrip("/"),
    "ünï 語\n.wav",
    'sub/it\'s "q" <b>.wav',
    "back\\slash.wav",
    os.fsdecode(b"\xff\xfe.wav"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_link_leads_to_the_file_and_nowhere_else(name: str) -> None:
    address = link(name)
    assert not set(address) & set("\"'<>&#?\\ \n")
    for page in ("file:///out/page.html", "https://host/out/page.html"):
        target = urljoin(page, address)
        assert urlsplit(target).netloc == urlsplit(page).netloc
        found = unquote_to_bytes(urlsplit(target).path)
        assert found == b"/out/" + os.fsencode(name)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("/home/anna/x.mp4: is text", "x.mp4: is text"),
        ("cannot read '/home/anna/x.mp4'", "cannot read 'x.mp4'"),
        ("error:/x.mp4 (/a/b)", "error:x.mp4 (b)"),
        ("C:\\Users\\anna\\x.mp4 is gone", "x.mp4 is gone"),
        ("\\\\server\\share\\x.mp4", "x.mp4"),
        ("file:///home/anna/x.mp4", "x.mp4"),
        ("sub/x.mp4 and/or 3/8, https://host/a", "sub/x.mp4 and/or 3/8, https://host/a"),
        ("48000 / 2 samples", "48000 / 2 samples"),
    ],
)
def test_a_message_names_files_without_their_folders(text: str, plain: str) -> None:
    assert without_folders(text) == plain


def test_folders_with_spaces_are_left_out_where_they_are_known() -> None:
    known = {"/my files/x y.mp4": "x y.mp4", "/my files/": ""}
    text = "/my files/x y.mp4 and /my files/z"
    assert without_folders(text, known) == "x y.mp4 and z"


@given(st.text(max_size=30))
def test_what_is_shown_has_one_line_and_no_controls(text: str) -> None:
    name = text.encode("utf-8", "ignore").decode()
    assert shown(name).isprintable()
