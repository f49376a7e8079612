"""Items to score, and their scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from avse.metrics import Lag, Score

ESTIMATE, MIXTURE = "estimate", "mixture"
"""Names of systems: the estimate, and the mixture as the lower bound."""


@dataclass(frozen=True)
class ScoredVoice:
    """One person in a mixture.

    Attributes:
        name: unique name of the item.
        reference: the clean voice.
        estimate: the separated voice; None if it is missing.
        failure: reason why it is missing.
        text: file with the words that are said, or None.
    """

    name: str
    reference: Path
    estimate: Path | None
    failure: str | None = None
    text: Path | None = None


@dataclass(frozen=True)
class Mixture:
    """A mixture and its voices.

    Attributes:
        name: unique name of the mixture.
        mixture: the mixed sound; None if unknown.
        voices: the voices to score; each one is an interfering voice for the rest.
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
        seconds: length of the reference.
        rate_hz: sample rate of the reference.
        scores: system -> metric -> score; systems are `ESTIMATE`, `MIXTURE` and the ceilings.
        lag: delay of the estimate; None where it is unclear.
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
        contrast: difference between the estimates for its faces.
        reference_contrast: difference between the references, the best value to expect.
        items: one for each voice.
    """

    name: str
    contrast: Score
    reference_contrast: Score
    items: tuple[ItemResult, ...]
