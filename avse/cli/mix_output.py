"""Output of `avse mix`: the mixtures of a set, and those that could not be made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from avse.cli.tables import table
from avse.cli.terminal import Terminal

if TYPE_CHECKING:
    from avse.mixtures.manifest import Item
    from avse.mixtures.outcome import Failure, MixturePlan


def show(plan: MixturePlan, terminal: Terminal) -> None:
    """Print the plan: a line for each mixture."""
    rows = [[item.id, f"{item.duration_s:.2f} s", _voices(item)] for item in plan.manifest.items]
    for line in table(["mixture", "length", "left to right"], rows, right="length"):
        terminal.result(line)


def _voices(item: Item) -> str:
    voices = [
        f"{source.path} {level:+.1f} dB"
        for source, level in zip(item.sources, item.sir_db, strict=True)
    ]
    if item.noise is not None:
        voices.append(f"{item.noise.path} (SNR {item.snr_db:+.1f} dB)")
    return " | ".join(voices)


def report(failures: tuple[Failure, ...], terminal: Terminal) -> None:
    """Group failures by reason: one broken clip may be part of many mixtures."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for failure in failures:
        reasons.setdefault((failure.error.message, failure.error.hint), []).append(failure.id)
        terminal.trace(failure.error)
    for (message, hint), ids in reasons.items():
        named = ", ".join(ids[:3]) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")
        terminal.error(f"mixture {named}: {message}", hint)
