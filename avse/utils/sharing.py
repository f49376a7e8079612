"""Texts and links for pages that users send to others: without absolute paths."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import quote

_FOLDERS = re.compile(
    r"(?<![\w./\\~])(?:file://)?(?:[A-Za-z]:[\\/]|\\\\|/)(?:[^\s\\/]+[\\/])*(?=[^\s\\/])"
)
"""Matches the folders of an absolute path without spaces; it does not match the slashes of URLs."""


def shown(name: str) -> str:
    """Convert a file name to printable text.

    Bytes that are not UTF-8 become replacement characters; control characters are escaped.
    """
    text = os.fsencode(name).decode("utf-8", "replace")
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def link(path: str) -> str:
    """Make a relative URL of a file for a page in a folder above it.

    Args:
        path: path of the file relative to the folder of the page, with forward slashes.

    Returns:
        A relative URL. It is percent-encoded, so that no part of it is read as HTML or as the
        scheme of a URL.
    """
    return "./" + quote(os.fsencode(path), safe="/")


def without_folders(text: str, known: Mapping[str, str] | None = None) -> str:
    """Replace the absolute paths in a message by file names.

    Args:
        text: the message.
        known: paths that the message may contain, also with spaces -> their replacements.
    """
    known = known or {}
    for path in sorted(known, key=len, reverse=True):
        text = text.replace(path, known[path])
    return _FOLDERS.sub("", text)
