"""What is judged, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from avse.metrics import Lag, Score

ESTIMATE, MIXTURE = "estimate", "mixture"
"""Names of systems: what is judged, and the floor."""


@dataclass(frozen=True)
class ScoredVoice:
    """One person in a mixture.

    Attributes:
        name: of the item, unique.
        reference: the clean voice.
        estimate: what is judged; None if there is none.
        failure: why there is none.
        text: file with the words that are said, or None.
    """

    name: str
    reference: Path
    estimate: Path | None
    failure: str | None = None
    text: Path | None = None


@dataclass(frozen=True)
class Mixture:
    """Voices that were mixed.

    Attributes:
        name: of the mixture, unique.
        mixture: the sound of all; None if unknown.
        voices: those to judge; each is one of the others to the rest.
    """

    name: str
    mixture: Path | None
    voices: tuple[ScoredVoice, ...]


@dataclass(frozen=True)
class ItemResult:
    """The scores of one voice.

    Attributes:
        name: of the item.
        mixture: name of its mixture.
        seconds: of the reference.
        rate_hz: of the reference.
        scores: system -> metric -> score; systems are `ESTIMATE`, `MIXTURE` and the ceilings.
        lag: how late the estimate is; None where that is not clear.
        trimmed: samples that were cut from the longer of estimate and reference, on request.
        failure: why there is no estimate, or why it could not be scored.
    """

    name: str
    mixture: str
    seconds: float = 0.0
    rate_hz: int = 0
    scores: Mapping[str, Mapping[str, Score]] = field(default_factory=dict)
    lag: Lag | None = None
    trimmed: int = 0
    failure: str | None = None


@dataclass(frozen=True)
class MixtureResult:
    """The scores of one mixture.

    Attributes:
        name: of the mixture.
        contrast: how different the answers to its faces are.
        reference_contrast: how different the references are: what to expect at best.
        items: one for each voice.
    """

    name: str
    contrast: Score
    reference_contrast: Score
    items: tuple[ItemResult, ...]
