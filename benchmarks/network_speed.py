"""Measure the real-time factor of separation on one core.

    python benchmarks/network_speed.py
    python benchmarks/network_speed.py --model mine.safetensors --people 1 2 4

Runs the network alone; then mask estimation with the features for voice activity, as `avse
separate` does; then this together with separation of off-screen speech and speaker tracking, as
with lost faces or --offscreen. The input is a minute of noise, in windows that overlap by half; the
content of sound and lips does not change the time. Prints processor seconds per second of sound.
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np

from avse.dsp.stft import BINS, FRAME_RATE, SAMPLE_RATE, VIDEO_RATE
from avse.faces.lips import POINTS, LipSequence
from avse.inference.mask_estimator import MaskEstimator
from avse.inference.networks import open_network
from avse.inference.offscreen_weights import load_offscreen
from avse.inference.speaker_tracking import SpeakerTracker
from avse.settings import Settings

SECONDS = 60


def main() -> None:
    """Read the options, measure, and print the times."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-m", "--model", default=Settings.model)
    parser.add_argument("--people", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    network, offscreen = open_network(args.model), load_offscreen(Settings.offscreen_model)
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.1, (SECONDS, 1, SAMPLE_RATE)).astype(np.float32)
    windows = round(SECONDS / (Settings.window_s * (1 - Settings.overlap)))
    video, fine = (round(Settings.window_s * rate) for rate in (VIDEO_RATE, FRAME_RATE))
    for people in args.people:
        parts = rng.normal(size=(2, BINS, fine))
        spectrum = np.asarray(parts[0] + 1j * parts[1], np.complex64)
        size = (people, network.spec.lip_components, video)
        components = rng.normal(size=size).astype(np.float32)
        seen = np.ones((people, video), np.float32)
        network.estimate(spectrum, components, seen)
        began = time.process_time()
        for _ in range(windows):
            network.estimate(spectrum, components, seen)
        alone = time.process_time() - began
        frames = SECONDS * VIDEO_RATE
        points = rng.normal(0, 0.01, (people, frames, POINTS, 3)).astype(np.float32)
        lips = [LipSequence(0, p, np.ones((frames, POINTS), np.float32)) for p in points]
        costs = [alone / SECONDS]
        for listener in (None, offscreen):
            began = time.process_time()
            estimator = MaskEstimator(
                network,
                lips,
                window_s=Settings.window_s,
                overlap=Settings.overlap,
                offscreen=listener,
            )
            masks = estimator.masks(iter(sound))
            for _ in (
                masks if listener is None else SpeakerTracker(estimator.presence).assigned(masks)
            ):
                pass
            costs.append((time.process_time() - began) / SECONDS)
        print(
            f"{people} in the picture: network {costs[0]:.4f}, with masks and activity "
            f"{costs[1]:.4f}, with off-screen speech {costs[2]:.4f} s per second of sound"
        )


if __name__ == "__main__":
    main()
