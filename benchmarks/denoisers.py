"""Compare the network with an audio-only denoiser, on one face in noise.

    pip install pyrnnoise                # RNNoise (Valin 2018) with its own weights
    python benchmarks/denoisers.py PACK --noise NOISE_PACK --split test --mixtures 60

Mixes one held-out person of a pack of `avse prepare` with noise, 2.9 s each; every run uses the
same mixtures. Prints the SI-SDR improvement with its 95 % interval, PESQ (wide band) and STOI of
the mixture, of the network, and of RNNoise, which gets 48 kHz, and whose output is aligned with the
mixture.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bars import SEED, mixing, people
from scipy.signal import correlate, resample_poly

from avse.dsp.stft import SAMPLE_RATE
from avse.evaluation.statistics import interval
from avse.metrics.perceptual import pesq_score, stoi_score
from avse.metrics.si_sdr import si_sdr
from avse.models.weights import load
from avse.settings import Settings
from avse.training.data import PackedSounds
from avse.training.talking_mixtures import FaceSettings, TalkingMixer
from avse.training.validating import answers
from avse.types import FloatArray

_FURTHEST = 800
"""The largest delay of a denoiser's output, in samples: 50 ms."""


def rnnoise() -> Callable[[FloatArray], FloatArray]:
    """Open RNNoise as a function from (samples,) to (samples,), both at 16 kHz."""
    library: Any = importlib.import_module("pyrnnoise.rnnoise")

    def denoise(mixture: FloatArray) -> FloatArray:
        state = library.create()
        whole = np.clip(resample_poly(mixture, 3, 1) * 32768, -32768, 32767).astype(np.int16)
        size = library.FRAME_SIZE
        frames = np.pad(whole, (0, -len(whole) % size)).reshape(-1, size)
        out = [np.asarray(library.process_frame(state, frame)[0]).reshape(-1) for frame in frames]
        library.destroy(state)
        clean = resample_poly(np.concatenate(out).astype(np.float32) / 32768, 1, 3)
        return aligned(clean[: len(mixture)].astype(np.float32), mixture)

    return denoise


def aligned(estimate: FloatArray, mixture: FloatArray) -> FloatArray:
    """Shift an estimate by up to 50 ms, so that its correlation with the mixture is largest."""
    likeness = correlate(estimate, mixture, "full", "fft")
    middle = len(mixture) - 1
    late = int(np.argmax(likeness[middle - _FURTHEST : middle + _FURTHEST + 1])) - _FURTHEST
    return np.roll(estimate, -late)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("packs", type=Path, nargs="+")
    parser.add_argument("--noise", type=Path, required=True, help="pack of noise")
    parser.add_argument("-m", "--model", default=Settings.model)
    parser.add_argument("--split")
    parser.add_argument("--mixtures", type=int, default=60)
    parser.add_argument("--snr", type=float, default=0.0, help="dB")
    args = parser.parse_args()
    network = load(args.model)
    denoise = rnnoise()
    noise = PackedSounds([str(args.noise)], "all")
    settings = mixing(voices=(1.0,), noise_probability=1.0, snr_db=(args.snr, args.snr))
    for pack in args.packs:
        mixer = TalkingMixer(people(pack, args.split), noise, settings, FaceSettings(0, 0, 0))
        scores: dict[str, list[tuple[float, float, float]]] = {}
        for n in range(args.mixtures):
            drawn = mixer.draw(np.random.default_rng([SEED, n]), 1)
            voice = drawn.batch.sources[0, 0].numpy()
            mixture = drawn.batch.sources[0].sum(dim=0).numpy()
            if not np.square(voice).mean() > 1e-6:  # the whole excerpt is a pause
                continue
            with torch.no_grad():
                ours = answers(network, drawn)[0, 0].numpy()
            for name, estimate in (
                ("mixture", mixture),
                ("avse", ours),
                ("RNNoise", denoise(mixture)),
            ):
                values = (
                    si_sdr(estimate, voice),
                    pesq_score(estimate, voice, SAMPLE_RATE).value,
                    stoi_score(estimate, voice, SAMPLE_RATE).value,
                )
                scores.setdefault(name, []).append(
                    tuple(np.nan if value is None else value for value in values)  # type: ignore[arg-type]
                )
        before = np.array(scores["mixture"])[:, 0]
        for name, rows in scores.items():
            table = np.array(rows)
            gain = table[:, 0] - before
            low, high = interval(gain, [str(n) for n in range(len(gain))])
            edges = "" if low is None else f" ({low:+.2f} to {high:+.2f})"
            print(
                f"{pack.name:12} {name:8} {gain.mean():+.2f}{edges} dB SI-SDRi  PESQ-WB "
                f"{np.nanmean(table[:, 1]):.2f}  STOI {np.nanmean(table[:, 2]):.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
