"""Robustness curves: scores against one degradation of the input at a time.

Most curves change the inputs of the network: they shift, remove or freeze lips, or mix voices
again. Picture size, frame rate and late sound change the video, which then passes through the
whole pipeline again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from avse.evaluation.running import separate_item
from avse.evaluation.statistics import summarise
from avse.evaluation.testset import NetworkItem
from avse.faces.lips import RATE_HZ, LipSequence
from avse.inference.networks import SeparationNetwork
from avse.metrics import Score, difference, si_sdr_score, wrong_speaker
from avse.settings import Settings
from avse.types import FloatArray

Condition = Callable[[NetworkItem, float], NetworkItem]


@dataclass(frozen=True)
class Curve:
    """A curve: one property of the input that changes in steps.

    Attributes:
        name: in options and JSON.
        title: of the axis.
        points: values of the axis.
    """

    name: str
    title: str
    points: tuple[float, ...]


CURVES: Mapping[str, Curve] = {
    curve.name: curve
    for curve in (
        Curve(
            "offset",
            "Lips late against the sound (ms)",
            (-400, -200, -120, -80, -40, 0, 40, 80, 120, 200, 400),
        ),
        Curve("missing", "Lips missing (% of the time)", (0, 20, 40, 60, 80, 100)),
        Curve("frozen", "Lips frozen (% of the time)", (0, 20, 40, 60, 80, 100)),
        Curve("snr", "Target against the other voices (dB)", (-15, -10, -5, 0, 5, 10, 15)),
        Curve("speakers", "People talking", (2, 3, 4)),
        Curve("size", "Height of the picture (pixels)", (360, 240, 180, 120, 90, 60)),
        Curve("rate", "Pictures a second", (25, 15, 12.5, 10, 5)),
        Curve(
            "sync",
            "Sound late in the file (ms), corrected where certain",
            (-200, -120, 0, 120, 200),
        ),
    )
}
ON_VIDEO = ("size", "rate", "sync")
CURVE_METRICS = ("si-sdr", "si-sdri", "wrong-speaker")


def shift_lips(lips: LipSequence, seconds: float) -> LipSequence:
    """Shift lips later (or earlier), rounded to frames of 40 ms."""
    return replace(lips, first=lips.first + round(seconds * RATE_HZ))


def hide_lips(lips: LipSequence, share: float, seed: int) -> LipSequence:
    """Make lips unseen during one stretch of the recording."""
    gap = _stretch(len(lips.points), share, seed)
    points, confidence = lips.points.copy(), lips.confidence.copy()
    points[gap], confidence[gap] = 0, 0
    return replace(lips, points=points, confidence=confidence)


def freeze_lips(lips: LipSequence, share: float, seed: int) -> LipSequence:
    """Freeze lips during one stretch, as in a frozen picture; they stay seen."""
    gap = _stretch(len(lips.points), share, seed)
    if gap.start == gap.stop:
        return lips
    seen = np.flatnonzero(lips.seen[: gap.start + 1])
    last = int(seen[-1]) if len(seen) else gap.start
    points, confidence = lips.points.copy(), lips.confidence.copy()
    points[gap], confidence[gap] = lips.points[last], lips.confidence[last]
    return replace(lips, points=points, confidence=confidence)


def _stretch(frames: int, share: float, seed: int) -> slice:
    length = round(frames * share)
    start = int(np.random.default_rng(seed).integers(0, frames - length + 1))
    return slice(start, start + length)


def offset(item: NetworkItem, milliseconds: float) -> NetworkItem:
    """Condition of the curve "offset"."""
    return replace(item, lips=tuple(shift_lips(one, milliseconds / 1000) for one in item.lips))


def missing(item: NetworkItem, percent: float) -> NetworkItem:
    """Condition of the curve "missing"."""
    changed = (hide_lips(one, percent / 100, n) for n, one in enumerate(item.lips))
    return replace(item, lips=tuple(changed))


def frozen(item: NetworkItem, percent: float) -> NetworkItem:
    """Condition of the curve "frozen"."""
    changed = (freeze_lips(one, percent / 100, n) for n, one in enumerate(item.lips))
    return replace(item, lips=tuple(changed))


CONDITIONS: Mapping[str, Condition] = {"offset": offset, "missing": missing, "frozen": frozen}


def at_snr(item: NetworkItem, person: int, level_db: float) -> NetworkItem:
    """One target speaker, at a power ratio to all others together; noise is left out."""
    target = item.references[person]
    rest = np.sum([r for n, r in enumerate(item.references) if n != person], axis=0)
    softer = _as_loud(np.asarray(rest, np.float32), target) * np.float32(10 ** (-level_db / 20))
    return replace(item, mixture=np.asarray(target + softer, np.float32), wanted=(person,))


@dataclass(frozen=True)
class Stranger:
    """A person from another mixture: voice (samples,) and lips."""

    voice: FloatArray
    lips: LipSequence


def among(
    item: NetworkItem, person: int, strangers: Sequence[Stranger], people: int
) -> NetworkItem:
    """One target speaker among `people`, all equally loud and all seen; noise is left out."""
    target = item.references[person]
    others = [Stranger(item.references[n], lips) for n, lips in enumerate(item.lips) if n != person]
    company = [*others, *strangers][: people - 1]
    voices = [_as_loud(_fitted(one.voice, target.size), target) for one in company]
    return replace(
        item,
        mixture=np.asarray(target + np.sum(voices, axis=0), np.float32),
        references=(target, *voices),
        lips=(item.lips[person], *(one.lips for one in company)),
        wanted=(0,),
    )


def _as_loud(voice: FloatArray, like: FloatArray) -> FloatArray:
    power, wanted = float(np.mean(voice**2)), float(np.mean(like**2))
    return voice * np.float32(np.sqrt(wanted / power)) if power > 0 else voice


def _fitted(voice: FloatArray, samples: int) -> FloatArray:
    repeats = -(-samples // max(1, voice.size))
    return np.asarray(np.tile(voice, repeats)[:samples], np.float32)


def worsened(curve: str, items: Sequence[NetworkItem], point: float) -> Iterator[NetworkItem]:
    """Items under the condition of a curve.

    In the curves "snr" and "speakers", each person of an item is the target of a separate mixture.
    """
    if curve in CONDITIONS:
        for item in items:
            yield CONDITIONS[curve](item, point)
        return
    for index, item in enumerate(items):
        for person in range(len(item.references)):
            if curve == "snr":
                yield at_snr(item, person, point)
            elif curve == "speakers":
                strangers = _strangers(items, index)
                if len(item.references) + len(strangers) >= point:
                    yield among(item, person, strangers, int(point))
            else:
                raise ValueError(f"{curve} does not change the inputs of the network")


def _strangers(items: Sequence[NetworkItem], index: int) -> list[Stranger]:
    """People who are not in an item, each once, from the items that follow it."""
    here = items[index]
    known, found = set(here.speakers), []
    for other in [*items[index + 1 :], *items[:index]]:
        names = other.speakers or tuple(f"{other.name}/{n}" for n in range(len(other.lips)))
        for name, voice, lips in zip(names, other.references, other.lips, strict=True):
            if name not in known and other.rate_hz == here.rate_hz:
                known.add(name)
                found.append(Stranger(voice, lips))
    return found


def score_network(
    network: SeparationNetwork, items: Sequence[NetworkItem], settings: Settings | None = None
) -> dict[str, list[Score]]:
    """Scores for monitoring training: one of each for every pair of lips.

    Args:
        network: in evaluation mode.
        items: items with a reference for each pair of lips, in the same order.
        settings: settings of the windows.

    Returns:
        "si-sdr", "si-sdri" and "wrong-speaker".
    """
    found: dict[str, list[Score]] = {name: [] for name in CURVE_METRICS}
    for item in items:
        for n, voice in zip(item.asked, separate_item(network, item, settings), strict=True):
            for name, score in score_voice(voice, item.mixture, item.references, n).items():
                found[name].append(score)
    return found


def score_voice(
    voice: FloatArray, mixture: FloatArray, references: Sequence[FloatArray], number: int
) -> dict[str, Score]:
    """One of each of `CURVE_METRICS`.

    Args:
        voice: (samples,) the estimate.
        mixture: (samples,).
        references: (samples,) of each person.
        number: index of the target speaker, from 0.
    """
    reference = references[number]
    others = [other for n, other in enumerate(references) if n != number]
    after = si_sdr_score(voice, reference)
    return {
        "si-sdr": after,
        "si-sdri": difference(after, si_sdr_score(mixture, reference)),
        "wrong-speaker": wrong_speaker(voice, reference, others),
    }


def summarise_point(
    point: float, scores: Mapping[str, Sequence[Score]], groups: Sequence[str]
) -> dict[str, object]:
    """One point of a curve as JSON values."""
    return {"at": point, **{name: asdict(summarise(s, groups)) for name, s in scores.items()}}


def trace(
    curve: str, network: SeparationNetwork, items: Sequence[NetworkItem], settings: Settings
) -> Iterator[dict[str, object]]:
    """All points of a curve that changes the inputs of the network."""
    for point in CURVES[curve].points:
        under = list(worsened(curve, items, point))
        groups = [item.name for item in under for _ in item.asked]
        yield summarise_point(point, score_network(network, under, settings), groups)
