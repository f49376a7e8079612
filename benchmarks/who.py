"""Measure the speaker diarization of `avse who` on a set of `avse mix`.

    avse mix CLIPS -o set --turns 0.3
    python benchmarks/who.py set

Prints the frame-level mean average precision (over the frames of all people of the set together, as
on AVA-ActiveSpeaker; by scikit-learn's definition), and the diarization error rate (DER), with and
without a collar of 0.25 s on both sides of each boundary of the truth; overlapping speech counts.
Baselines are chance, the level of the mixture as the score of every person, and the motion of the
lips alone. 95 % intervals are by bootstrap over mixtures. People are matched by their place in the
picture, so that no assignment of speakers has to be searched for. `--rttm FOLDER` writes the
results, for other scorers; `--gate` also measures how the gate changes the stems of `avse
separate`, on the same mixtures.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from avse.diarization.segments import Flags, Hysteresis, Segment, flags_of
from avse.diarization.texts import read_rttm, rttm
from avse.diarization.who import Activity, listen
from avse.errors import NoFaceError
from avse.evaluation.running import places
from avse.evaluation.sounds import read_sound
from avse.evaluation.statistics import summarise
from avse.evaluation.testset import TestSet, open_test_set
from avse.faces.detect import open_backend
from avse.faces.lips import RATE_HZ
from avse.inference.engine import Engine
from avse.inference.networks import SeparationNetwork, open_network
from avse.inference.voice_activity import lips_only, speaking
from avse.metrics import Score, measure, silent_level
from avse.mixtures.items import Item
from avse.scene.scene import Scene, look
from avse.separation.separator import Separation
from avse.settings import Settings
from avse.types import FloatArray
from avse.utils.progress import no_progress

COLLAR_S = 0.25
DRAWS = 2000
FINE_HZ = 100
"""Diarization errors are counted in steps of 10 ms."""


@dataclass
class Judged:
    """The result of a system on a mixture.

    Attributes:
        truth: (people, frames), whether each person speaks.
        score: (people, frames), the scores of the system.
        wrong: (2, 3) steps missed, of false alarm, and confused, without and with a collar.
        total: (2,) steps of speech in the truth, without and with a collar.
    """

    truth: Flags
    score: FloatArray
    wrong: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, 3)))
    total: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))


def average_precision(truth: Flags, score: FloatArray) -> float:
    """Average precision, by the definition of scikit-learn's `average_precision_score`."""
    order = np.argsort(-score, kind="stable")
    hits, sorted_score = truth[order].cumsum(), score[order]
    last = np.append(sorted_score[1:] != sorted_score[:-1], True)
    precision = hits[last] / (np.flatnonzero(last) + 1)
    recall = hits[last] / max(1, hits[-1])
    return float(np.sum(np.diff(recall, prepend=0) * precision))


def errors(
    truth: Sequence[Sequence[Segment]],
    found: Sequence[Sequence[Segment]],
    length_s: float,
    collar_s: float,
) -> tuple[npt.NDArray[np.float64], float]:
    """Count (3,) the steps missed, of false alarm, and confused; and the steps of speech."""
    steps = round(length_s * FINE_HZ)
    scale = FINE_HZ / RATE_HZ

    def flags(people: Sequence[Sequence[Segment]]) -> Flags:
        grown = [[Segment(s.start * scale, s.stop * scale) for s in own] for own in people]
        return np.stack([flags_of(own, steps) for own in grown])

    real, said = flags(truth), flags(found)
    middles = (np.arange(steps) + 0.5) / FINE_HZ
    judged = np.ones(steps, np.bool_)
    for own in truth:
        for segment in own:
            for edge in (segment.start, segment.stop):
                judged &= np.abs(middles - edge) >= collar_s
    real, said = real[:, judged], said[:, judged]
    many, claimed, right = real.sum(0), said.sum(0), (real & said).sum(0)
    missed = np.maximum(0, many - claimed).sum()
    alarm = np.maximum(0, claimed - many).sum()
    confused = (np.minimum(many, claimed) - right).sum()
    return np.array([missed, alarm, confused], np.float64), float(many.sum())


