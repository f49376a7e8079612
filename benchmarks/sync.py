"""Measure the accuracy of A/V offsets of `avse sync`, and the calibration of its confidence.

    python benchmarks/sync.py CLIPS [--shifts 10] [--others 3] [--join 1] [--fit]

CLIPS are videos, or folders of videos, of one talking person each, in step. Faces are detected
once; then the sound is shifted by a random -600 to 600 ms, repeatedly, as by other time stamps.
Conditions: the clip unchanged; with noise of the spectrum of speech; with another clip's voice, and
one or both faces visible; and with the sound of another clip, with noise alone, or with still lips,
where every answer is wrong. --join joins a number of clips of a folder to longer recordings; these
clips must have the same delay. --fit fits the weights of `avse.sync.certainty` to the results.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize

from avse.dsp.stft import SAMPLE_RATE
from avse.faces.lips import RATE_HZ, LipSequence
from avse.inference.networks import SeparationNetwork, open_network
from avse.media import AudioReader
from avse.scene.scene import look
from avse.settings import Settings
from avse.sync.certainty import describe
from avse.sync.drift import along
from avse.sync.measuring import conclude, gather
from avse.types import FloatArray

MOST_MS = 600
RIGHT_MS = 40
SAMPLES = SAMPLE_RATE // RATE_HZ
Trials = dict[str, list[tuple[float, ...]]]

TRUE = ("as it is", "noise 10 dB", "noise 0 dB", "two voices, both seen", "two voices, one seen")
FALSE = ("another's sound", "noise alone", "still lips")


@dataclass
class Clip:
    folder: str
    name: str
    lips: LipSequence
    sound: FloatArray


def read_clip(path: Path) -> Clip:
    scene = look(path, Settings())
    with AudioReader(path, rate_hz=SAMPLE_RATE, mono=True) as reader:
        sound = np.concatenate([block.samples[0] for block in reader])
    person = max(scene.people, key=lambda one: one.seconds_on_screen)
    frames = max(len(sound) // SAMPLES, person.lips.first + len(person.lips.points))
    return Clip(path.parent.name, path.stem, person.lips.window(0, frames), sound)


def joined(clips: list[Clip], count: int, rng: np.random.Generator) -> list[Clip]:
    if count == 1:
        return clips
    made = []
    for clip in clips:
        own = [other for other in clips if other.folder == clip.folder]
        parts = [own[int(n)] for n in rng.choice(len(own), count, replace=count > len(own))]
        lengths = [min(len(p.lips.points), len(p.sound) // SAMPLES) for p in parts]
        pairs = list(zip(parts, lengths, strict=True))
        lips = LipSequence(
            0,
            np.concatenate([p.lips.points[:n] for p, n in pairs]),
            np.concatenate([p.lips.confidence[:n] for p, n in pairs]),
        )
        sound = np.concatenate([p.sound[: n * SAMPLES] for p, n in pairs])
        made.append(Clip(clip.folder, clip.name, lips, sound))
    return made


def speech_noise(clip: Clip, rng: np.random.Generator) -> FloatArray:
    """Make noise with the spectrum of a clip: its Fourier transform with random phases."""
    spectrum = np.fft.rfft(clip.sound)
    turned = np.abs(spectrum) * np.exp(2j * np.pi * rng.random(len(spectrum)))
    return np.asarray(np.fft.irfft(turned, len(clip.sound)), np.float32)


def mixed(sound: FloatArray, other: FloatArray, ratio_db: float) -> FloatArray:
    other = np.resize(other, len(sound))
    power = np.sqrt(np.mean(np.square(sound)) / (np.mean(np.square(other)) + 1e-12))
    return np.asarray(sound + other * power * 10 ** (-ratio_db / 20), np.float32)


def staged(
    what: str, clip: Clip, other: Clip, rng: np.random.Generator
) -> tuple[dict[int, LipSequence], FloatArray]:
    """Make a condition: the visible lips, and the sound."""
    lips, sound = {1: clip.lips}, clip.sound
    if what.startswith("noise "):
        noise = speech_noise(clip, rng)
        sound = noise if what == "noise alone" else mixed(sound, noise, float(what.split()[1]))
    elif what.startswith("two voices"):
        sound = mixed(sound, other.sound, 0.0)
        if what.endswith("both seen"):
            lips[2] = other.lips
    elif what == "another's sound":
        sound = other.sound
    elif what == "still lips":
        shake = rng.normal(0, 0.002, clip.lips.points.shape).astype(np.float32)
        still = np.median(clip.lips.points, axis=0) + shake
        lips = {1: dataclasses.replace(clip.lips, points=still)}
    return lips, sound


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--shifts", type=int, default=10)
    parser.add_argument("--others", type=int, default=3, help="shifts of the other conditions")
    parser.add_argument("--join", type=int, default=1)
    parser.add_argument("--model", default="avse-small")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fit", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(asked.seed)
    paths = [p for c in asked.clips for p in (sorted(c.rglob("*.m*")) if c.is_dir() else [c])]
    clips = [read_clip(path) for path in paths]
    network = open_network(asked.model)
    trials: Trials = defaultdict(list)
    for turn in range(asked.shifts):
        for clip in joined(clips, asked.join, rng):
            strangers = [c for c in clips if c.folder != clip.folder] or clips
            other = joined(strangers, asked.join, rng)[int(rng.integers(len(strangers)))]
            for what in (*TRUE, *FALSE) if turn < asked.others else TRUE[:1]:
                late_ms = int(rng.integers(-MOST_MS, MOST_MS + 1))
                lips, sound = staged(what, clip, other, rng)
                trials[what].append(one_trial(network, lips, sound, late_ms))
    tell(trials)
    if asked.fit:
        fit(trials)


def one_trial(
    network: SeparationNetwork, lips: dict[int, LipSequence], sound: FloatArray, late_ms: int
) -> tuple[float, ...]:
    """Measure an offset: error in ms, confidence, its two features, offset and drift in ms."""
    # Whole video frames shift the lips; the rest cuts the beginning of the sound.
    frames = -(-late_ms * RATE_HZ // 1000)
    rest = frames * 1000 // RATE_HZ - late_ms
    moved = {n: dataclasses.replace(one, first=one.first - frames) for n, one in lips.items()}
    evidence = gather(network, moved, iter([sound[rest * SAMPLE_RATE // 1000 :]]))
    found = conclude(evidence)
    offset = found.whole.offset_ms or 0.0
    features = describe(along(evidence.curves.sum(axis=0), np.zeros(len(evidence.edges))))
    drift = 0.0 if found.drift is None else found.drift.end_ms - found.drift.begin_ms
    return offset - late_ms, found.whole.confidence, *features, offset, drift


def tell(trials: Trials) -> None:
    print(f"{'':24s} trials  <=40 ms  median error  90 % |error|  confidence  >=0.9 (right)  drift")
    for what, rows in trials.items():
        error, sure, _, _, _, drift = np.array(rows).T
        right = np.abs(error) <= RIGHT_MS if what in TRUE else np.zeros(len(error), bool)
        high = sure >= 0.9
        print(
            f"{what:24s} {len(error):6d} {100 * right.mean():7.1f}% {np.median(error):10.0f} ms"
            f" {np.quantile(np.abs(error), 0.9):10.0f} ms {np.median(sure):11.2f}"
            f" {100 * high.mean():6.1f}% ({100 * right[high].mean() if high.any() else 0:.0f}%)"
            f" {100 * np.mean(drift != 0):6.1f}%"
        )
    error, sure = pooled(trials)
    print("\nconfidence   trials   right")
    for low, high in ((0, 0.1), (0.1, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 1.01)):
        here = (sure >= low) & (sure < high)
        share = f"{100 * error[here].mean():5.0f}%" if here.any() else "     -"
        print(f"{low:.1f} to {min(high, 1):.1f}  {here.sum():7d}  {share}")


def pooled(
    trials: Trials, column: int = 1
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """Whether the offset of each trial is right, and another column of its results."""
    right = [what in TRUE and abs(r[0]) <= RIGHT_MS for what, rows in trials.items() for r in rows]
    return np.array(right), np.array([r[column] for rows in trials.values() for r in rows])


def fit(trials: Trials) -> None:
    right, lead = pooled(trials, 2)
    inputs = np.stack([np.ones(len(lead)), lead, pooled(trials, 3)[1]], axis=1)
    sign = np.where(right, 1.0, -1.0)
    loss = lambda weights: np.logaddexp(0, -sign * (inputs @ weights)).mean()  # noqa: E731
    found = minimize(loss, np.zeros(3))
    print(f"\nWEIGHTS = ({', '.join(f'{w:.2f}' for w in found.x)}), {found.fun:.3f} nats a trial")


if __name__ == "__main__":
    main()
