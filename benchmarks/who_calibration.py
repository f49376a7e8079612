"""Fit the constants of `avse/inference/voice_activity.py`: the weight of each feature for speech.

Draws scenes of one to three people from packs of `avse prepare`. Each person by turns talks, keeps
their lips still, moves them slowly, or moves them as in a sentence without sound. In a quarter of
the scenes, an off-screen speaker talks, too; in half there is noise. The features are those of
`avse who`. Prints the regressions, and the average precision of each feature and of the regressions
on the training packs and on the held-out packs:

    python benchmarks/who_calibration.py --train grid_train lrw --held-out grid_valid --noise noise

Of training packs the split "train" is used, of held-out packs all other splits.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from who import average_precision

from avse.data.clips import SAMPLES_PER_FRAME
from avse.data.pack import PreparedPack, SoundClips, TalkingClips
from avse.diarization.segments import LOUD_DB, Flags, tidied
from avse.faces.lips import POINTS, LipSequence
from avse.inference.activity_features import AGREEMENT, HEAD, LEVEL, MOTION
from avse.inference.mask_estimator import MaskEstimator
from avse.inference.networks import SeparationNetwork, open_network
from avse.inference.voice_activity import AUDIO_VISUAL, LIPS_ONLY_MESH, Calibration
from avse.settings import Settings
from avse.training.mixing import set_level
from avse.types import FloatArray

NAMES = {HEAD: "head", LEVEL: "level", AGREEMENT: "agreement", MOTION: "motion"}
TALK, STILL, SLOW, MUTE = range(4)
SHARES = (0.5, 0.25, 0.1, 0.15)
"""Probability of talking lips, still lips, slow lips and lips without sound."""

FRAMES = 200
STEPS = 30
"""Steps of Newton's method."""


@dataclass
class Seen:
    """Frames of many people.

    Attributes:
        cues: (n, features).
        speaks: (n,), whether the person speaks.
        does: (n,) `TALK`, `STILL`, `SLOW` or `MUTE`.
    """

    cues: FloatArray
    speaks: Flags
    does: npt.NDArray[np.int64]


def person(
    rng: np.random.Generator, clips: TalkingClips, mine: list[int]
) -> tuple[FloatArray, FloatArray, npt.NDArray[np.int64]]:
    """Draw a person: voice (samples,), lips (frames, points, 3), and `Seen.does` (frames,)."""
    sounds: list[FloatArray] = []
    lips: list[FloatArray] = []
    does: list[npt.NDArray[np.int64]] = []
    last = clips[mine[0]].lips[0]
    while sum(map(len, lips)) < FRAMES:
        what = int(rng.choice(4, p=SHARES))
        clip = clips[int(rng.choice(mine))]
        if what in (TALK, MUTE):
            moved, sound = clip.lips, set_level(clip.audio, 0.1)
        elif what == STILL:
            frames = int(rng.integers(15, 70))
            drift = np.cumsum(rng.normal(0, 0.0005, (frames, 1, 3)), axis=0)
            shake = rng.normal(0, rng.choice([0.0005, 0.003]), (frames, POINTS, 3))
            moved, sound = last + drift + shake, np.zeros(0, np.float32)
        else:
            at = np.arange(0, min(len(clip.lips) - 1, 20), 1 / rng.integers(3, 6))[:70]
            low, share = np.floor(at).astype(int), (at % 1)[:, None, None]
            moved = 0.5 * (clip.lips[low] * (1 - share) + clip.lips[low + 1] * share)
            sound = np.zeros(0, np.float32)
        samples = len(moved) * SAMPLES_PER_FRAME
        heard = sound[:samples] if what == TALK else sound[:0]
        sounds.append(np.pad(heard, (0, samples - len(heard))))
        lips.append(moved.astype(np.float32))
        does.append(np.full(len(moved), what))
        last = lips[-1][-1]
    sound = np.concatenate(sounds)[: FRAMES * SAMPLES_PER_FRAME]
    return sound, np.concatenate(lips)[:FRAMES], np.concatenate(does)[:FRAMES]


def speaking(sound: FloatArray) -> Flags:
    """Detect speech in a clean voice, (samples,), by its level: (frames,)."""
    level = np.mean(np.square(sound.reshape(-1, SAMPLES_PER_FRAME)), axis=1)
    return tidied(level > max(1e-7, level.max() * 10 ** (-LOUD_DB / 10)), 0.1, 0.3)