def truth_of(test_set: TestSet, item: Item) -> list[list[Segment]]:
    """Read the segments of each person's speech, from left to right."""
    assert item.outputs.activity is not None, "make the set with --turns"
    found = read_rttm((test_set.folder / item.outputs.activity).read_text(encoding="ascii"))
    return [found.get(f"person{n}", []) for n in range(1, len(item.sources) + 1)]


def loudness(test_set: TestSet, item: Item, frames: int) -> FloatArray:
    """Level of the mixture over 0.2 s in dB, scaled to 0..1: (frames,)."""
    sound, rate = read_sound(test_set.mixture(item))
    step = rate // RATE_HZ
    pieces = (
        np.resize(sound, frames * step) if len(sound) < frames * step else sound[: frames * step]
    )
    power = np.mean(np.square(pieces.reshape(frames, step)), axis=1)
    level = 10 * np.log10(np.convolve(power, np.full(5, 0.2), "same") + 1e-9)
    return np.asarray((level - level.min()) / max(1e-6, np.ptp(level)), np.float32)


def judge(
    test_set: TestSet, item: Item, activity: Activity | None, watched: FloatArray | None
) -> dict[str, Judged]:
    """Evaluate every system on a mixture."""
    truth = truth_of(test_set, item)
    frames = int(item.duration_s * RATE_HZ)
    real = np.stack([flags_of(own, frames) for own in truth])
    scores = {name: np.zeros(real.shape, np.float32) for name in ("avse who", "lips alone")}
    if activity is not None and watched is not None:
        people = [talk.person for talk in activity.talks]
        for n, place in enumerate(places(item, people)):
            if place is not None:
                for name, source in (
                    ("avse who", activity.talks[place].probability),
                    ("lips alone", watched[place]),
                ):
                    part = np.nan_to_num(source[:frames])
                    scores[name][n, : len(part)] = part
    rng = np.random.default_rng(item.seed)
    scores["loudness alone"] = np.stack([loudness(test_set, item, frames)] * len(truth))
    scores["random"] = rng.random(real.shape).astype(np.float32)
    scores["everybody always"] = np.ones(real.shape, np.float32)
    out = {}
    for name, score in scores.items():
        result = out[name] = Judged(real, score)
        found = [Hysteresis().flags(own) for own in score]
        spoken = [[Segment(a, b) for a, b in _spans(own)] for own in found]
        for n, collar in enumerate((0.0, COLLAR_S)):
            result.wrong[n], result.total[n] = errors(truth, spoken, item.duration_s, collar)
    return out


def _spans(flags: Flags) -> list[tuple[float, float]]:
    from avse.diarization.segments import segments

    return [(s.start, s.stop) for s in segments(flags)]


def figures(results: Sequence[Judged]) -> npt.NDArray[np.float64]:
    """(6,) in percent: AP, DER, DER with a collar; missed, false alarm and confused of the DER."""
    truth = np.concatenate([r.truth.ravel() for r in results])
    score = np.concatenate([r.score.ravel() for r in results])
    wrong, total = sum(r.wrong for r in results), sum(r.total for r in results)
    der = np.asarray(wrong).sum(axis=1) / total
    parts = np.asarray(wrong)[0] / np.asarray(total)[0]
    return np.asarray([100 * average_precision(truth, score), *(100 * der), *(100 * parts)], float)


def separated(
    test_set: TestSet,
    item: Item,
    scene: Scene,
    network: SeparationNetwork,
    scores: dict[str, dict[str, list[Score]]],
) -> list[str]:
    """Score the stems with and without the gate; returns the mixture's id for each stem."""
    mixture, rate = read_sound(test_set.mixture(item))
    references = [read_sound(path)[0] for path in test_set.references(item)]
    people = list(scene.people)
    found = [(n, place) for n, place in enumerate(places(item, people)) if place is not None]
    for name, gate in (("without the gate", False), ("with the gate", True)):
        how = Settings(gate=gate)
        stems = Separation(scene, people, Engine(network, how), no_progress).voices().mean(axis=1)
        own = scores.setdefault(name, {})
        for n, place in found:
            stem = np.resize(stems[place], mixture.shape)  # codecs add padding at the end
            for metric in ("si-sdr", "stoi"):
                own.setdefault(metric, []).append(measure(metric, stem, references[n], rate))
            level = silent_level(stem, references[n], mixture, rate)
            own.setdefault("silent-level", []).append(level)
    return [item.id] * len(found)


