"""Measure the hit rate and the false-alarm rate of dubbing detection in `avse who --dubbing`.

    python benchmarks/dubbing.py --held-out grid_valid --noise noise --voices speech
    python benchmarks/dubbing.py --train grid_train lrw --held-out grid_valid lrw --noise noise

Draws people from packs of `avse prepare`, with their own voice or another person's; their clips are
joined to 3, 6 and 12 s. Runs A/V sync, the network and `avse.diarization.dubbing` on them. --train
fits the constants, on the split "train" of the packs; of held-out packs all other splits are used.
--voices is a pack of sound with voices of strangers who are never seen; without it, they are other
people of the same pack. The sex of voices is unknown.

"Judged" is the share of people for whom dubbing can be judged; "dubbed" the share of all people at
least half of whose detected speech is taken for another person's voice; "any" the number of people
of whom some is; "speech" the share of frames that count as speech without and with the detection.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from avse.data.clips import SAMPLES_PER_FRAME
from avse.data.pack import PreparedPack, SoundClips, TalkingClips
from avse.diarization.dubbing import RULE, DubbingRule, another_voice, judgeable
from avse.diarization.segments import Flags, Hysteresis
from avse.dsp.stft import SAMPLE_RATE
from avse.faces.lips import POINTS, RATE_HZ, LipSequence
from avse.inference.activity_features import NEAR
from avse.inference.mask_estimator import MaskEstimator
from avse.inference.networks import SeparationNetwork, open_network
from avse.inference.voice_activity import speaking
from avse.settings import Settings
from avse.sync.measuring import conclude, gather
from avse.sync.result import in_step
from avse.training.mixing import set_level
from avse.types import FloatArray

LENGTHS_S = (3, 6, 12)
LEVEL = 0.1
FEWEST_CLIPS = 8
"""Fewest clips of a person: half of them are shown, and the sound of the others is for dubbing."""

DETECTED = 0.5
"""The fitted threshold detects this share of training people with another person's voice, of 6 s or
more. A threshold at 1 % false alarms of training people detects more, but has many false alarms for
unseen people."""

OWN = (
    "own voice",
    "own, up to 120 ms apart",
    "own, noise 0 to 20 dB",
    "own, a stranger over it",
    "own, another face talks too",
)
OTHER = (
    "a stranger's voice",
    "a stranger's, noise 0 to 20 dB",
    "own voice, other words",
    "another face's voice",
)
ASIDE = ("own, 160 to 400 ms apart", "a stranger's, own 10 to 20 dB below")
"""Conditions that are measured, but not used for fitting."""


@dataclass(frozen=True)
class Trial:
    """One person in one scene.

    Attributes:
        kind: the condition.
        seconds: length of the scene.
        near: (2 · REACH + 1, frames), the feature of dubbing detection.
        speech: (frames,), whether a frame counts as speech without dubbing detection.
        judged: whether the A/V offset allows a judgement.
    """

    kind: str
    seconds: int
    near: FloatArray
    speech: Flags
    judged: bool

    def another(self, rule: DubbingRule) -> FloatArray:
        """The probability of another person's voice, (frames,); see `another_voice`."""
        if not self.judged:
            return np.full(len(self.speech), np.nan, np.float32)
        return another_voice(self.near, self.speech, rule=rule)


