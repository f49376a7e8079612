"""The callback for progress. This module imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float, "float | None"], None]
"""Called with (stage, amount done, total amount or None if unknown). For recordings, the amounts
are seconds."""


def no_progress(stage: str, done: float, total: float | None) -> None:
    """A `Progress` that does nothing."""
