"""Evaluate a network on unseen speakers in typical and difficult conditions.

    python benchmarks/bars.py PACK PACK --noise NOISE_PACK
    python benchmarks/bars.py PACK --model mine.safetensors --split test --mixtures 100
    python benchmarks/bars.py PACK --model mine.safetensors --enrolled

Evaluates the network alone, on mixtures of packs of `avse prepare`. Clips are joined to 2.9 s, and
every run uses the same mixtures: two voices; two voices with late, lost or frozen lips; one voice
in noise; one voice and a silent face, whose lips move or are still. With `--enrolled`, for weights
that take voiceprints: two voices, also with lost lips, with and without voiceprints, for people of
whom the pack has other sound. Prints a line for each condition: the mean SI-SDR improvement with
its 95 % interval over mixtures, and the share of estimates that are closer to the other person; or
the level of the stem of a silent face. The split is "test", or "valid" if a pack has no test split.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avse.evaluation.statistics import interval
from avse.inference.offscreen_weights import load_offscreen_modules
from avse.models.network import AVSENet
from avse.models.weights import load
from avse.settings import Settings
from avse.training.data import Faces, PackedSounds
from avse.training.mixing import MixSettings
from avse.training.queries import Enroller
from avse.training.talking_mixtures import FaceSettings, TalkingBatch, TalkingMixer
from avse.training.validating import VoiceScore, answers, score_mixture

SECONDS = 2.88
LATE = 3
"""Delay in video frames: 120 ms."""

SEED = 77
_AT_ONCE = 10

Change = Callable[[TalkingBatch, np.random.Generator], TalkingBatch]


def same(batch: TalkingBatch, rng: np.random.Generator) -> TalkingBatch:
    """Return the mixtures unchanged."""
    return batch


def late(batch: TalkingBatch, rng: np.random.Generator) -> TalkingBatch:
    """Delay the lips by 120 ms."""
    return dataclasses.replace(
        batch, lips=batch.lips.roll(LATE, dims=2), seen=batch.seen.roll(LATE, dims=2)
    )


def early(batch: TalkingBatch, rng: np.random.Generator) -> TalkingBatch:
    """Move the lips 120 ms before their sound."""
    return dataclasses.replace(
        batch, lips=batch.lips.roll(-LATE, dims=2), seen=batch.seen.roll(-LATE, dims=2)
    )


def half_lost(batch: TalkingBatch, rng: np.random.Generator) -> TalkingBatch:
    """Hide each face for half of the time, in one stretch."""
    seen = batch.seen.clone()
    frames = seen.shape[-1]
    for face in seen.flatten(0, 1):
        begin = int(rng.integers(0, frames // 2 + 1))
        face[begin : begin + frames // 2] = 0
    return dataclasses.replace(batch, seen=seen)


def half_frozen(batch: TalkingBatch, rng: np.random.Generator) -> TalkingBatch:
    """Freeze the picture in the second half."""
    lips = batch.lips.clone()
    half = lips.shape[2] // 2
    lips[:, :, half:] = lips[:, :, half : half + 1]
    return dataclasses.replace(batch, lips=lips)


def unseen(batch: TalkingBatch, rng: np.random.Generator) -> TalkingBatch:
    """Hide all lips."""
    return dataclasses.replace(batch, seen=torch.zeros_like(batch.seen))


def silent(batch: TalkingBatch, rng: np.random.Generator) -> TalkingBatch:
    """Remove the voice of the second face, whose lips still move."""
    sources = batch.batch.sources.clone()
    sources[:, 1] = 0
    return dataclasses.replace(batch, batch=dataclasses.replace(batch.batch, sources=sources))


def still(batch: TalkingBatch, rng: np.random.Generator) -> TalkingBatch:
    """Remove the voice of the second face, and keep its lips still except for landmark noise."""
    batch = silent(batch, rng)
    lips = batch.lips.clone()
    lips[:, 1] = torch.from_numpy(rng.normal(0, 0.002, lips[:, 1].shape)).float()
    return dataclasses.replace(batch, lips=lips)


TWO: dict[str, Change] = {
    "two faces": same,
    "lips 120 ms late": late,
    "lips 120 ms early": early,
    "lips lost half of the time": half_lost,
    "picture frozen in the second half": half_frozen,
    "one face silent, its lips still": still,
    "one face silent, its lips moving": silent,
}


def main() -> None:
    """Read the options, evaluate each condition, and print the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("packs", type=Path, nargs="+")
    parser.add_argument("--noise", type=Path, help="pack of noise")
    parser.add_argument("-m", "--model", default=Settings.model)
    parser.add_argument("--split")
    parser.add_argument("--mixtures", type=int, default=100)
    parser.add_argument("--enrolled", action="store_true", help="only with and without voiceprints")
    args = parser.parse_args()
    network = load(args.model)
    if args.enrolled:
        enrolled(network, args.packs, args.split, args.mixtures)
        return
    noise = PackedSounds([str(args.noise)], "all") if args.noise else None
    for pack in args.packs:
        faces = people(pack, args.split)
        pair = mixing(voices=(0.0, 1.0))
        for name, change in TWO.items():
            mixer = TalkingMixer(faces, None, pair, FaceSettings(jitter=0, absent=0, lost=0))
            tell(pack, name, measure(network, mixer, change, args.mixtures))
        if noise is not None:
            alone = mixing(voices=(1.0,), noise_probability=1.0, snr_db=(0.0, 0.0))
            mixer = TalkingMixer(faces, noise, alone, FaceSettings(jitter=0, absent=0, lost=0))
            scores = measure(network, mixer, same, args.mixtures)
            tell(pack, "one face, noise at 0 dB", scores)


