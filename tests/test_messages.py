"""Every error says what is wrong and what to do next, in one style."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import avse
from avse import errors

_ERRORS = {
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.AvseError)
}
_NAMES = "FFmpeg|Matroska|Opus|Python|QuickTime|Ray|WebM"
_PACKAGE = Path(avse.__file__).parent


def _texts(node: ast.expr) -> Iterator[str]:
    """What a message may be, {} for what is filled in."""
    if isinstance(node, ast.Constant):
        yield str(node.value)
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in node.values)
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)


def _calls() -> Iterator[tuple[str, ast.Call]]:
    """Where each error is made."""
    for module in sorted(_PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _ERRORS:
                yield f"{module.relative_to(_PACKAGE)}:{node.lineno}", node


def test_messages_and_hints_begin_small_and_end_without_a_full_stop() -> None:
    wrong = []
    for place, call in _calls():
        if len(call.args) != 2:
            wrong.append(f"{place}: a message and a hint are needed")
        for text in (text for argument in call.args for text in _texts(argument)):
            capital = re.match(r"[A-Z]([a-z]| )", text) and not re.match(_NAMES, text)
            if not text.strip() or capital or text.rstrip().endswith("."):
                wrong.append(f"{place}: {text!r}")
    assert wrong == []
