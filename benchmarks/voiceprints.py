"""Measure how well voiceprints distinguish people, and calibrate their cosine.

Draws two sounds of each person of a pack of `avse prepare`, from different clips. As in training,
three in four hold another voice or noise, 20 to -3 dB below, which is partly removed. Compares all
pairs of sounds of a corpus. Prints the cosines, the equal error rate, and a logistic regression of
"same person" on the cosine, with equal weight for both classes:

    python benchmarks/voiceprints.py speech --split valid --noise noise

`avse.inference.speaker_tracking.TrackingRule` has the slope of the split "valid", and its offset
minus 1, because a stranger's voice in a stem is worse than a missing word.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from avse.inference.offscreen_weights import load_offscreen_modules
from avse.settings import Settings
from avse.training.compute import Compute
from avse.training.data import EVERYBODY, PackedSounds
from avse.training.mixing import MixSettings
from avse.training.voiceprints import PairSource, VoiceprintStage, equal_error_rate
from avse.types import FloatArray

SEED, BATCHES, TALKERS = 96, 8, 40


def fit(same: FloatArray, different: FloatArray) -> tuple[float, float]:
    """Fit a logistic regression by Newton's method, with equal class weights: slope and offset."""
    x = np.concatenate([same, different]).astype(np.float64)
    y = np.concatenate([np.ones(len(same)), np.zeros(len(different))])
    weight = np.where(y > 0, 0.5 / len(same), 0.5 / len(different)) * len(x)
    design = np.stack([x, np.ones_like(x)], axis=1)
    found = np.zeros(2)
    for _ in range(30):
        p = 1 / (1 + np.exp(-np.clip(design @ found, -30, 30)))
        curve = (design * (weight * p * (1 - p))[:, None]).T @ design + 1e-3 * np.eye(2)
        found += np.linalg.solve(curve, design.T @ (weight * (y - p)) - 1e-3 * found)
    return float(found[0]), float(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("speech", type=Path, help="a pack of voices")
    parser.add_argument("--split", default="valid")
    parser.add_argument("--noise", type=Path, required=True, help="a pack")
    parser.add_argument("--seconds", type=float, default=3.2, help="of each sound")
    parser.add_argument("--offscreen-model", default=Settings.offscreen_model)
    given = parser.parse_args()
    voiceprint = load_offscreen_modules(given.offscreen_model)[1]
    speech = PackedSounds([str(given.speech)], given.split)
    noise = PackedSounds([str(given.noise)], EVERYBODY)
    for name, tilt_db, rooms in (("as recorded", 0.0, 0.0), ("other microphones", 6.0, 0.3)):
        settings = MixSettings(seconds=given.seconds, tilt_db=tilt_db, room_probability=rooms)
        source = PairSource(speech, noise, settings, TALKERS)
        stage = VoiceprintStage(voiceprint, source, None, Compute(torch.device("cpu")))
        same, different = [], []
        for n in range(BATCHES):
            with torch.no_grad():
                prints = stage.prints(source.draw(np.random.default_rng([SEED, n])))
            likeness = (prints[:, 0] @ prints[:, 1].T).numpy()
            own = np.eye(len(likeness), dtype=bool)
            same.append(likeness[own])
            different.append(likeness[~own])
        alike, unlike = np.concatenate(same), np.concatenate(different)
        slope, offset = fit(alike, unlike)
        print(
            f"{name}: same {alike.mean():.2f} (sd {alike.std():.2f}, {len(alike)} pairs), "
            f"different {unlike.mean():.2f} (sd {unlike.std():.2f}, {len(unlike)}), equal error "
            f"{100 * equal_error_rate(alike, unlike):.1f} %, slope {slope:.2f}, offset {offset:.2f}"
        )


if __name__ == "__main__":
    main()
