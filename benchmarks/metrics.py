"""Measure the speed of scoring with one process and with two.

Mixes pairs of recordings of speech, makes estimates with some of the other voice, and scores every
voice with every metric, with each number of processes in turn:

    python benchmarks/metrics.py FOLDER_OF_SPEECH --items 1000 --jobs 1 2

Any folder of speech will do. Prints the items per second, the speed-up, and the largest difference
between the scores of the runs (the order of sums depends on the threads of a process).
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from avse.evaluation.items import Mixture, MixtureResult, ScoredVoice
from avse.evaluation.scoring import ScoringPlan, score_mixtures
from avse.evaluation.sounds import read_sound, write_sound
from avse.media import resample
from avse.metrics import METRICS
from avse.types import FloatArray
from avse.utils.suffixes import SOUND_FILES, VIDEO_FILES

RATE_HZ = 16_000


def excerpts(folder: Path, count: int, seconds: float, seed: int) -> list[FloatArray]:
    """Cut excerpts of speech that are not too quiet, from different files as far as possible."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SOUND_FILES | VIDEO_FILES)
    random.Random(seed).shuffle(paths)
    samples = round(seconds * RATE_HZ)
    found: list[FloatArray] = []
    while len(found) < count:
        before = len(found)
        for path in paths:
            sound, rate = read_sound(path)
            sound = resample(sound[None], rate, RATE_HZ)[0]
            part = sound[len(found) // len(paths) * samples :][:samples]
            if part.size == samples and part.std() > 1e-3:
                found.append(0.05 * part / part.std())
                if len(found) == count:
                    return found
        if len(found) == before:
            raise SystemExit(f"{folder} holds too little speech for {count} items")
    return found


def make(folder: Path, voices: list[FloatArray], seed: int) -> list[Mixture]:
    """Write mixtures of two voices, and estimates that hold a random share of the other voice."""
    rng = np.random.default_rng(seed)
    mixtures = []
    for n in range(len(voices) // 2):
        pair = voices[2 * n], voices[2 * n + 1]
        mixed = folder / f"{n:04d}.wav"
        write_sound(mixed, pair[0] + pair[1], RATE_HZ)
        judged = []
        for k in (0, 1):
            leak = np.float32(10 ** (rng.uniform(-30, 0) / 20))
            name = f"{n:04d}.{k + 1}"
            paths = folder / f"{name}.reference.wav", folder / f"{name}.estimate.wav"
            write_sound(paths[0], pair[k], RATE_HZ)
            write_sound(paths[1], pair[k] + leak * pair[1 - k], RATE_HZ)
            judged.append(ScoredVoice(name, *paths))
        mixtures.append(Mixture(f"{n:04d}", mixed, tuple(judged)))
    return mixtures


def difference(one: list[MixtureResult], other: list[MixtureResult]) -> float:
    """The largest difference between the scores of two runs; infinite if only one is defined."""
    apart = 0.0
    for a, b in zip(one, other, strict=True):
        for x, y in zip(a.items, b.items, strict=True):
            for name, score in x.scores["estimate"].items():
                value, again = score.value, y.scores["estimate"][name].value
                if value is not None and again is not None:
                    apart = max(apart, abs(value - again))
                elif value != again:
                    return float("inf")
    return apart


def main() -> None:
    """Make the items and score them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("speech", type=Path, help="a folder of recordings")
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--ceilings", action="store_true", help="score oracle masks too")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    plan = ScoringPlan(tuple(METRICS), ceilings=options.ceilings)
    took, answers = {}, []
    with tempfile.TemporaryDirectory() as scratch:
        voices = excerpts(options.speech, options.items, options.seconds, options.seed)
        mixtures = make(Path(scratch), voices, options.seed)
        for jobs in options.jobs:
            began, results = time.perf_counter(), []
            for result in score_mixtures(mixtures, plan, jobs=jobs):
                results.append(result)
                print(f"\r{jobs}: {len(results)}/{len(mixtures)}", end="", file=sys.stderr)
            took[jobs] = time.perf_counter() - began
            answers.append(sorted(results, key=lambda mixture: mixture.name))
            print(file=sys.stderr)
            count = sum(len(result.items) for result in results)
            scored = sum(
                score.value is not None
                for result in results
                for item in result.items
                for score in item.scores["estimate"].values()
            )
            print(
                f"{jobs} processes: {count} items of {options.seconds:g} s in {took[jobs]:.1f} s, "
                f"{count / took[jobs]:.2f} items/s; {scored} scores, "
                f"{count * len(METRICS) - scored} not defined"
            )
    first = options.jobs[0]
    for jobs in options.jobs[1:]:
        print(f"speed-up from {first} to {jobs} processes: {took[first] / took[jobs]:.2f}")
    apart = max(difference(answers[0], answer) for answer in answers)
    print(f"largest difference of a score between the runs: {apart:.1e}")


if __name__ == "__main__":
    main()