def tell_voices(scores: dict[str, dict[str, list[Score]]], groups: list[str]) -> None:
    """Print the change by the gate; also its median, because SI-SDR has no lower limit."""
    for metric in ("si-sdr", "stoi", "silent-level"):
        before, after = (own[metric] for own in scores.values())
        pairs = [
            (a.value, b.value, group)
            for a, b, group in zip(before, after, groups, strict=True)
            if a.value is not None and b.value is not None
        ]
        change = [Score(b - a) for a, b, _ in pairs]
        gone = sum(
            b.value is None and a.value is not None for a, b in zip(before, after, strict=True)
        )
        told = summarise(change, [group for *_, group in pairs])
        print(
            f"{metric:13} {np.mean([p[0] for p in pairs]):8.3f} without, "
            f"{np.mean([p[1] for p in pairs]):8.3f} with the gate; change {told.mean:.3f} "
            f"({told.low:.3f} to {told.high:.3f}), median {told.median:.3f}, {len(pairs)} voices, "
            f"{gone} made undefined"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("set", type=Path, help="a set that `avse mix --turns` made")
    parser.add_argument("--model", default=Settings.model)
    parser.add_argument("--count", type=int, help="only the first mixtures")
    parser.add_argument("--gate", action="store_true", help="also measure the gate of separate")
    parser.add_argument("--rttm", type=Path, help="folder for the results as RTTM")
    given = parser.parse_args()
    test_set = open_test_set(given.set)
    settings = Settings(model=given.model)
    network, backend = open_network(given.model), open_backend(settings.faces)
    results: dict[str, list[Judged]] = {}
    voices: dict[str, dict[str, list[Score]]] = {}
    groups: list[str] = []
    items = test_set.manifest.items[: given.count]
    for item in items:
        activity = watched = None
        try:
            scene = look(test_set.video(item), settings, backend=backend)
            activity = listen(scene, network, settings)
            watched = speaking(activity.cues, lips_only(settings.faces))
            if given.gate:
                groups += separated(test_set, item, scene, network, voices)
        except NoFaceError:
            print(f"{item.id}: no face was found")
        for name, result in judge(test_set, item, activity, watched).items():
            results.setdefault(name, []).append(result)
        if given.rttm is not None and activity is not None:
            given.rttm.mkdir(parents=True, exist_ok=True)
            text = rttm(activity.spoken, item.id)
            (given.rttm / f"{item.id}.rttm").write_text(text, encoding="ascii")
    share = 100 * np.mean(np.concatenate([r.truth.ravel() for r in results["random"]]))
    print(f"{len(items)} mixtures, {share:.0f} % of frames are speech; percent")
    print(f"{'':18}{'mAP':>20}{'DER':>20}{'DER, collar':>20}  missed  false  confused")
    for name, theirs in results.items():
        value = figures(theirs)
        rng = np.random.default_rng(0)
        drawn = np.array(
            [
                figures([theirs[n] for n in rng.integers(len(theirs), size=len(theirs))])
                for _ in range(DRAWS)
            ]
        )
        low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
        cells = [f"{v:.1f} ({a:.1f} to {b:.1f})" for v, a, b in zip(value, low, high, strict=True)]
        parts = "".join(f"{v:8.1f}" for v in value[3:])
        print(f"{name:18}{cells[0]:>20}{cells[1]:>20}{cells[2]:>20}{parts}")

    if voices:
        tell_voices(voices, groups)


if __name__ == "__main__":
    main()