class Stage:
    """Draws scenes.

    Args:
        network: in evaluation mode.
        clips: of the people who are shown.
        noise: None for no noise.
        voices: of strangers; None for other people of `clips`.
    """

    def __init__(
        self,
        network: SeparationNetwork,
        clips: TalkingClips,
        noise: SoundClips | None,
        voices: SoundClips | None,
    ) -> None:
        self.network, self.clips, self.noise = network, clips, noise
        found: dict[str, list[int]] = {}
        for place, row in enumerate(clips.rows):
            found.setdefault(row.person, []).append(place)
        self.people = {name: own for name, own in found.items() if len(own) >= FEWEST_CLIPS}
        self.strangers: dict[str, list[int]] = {}
        self.voices = voices
        for place, clip in enumerate(voices.clips if voices is not None else []):
            self.strangers.setdefault(clip.person, []).append(place)

    def talk(
        self, rng: np.random.Generator, places: Sequence[int], frames: int
    ) -> tuple[FloatArray, FloatArray]:
        """Join clips of a person: (samples,) of the voice and (frames, points, 3) of the lips."""
        sounds, lips, length = [], [], 0
        order = cycle(rng.permutation(places))
        while length < frames:
            clip = self.clips[int(next(order))]
            count = min(len(clip.lips), len(clip.audio) // SAMPLES_PER_FRAME)
            sounds.append(set_level(clip.audio[: count * SAMPLES_PER_FRAME], LEVEL))
            lips.append(clip.lips[:count])
            length += count
        sound = np.concatenate(sounds)[: frames * SAMPLES_PER_FRAME]
        return sound, np.concatenate(lips)[:frames]

    def stranger(self, rng: np.random.Generator, name: str, frames: int) -> FloatArray:
        """Draw the voice of another person, (samples,)."""
        others = [own for other, own in self.people.items() if other != name]
        if self.voices is None or (others and rng.random() < 0.5):
            if not others:
                raise SystemExit("a pack of one person needs --voices")
            return self.talk(rng, others[rng.integers(len(others))], frames)[0]
        places = list(self.strangers.values())[rng.integers(len(self.strangers))]
        sounds, length, order = [], 0, cycle(rng.permutation(places))
        while length < frames * SAMPLES_PER_FRAME:
            sounds.append(self.voices.audio(self.voices.clips[int(next(order))]))
            length += len(sounds[-1])
        return np.concatenate([set_level(s, LEVEL) for s in sounds])[: frames * SAMPLES_PER_FRAME]

    def scene(
        self, rng: np.random.Generator, kind: str, frames: int
    ) -> tuple[list[FloatArray], FloatArray]:
        """Draw the lips of all visible people, the judged person first, and the sound."""
        names = rng.permutation(sorted(self.people))
        mine = rng.permutation(self.people[names[0]]).tolist()
        own, lips = self.talk(rng, mine[::2], frames)
        rest = mine[1::2]
        faces, heard = [lips], own
        if kind == "own, a stranger over it":
            heard = own + gain(rng, -10, 0) * self.stranger(rng, names[0], frames)
        elif kind.startswith(("own, another face", "another face")):
            second = self.people[names[1]] if len(names) > 1 else rest
            theirs, seen = self.talk(rng, second, frames)
            heard = own + gain(rng, -5, 5) * theirs if kind in OWN else theirs
            faces.append(seen)
        elif kind == "own voice, other words":
            heard = self.talk(rng, rest, frames)[0]
        elif kind.endswith("ms apart"):
            low, high = (160, 400) if kind in ASIDE else (0, 120)
            late_ms = rng.uniform(low, high) * rng.choice([-1, 1])
            heard = np.roll(own, round(late_ms * SAMPLE_RATE / 1000))
        elif kind.startswith("a stranger's"):
            heard = self.stranger(rng, names[0], frames)
            if kind in ASIDE:
                heard = heard + gain(rng, -20, -10) * own
        if "noise" in kind and self.noise is not None:
            clip = self.noise.clips[rng.integers(len(self.noise.clips))]
            noise = set_level(np.resize(self.noise.audio(clip), heard.shape), LEVEL)
            heard = heard + gain(rng, -20, 0) * noise
        heard = heard + rng.normal(0, 1e-4, heard.shape)
        return faces, heard.astype(np.float32)

    def trial(self, rng: np.random.Generator, kind: str, seconds: int) -> Trial:
        """Draw a scene, and process it as `avse who` does."""
        frames = seconds * RATE_HZ
        faces, heard = self.scene(rng, kind, frames)
        seen = np.ones((frames, POINTS), np.float32)
        lips = [LipSequence(0, points, seen) for points in faces]
        sync = conclude(gather(self.network, dict(enumerate(lips)), iter([heard])))
        usual = Settings()
        estimator = MaskEstimator(
            self.network,
            in_step(lips, sync),
            window_s=usual.window_s,
            overlap=usual.overlap,
        )
        blocks = [block.cues for block in estimator.masks([heard[None]])]
        cues = np.concatenate(blocks, axis=-1)[:1, :, :frames]
        speech = Hysteresis().flags(speaking(cues)[0])
        return Trial(kind, seconds, cues[0, NEAR], speech, judgeable(sync))


def gain(rng: np.random.Generator, low_db: float, high_db: float) -> np.float32:
    """Draw a random gain."""
    return np.float32(10 ** (rng.uniform(low_db, high_db) / 20))


def trials(
    stages: Sequence[Stage], count: int, seed: int, kinds: Sequence[str] = (*OWN, *OTHER, *ASIDE)
) -> list[Trial]:
    """Draw `count` trials of each kind and length, from each pack in turn."""
    return [
        stages[n % len(stages)].trial(np.random.default_rng([seed, n, k, s]), kind, s)
        for k, kind in enumerate(kinds)
        for s in LENGTHS_S
        for n in range(count)
    ]


def fit(drawn: list[Trial]) -> DubbingRule:
    """Fit a rule by maximum likelihood, both classes with equal weight; then set its threshold."""
    usable = [t for t in drawn if t.judged and t.speech.any()]
    counts = np.array([t.speech.sum() for t in usable], np.float64)
    means = np.array([t.near[:, t.speech].mean(axis=1).max() for t in usable])
    sign = np.array([-1.0 if t.kind in OWN else 1.0 for t in usable])
    share = np.where(sign > 0, 1 / (sign > 0).sum(), 1 / (sign < 0).sum())

    def loss(free: npt.NDArray[np.float64]) -> float:
        weight, offset, half = free
        logit = (weight * means + offset) * counts / (counts + np.exp(half))
        return float((share * np.logaddexp(0, -sign * logit)).sum())

    found = minimize(loss, [-30.0, 5.0, 4.0], method="Nelder-Mead").x
    rule = DubbingRule(float(found[0]), float(found[1]), float(np.exp(found[2])), 0.5)
    others = [t for t in drawn if t.kind in OTHER and t.seconds >= 6]
    return replace(
        rule, threshold=float(np.quantile([typical(t, rule) for t in others], 1 - DETECTED))
    )


def typical(trial: Trial, rule: DubbingRule) -> float:
    """Median probability of another person's voice over detected speech; 0 without a judgement."""
    told = np.nan_to_num(trial.another(rule))[trial.speech]
    return float(np.median(told)) if len(told) else 0.0


def tell(name: str, drawn: list[Trial], rule: DubbingRule) -> None:
    """Print a line for each kind and length."""
    print(f"\n{name}")
    print(f"{'':38}{'s':>3}{'people':>8}{'judged':>7}{'dubbed':>18}{'any':>8}  speech")
    for kind in (*OWN, *OTHER, *ASIDE):
        for seconds in LENGTHS_S:
            here = [t for t in drawn if (t.kind, t.seconds) == (kind, seconds)]
            if not here:
                continue
            another = [t.another(rule) for t in here]
            said = sum(not np.isnan(p).all() for p in another)
            taken = [np.nan_to_num(p) >= rule.threshold for p in another]
            called = sum(typical(t, rule) >= rule.threshold for t in here)
            some = sum(bool(flags.any()) for flags in taken)
            before = np.mean([t.speech.mean() for t in here])
            after = np.mean([(t.speech & ~f).mean() for t, f in zip(here, taken, strict=True)])
            share = f"{called} ({100 * called / len(here):.1f} %)"
            print(
                f"{kind:38}{seconds:3}{len(here):8}{100 * said / len(here):6.0f}%{share:>18}"
                f"{some:8}  {100 * before:.0f} -> {100 * after:.0f} %"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--train", type=Path, nargs="*", default=[], help="packs to fit to")
    parser.add_argument("--held-out", type=Path, nargs="*", default=[], help="packs")
    parser.add_argument("--noise", type=Path, help="a pack of noise")
    parser.add_argument("--voices", type=Path, help="a pack of voices")
    parser.add_argument("--model", default=Settings.model)
    parser.add_argument("--count", type=int, default=40, help="scenes of each kind and length")
    given = parser.parse_args()
    network = open_network(given.model)
    noise = None if given.noise is None else PreparedPack(given.noise).sound()

    def stage(path: Path, training: bool) -> Stage:
        pack = PreparedPack(path)
        rows = [clip for clip in pack.clips if (clip.split == "train") == training]
        voices = PreparedPack(given.voices) if given.voices is not None else None
        theirs = None
        if voices is not None:
            rest = [clip for clip in voices.clips if (clip.split == "train") == training]
            theirs = SoundClips(voices, rest)
        return Stage(network, TalkingClips(pack, rows), noise, theirs)

    if given.train:
        drawn = trials([stage(path, True) for path in given.train], given.count, 1, (*OWN, *OTHER))
        rule = fit(drawn)
        print(f"fitted now: {rule}")
        tell("training people, fitted now", drawn, rule)
        tell("training people, as shipped", drawn, RULE)
    for path in given.held_out:
        tell(
            f"{path.name}, held out, as shipped", trials([stage(path, False)], given.count, 2), RULE
        )


if __name__ == "__main__":
    main()