def scene(
    rng: np.random.Generator,
    network: SeparationNetwork,
    clips: TalkingClips,
    noise: SoundClips | None,
) -> Seen:
    """Draw a scene, and compute the features of `avse who`."""
    people: dict[str, list[int]] = {}
    for place, row in enumerate(clips.rows):
        people.setdefault(row.person, []).append(place)
    count = min(int(rng.choice([1, 2, 2, 2, 2, 3])), len(people))
    hidden = rng.random() < 0.25 and count < len(people)
    chosen = rng.permutation(sorted(people))[: count + hidden]
    parts = [person(rng, clips, people[name]) for name in chosen]
    sounds = [part[0] * 10 ** (rng.uniform(-5, 5) / 20) for part in parts]
    mixture = np.sum(sounds, axis=0) + rng.normal(0, 1e-4, FRAMES * SAMPLES_PER_FRAME)
    if noise is not None and rng.random() < 0.5:
        sound = np.resize(noise.audio(noise.clips[rng.integers(len(noise.clips))]), mixture.shape)
        mixture = mixture + set_level(sound, 0.1 * 10 ** (-rng.uniform(0, 20) / 20))
    seen = np.ones((FRAMES, POINTS), np.float32)
    faces = [LipSequence(0, part[1], seen) for part in parts[:count]]
    usual = Settings()
    estimator = MaskEstimator(network, faces, window_s=usual.window_s, overlap=usual.overlap)
    blocks = estimator.masks([mixture.astype(np.float32)[None]])
    cues = np.concatenate([block.cues for block in blocks], axis=-1)[..., :FRAMES]
    return Seen(
        cues.transpose(0, 2, 1).reshape(-1, cues.shape[1]),
        np.concatenate([speaking(sound) for sound in sounds[:count]]),
        np.concatenate([part[2] for part in parts[:count]]),
    )


def scenes(
    network: SeparationNetwork,
    packs: list[TalkingClips],
    noise: SoundClips | None,
    count: int,
    seed: int,
) -> Seen:
    """Draw scenes from each pack in turn."""
    drawn = [
        scene(np.random.default_rng([seed, n]), network, packs[n % len(packs)], noise)
        for n in range(count)
    ]
    return Seen(
        *(np.concatenate([getattr(s, k) for s in drawn]) for k in ("cues", "speaks", "does"))
    )


def fit(cues: FloatArray, speaks: Flags, which: list[int]) -> Calibration:
    """Fit a logistic regression by Newton's method, without regularisation."""
    x = np.concatenate([cues[:, which], np.ones((len(cues), 1))], axis=1).astype(np.float64)
    weights = np.zeros(x.shape[1])
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        curve = (x * (p * (1 - p))[:, None]).T @ x + 1e-6 * np.eye(len(weights))
        weights += np.linalg.solve(curve, x.T @ (speaks - p))
    return Calibration(
        {n: float(w) for n, w in zip(which, weights, strict=False)}, float(weights[-1])
    )


def tell(name: str, seen: Seen, rules: dict[str, Calibration]) -> None:
    """Print the average precision of each feature and of each regression."""
    cues, truth = seen.cues.T, seen.speaks
    print(f"\n{name}: {truth.size} frames, {100 * truth.mean():.0f} % speech")
    for n, called in NAMES.items():
        print(f"  {called:28} AP {average_precision(truth, cues[n]):.3f}")
    for called, rule in rules.items():
        p = rule.probability(cues)
        wrong = {
            what: np.mean(p[seen.does == n] > 0.5)
            for n, what in enumerate(("talking", "still", "slow", "mute"))
        }
        said = ", ".join(f"{what} {100 * share:.0f} %" for what, share in wrong.items())
        print(f"  {called:28} AP {average_precision(truth, p):.3f}; above 0.5: {said}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--train", type=Path, nargs="+", required=True, help="packs")
    parser.add_argument("--held-out", type=Path, nargs="*", default=[], help="packs")
    parser.add_argument("--noise", type=Path, help="a pack of noise")
    parser.add_argument("--model", default=Settings.model)
    parser.add_argument("--count", type=int, default=120, help="scenes to fit to")
    given = parser.parse_args()
    network = open_network(given.model)
    noise = None if given.noise is None else PreparedPack(given.noise).sound()
    training = [PreparedPack(path).talking("train") for path in given.train]
    seen = scenes(network, training, noise, given.count, 1)
    heard = fit(seen.cues, seen.speaks, [HEAD, LEVEL, AGREEMENT])
    # Lips alone cannot show whether lips move without a voice.
    shown = seen.does != MUTE
    watched = fit(seen.cues[shown], seen.speaks[shown], [MOTION])
    for name, rule in (("AUDIO_VISUAL", heard), ("LIPS_ONLY_MESH", watched)):
        weights = ", ".join(f"{NAMES[n].upper()}: {w:.4g}" for n, w in rule.weights.items())
        print(f"{name} = Calibration({{{weights}}}, {rule.offset:.4g})")
    rules = {"fitted now": heard, "fitted now, lips alone": watched}
    rules |= {"as shipped": AUDIO_VISUAL, "as shipped, lips alone": LIPS_ONLY_MESH}
    tell("training people", seen, rules)
    for path in given.held_out:
        pack = PreparedPack(path)
        rows = [clip for clip in pack.clips if clip.split != "train"]
        tell(
            path.name,
            scenes(network, [TalkingClips(pack, rows)], noise, given.count // 3, 2),
            rules,
        )


if __name__ == "__main__":
    main()