def enrolled(network: AVSENet, packs: list[Path], split: str | None, mixtures: int) -> None:
    """Evaluate the network with and without voiceprints."""
    if not network.spec.enrolment:
        raise SystemExit("this network does not take voiceprints")
    enroller = Enroller(load_offscreen_modules(Settings.offscreen_model)[1])
    plain = FaceSettings(jitter=0, absent=0, lost=0)
    for pack in packs:
        mixer = TalkingMixer(
            people(pack, split), None, mixing(voices=(0.0, 1.0)), plain, enrolled=1.0
        )
        for name in ("two faces", "lips lost half of the time", "lips never seen"):
            for known in (False, True):
                scores = measure(network, mixer, TWO.get(name, unseen), mixtures, enroller, known)
                tell(pack, f"{name}, voices {'known' if known else 'not known'}", scores)


def people(pack: Path, split: str | None) -> Faces:
    """Open the faces of a split; by default "test", else "valid"."""
    for name in [split] if split else ["test", "valid"]:
        found = Faces([str(pack)], name)
        if len(found):
            return found
    raise SystemExit(f"{pack} has nobody of that split")


def mixing(**fields: object) -> MixSettings:
    """Settings of mixtures without noise, reverberation and spectral tilt, with changed fields."""
    plain = MixSettings(seconds=SECONDS, noise_probability=0, room_probability=0, tilt_db=0)
    return dataclasses.replace(plain, **fields)  # type: ignore[arg-type]


@torch.no_grad()
def measure(
    network: AVSENet,
    mixer: TalkingMixer,
    change: Change,
    mixtures: int,
    enroller: Enroller | None = None,
    known: bool = False,
) -> list[VoiceScore]:
    """Score every face of the mixtures; with an `enroller`, only people with other sound."""
    scores: list[VoiceScore] = []
    for first in range(0, mixtures, _AT_ONCE):
        rng = np.random.default_rng([SEED, first])
        batch = change(mixer.draw(rng, min(_AT_ONCE, mixtures - first)), rng)
        enrolment = None
        if enroller is not None and batch.batch.enrolment is not None:
            sounds = batch.batch.enrolment
            enrolment = enroller(sounds.flatten(0, 1), rng).reshape(*sounds.shape[:2], -1)
        estimates: Tensor = answers(network, batch, enrolment if known else None)
        for n, sources in enumerate(batch.batch.sources):
            found = score_mixture(first + n, estimates[n], sources)
            if enrolment is not None:
                found = [s for s, told in zip(found, enrolment[n], strict=True) if told.any()]
            scores += found
    return scores


def tell(pack: Path, name: str, scores: list[VoiceScore]) -> None:
    """Print a line for a condition."""
    parts = [f"{pack.name:12} {name:42}"]
    for key, unit in (("gain", "dB SI-SDRi"), ("silent_db", "dB re the mixture")):
        rows = [(getattr(s, key), str(s.mixture)) for s in scores if getattr(s, key) is not None]
        if rows and (key == "silent_db" or not any(s.silent_db is not None for s in scores)):
            values = np.array([value for value, _ in rows])
            low, high = interval(values, [mixture for _, mixture in rows])
            edges = "" if low is None else f" ({low:+.2f} to {high:+.2f})"
            parts.append(f"{values.mean():+.2f}{edges} {unit}")
    wrong = [s.wrong for s in scores if s.wrong is not None]
    if wrong:
        parts.append(f"wrong {100 * float(np.mean(wrong)):.1f} %")
    print("  ".join(parts), flush=True)


if __name__ == "__main__":
    main()
