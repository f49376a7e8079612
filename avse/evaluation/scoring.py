"""Score many mixtures in worker processes, since PESQ and STOI take most of the time.

If the C code of a metric crashes a worker, its mixture is reported as failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from avse.errors import AvseError, InputError, MissingError
from avse.evaluation.ceilings import oracles
from avse.evaluation.items import ESTIMATE, MIXTURE, ItemResult, Mixture, MixtureResult, ScoredVoice
from avse.evaluation.sounds import read_sound
from avse.metrics import (
    METRICS,
    Score,
    face_contrast,
    find_lag,
    not_defined,
    score_all,
)
from avse.metrics.battery import AGAINST_REFERENCE
from avse.types import FloatArray
from avse.utils.pool import map_unordered


@dataclass(frozen=True)
class ScoringPlan:
    """Options of scoring.

    Attributes:
        metrics: names of the metrics.
        ceilings: whether oracle masks are scored too.
        trim: whether the longer of estimate and reference is cut to the shorter; otherwise
            different lengths leave every score undefined.
    """

    metrics: tuple[str, ...] = tuple(METRICS)
    ceilings: bool = True
    trim: bool = False


def score_mixtures(
    mixtures: Iterable[Mixture], plan: ScoringPlan, *, jobs: int = 1
) -> Iterator[MixtureResult]:
    """Score mixtures and yield the results as they finish, in any order.

    Args:
        mixtures: mixtures, read as fast as they are scored, so an iterator may still make them.
        plan: options of scoring.
        jobs: number of processes; 1 scores in this process.

    Raises:
        MissingExtraError: the package of a metric is not installed.
    """
    yield from map_unordered(
        partial(score_mixture, plan=plan),
        mixtures,
        jobs=jobs,
        died=lambda mixture: _failed(mixture, "the worker process died while scoring it", plan),
    )


def score_mixture(mixture: Mixture, plan: ScoringPlan) -> MixtureResult:
    """Score every voice of one mixture; an unreadable file is a failure of its item."""
    try:
        return _score(mixture, plan)
    except MissingError:
        raise
    except AvseError as error:
        return _failed(mixture, error.message, plan)


def _score(mixture: Mixture, plan: ScoringPlan) -> MixtureResult:
    references = [read_sound(voice.reference) for voice in mixture.voices]
    mixed = None if mixture.mixture is None else read_sound(mixture.mixture)
    items, answers = [], []
    for index, voice in enumerate(mixture.voices):
        reference, rate = references[index]
        others = [
            sound
            for n, (sound, other_rate) in enumerate(references)
            if n != index and other_rate == rate
        ]
        item, estimate = _score_voice(voice, mixture.name, reference, rate, mixed, others, plan)
        items.append(item)
        if estimate is not None:
            answers.append(estimate)
    return MixtureResult(
        mixture.name,
        face_contrast(answers),
        face_contrast([sound for sound, _ in references]),
        tuple(items),
    )


def _score_voice(
    voice: ScoredVoice,
    name: str,
    reference: FloatArray,
    rate: int,
    mixed: tuple[FloatArray, int] | None,
    others: list[FloatArray],
    plan: ScoringPlan,
) -> tuple[ItemResult, FloatArray | None]:
    result = ItemResult(voice.name, name, reference.size / rate, rate, failure=voice.failure)
    scores: dict[str, dict[str, Score]] = {}
    sound = mixed[0] if mixed is not None and mixed[1] == rate else None
    if sound is not None and plan.trim:
        sound = sound[: reference.size]
    floor: dict[str, Score] = {}
    if sound is not None:
        scores = _floor_and_ceilings(sound, reference, rate, others, plan)
        floor = scores[MIXTURE]
    estimate, failure = _read_estimate(voice, rate)
    if estimate is None or failure is not None:
        scores[ESTIMATE] = dict.fromkeys(plan.metrics, not_defined(str(failure)))
        return replace(result, scores=scores, failure=failure), estimate
    lag = find_lag(estimate, reference, rate)
    trimmed = abs(estimate.size - reference.size) if plan.trim else 0
    if plan.trim:
        length = min(estimate.size, reference.size)
        estimate, reference = estimate[:length], reference[:length]
        if trimmed and sound is not None:
            sound, floor = sound[:length], {}
        others = [other[:length] for other in others]
    scores[ESTIMATE] = score_all(
        plan.metrics, estimate, reference, rate, mixture=sound, others=others, before=floor
    )
    return replace(result, scores=scores, lag=lag, trimmed=trimmed), estimate


def _floor_and_ceilings(
    mixture: FloatArray,
    reference: FloatArray,
    rate: int,
    others: list[FloatArray],
    plan: ScoringPlan,
) -> dict[str, dict[str, Score]]:
    # Improvements need the score of the mixture, even if it was not requested.
    needed = {METRICS[m].of or m for m in plan.metrics} & set(AGAINST_REFERENCE)
    floor = score_all(sorted(needed), mixture, reference, rate)
    scores = {MIXTURE: floor}
    if plan.ceilings and mixture.size == reference.size:
        for system, ideal in oracles(mixture, reference, rate).items():
            scores[system] = score_all(
                plan.metrics, ideal, reference, rate, mixture=mixture, others=others, before=floor
            )
    return scores


def _read_estimate(voice: ScoredVoice, rate: int) -> tuple[FloatArray | None, str | None]:
    """The estimate of a voice, if readable, and the reason if it cannot be scored."""
    if voice.estimate is None:
        return None, voice.failure or "there is no estimate"
    try:
        estimate, own_rate = read_sound(voice.estimate)
    except InputError as error:
        return None, error.message
    if own_rate != rate:
        return estimate, f"the rates differ: {own_rate} Hz of the estimate, {rate} of the reference"
    return estimate, None


def _failed(mixture: Mixture, why: str, plan: ScoringPlan) -> MixtureResult:
    items = []
    for voice in mixture.voices:
        failure = voice.failure or why  # the first failure is more informative
        scores = {ESTIMATE: dict.fromkeys(plan.metrics, not_defined(failure))}
        items.append(ItemResult(voice.name, mixture.name, scores=scores, failure=failure))
    return MixtureResult(mixture.name, not_defined(why), not_defined(why), tuple(items))
