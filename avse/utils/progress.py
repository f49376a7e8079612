"""How callers are told how far something is. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float, "float | None"], None]
"""Called with (stage, how much of it is done, how much there is in all or None if unknown); of
recordings, in seconds."""


def no_progress(stage: str, done: float, total: float | None) -> None:
    """A `Progress` that does nothing."""
