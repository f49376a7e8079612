"""Hooks of MkDocs: files of the repository that pages link to are part of the site.

Pages link to each other and to files outside of `docs/` by paths that work in the repository.
Those files are added to the site under the same names, and links are rewritten to reach them.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
DOCS = "docs"
_ADDED = ("CHANGELOG.md", "CONTRIBUTING.md", "pretrained/MODEL_CARD.md", "examples/README.md")
_EXAMPLES = ("*.toml", "*.py", "*.gram")
_LINK = re.compile(r"(\]\()([^)\s#:]+)")
_OUTSIDE = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*(?:src|href)=\"(?:https?:)?//")

_log = logging.getLogger("mkdocs.hooks")


def on_files(files: Files, *, config: Any) -> Files:
    """Add files that lie outside of `docs/`."""
    examples = (path for kind in _EXAMPLES for path in (ROOT / "examples").glob(kind))
    for path in (*(ROOT / name for name in _ADDED), *sorted(examples)):
        name = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Rewrite links, from places in the repository to places in the site."""
    here = page.file.src_uri
    at = here if here in _ADDED else f"{DOCS}/{here}"

    def moved(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(at), link[2]))
        target = target.removeprefix(f"{DOCS}/")
        return link[1] + posixpath.relpath(target, posixpath.dirname(here) or ".")

    return _LINK.sub(moved, markdown)


def on_post_page(output: str, *, page: Any, config: Any) -> str:
    """Warn of a page that loads something from another server; links to other sites are free."""
    for found in _OUTSIDE.findall(output):
        _log.warning("%s loads from another server: %s", page.file.src_uri, found)
    return output
