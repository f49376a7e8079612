"""Texts and links for pages that may be sent to others: they hold no absolute path."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import quote

_FOLDERS = re.compile(
    r"(?<![\w./\\~])(?:file://)?(?:[A-Za-z]:[\\/]|\\\\|/)(?:[^\s\\/]+[\\/])*(?=[^\s\\/])"
)
"""The folders of an absolute path, as far as it has no spaces; not the slashes of an address."""


def shown(name: str) -> str:
    """A file name as text: bytes that are no text become marks, control characters escapes."""
    text = os.fsencode(name).decode("utf-8", "replace")
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def link(path: str) -> str:
    """The address of a file for a page in the folder above it.

    Args:
        path: of the file below the folder of the page, with forward slashes.

    Returns:
        A relative URL. It is percent-encoded, so nothing in it has a meaning in HTML or as the
        scheme of an address.
    """
    return "./" + quote(os.fsencode(path), safe="/")


def without_folders(text: str, known: Mapping[str, str] | None = None) -> str:
    """A message in which file names stand for absolute paths.

    Args:
        text: the message.
        known: paths that may be in it, also with spaces -> what to write instead.
    """
    known = known or {}
    for path in sorted(known, key=len, reverse=True):
        text = text.replace(path, known[path])
    return _FOLDERS.sub("", text)
