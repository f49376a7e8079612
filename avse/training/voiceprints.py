"""Stage "voiceprint": train speaker embeddings on pairs of sounds of the same person.

A batch has two sounds of each of many people; the embeddings of one person must be nearer to each
other than to those of other people. Each sound gets its own frequency response, room and
interfering sound, so that the pair shares only the voice. A mask removes the interference, another
voice or noise, only in part, as in separated voices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from avse.data.clips import Sounds
from avse.dsp.stft import stft
from avse.models.voiceprint import VoiceprintNet, pooled
from avse.training.compute import Compute, moved
from avse.training.loop import Losses
from avse.training.mixing import MixSettings, set_level, smooth_tilt
from avse.training.offscreen import piece
from avse.training.rooms import draw_room, reverberate
from avse.training.separation_stage import speaking
from avse.types import FloatArray

TEMPERATURE = 0.07
"""Temperature: divisor of the cosines before the softmax."""

ALONE = 0.25
"""Share of the sounds without interference."""

SEED, BATCHES = 96, 6


@dataclass
class Pairs:
    """Two sounds of each of many people.

    Attributes:
        voices: (people, 2, samples).
        company: (people, 2, samples), the interfering sound.
        tilt: (people, 2, bins), a smooth random frequency response for both.
        left: (people, 2), exponent of the mask that removes the interference; 0 removes none.
    """

    voices: Tensor
    company: Tensor
    tilt: Tensor
    left: Tensor


class PairSource:
    """Draws pairs of sounds of people of one corpus.

    Args:
        speech: voices.
        noise: noises, or None.
        settings: augmentation of the sounds.
        talkers: people in a batch, if a corpus has so many.
    """

    def __init__(
        self, speech: Sounds, noise: Sounds | None, settings: MixSettings, talkers: int
    ) -> None:
        self.speech, self.noise, self.settings, self.talkers = speech, noise, settings, talkers
        self.people: dict[str, dict[str, list[int]]] = {}
        for n, clip in enumerate(speech.clips):
            self.people.setdefault(clip.corpus, {}).setdefault(clip.person, []).append(n)
        for corpus, people in self.people.items():
            # The same sentence twice could be matched by its words.
            several = {name: clips for name, clips in people.items() if len(clips) > 1}
            self.people[corpus] = several
        self.people = {corpus: people for corpus, people in self.people.items() if len(people) > 1}
        # A corpus with more people has more pairs: corpora are drawn in proportion to their people.
        self.corpora = sorted(self.people)
        counts = np.array([len(self.people[corpus]) for corpus in self.corpora])
        self.weights = np.sqrt(counts) / np.sqrt(counts).sum()

    def draw(self, rng: np.random.Generator) -> Pairs:
        """Draw a batch."""
        samples = self.settings.samples
        people = self.people[self.corpora[rng.choice(len(self.corpora), p=self.weights)]]
        names = rng.permutation(sorted(people))[: self.talkers]
        shape = (len(names), 2, samples)
        voices, company = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        for n, name in enumerate(names):
            clips = rng.permutation(people[name])
            half = len(clips) // 2
            voices[n, 0], voices[n, 1] = (
                self.sound(rng, clips[:half]),
                self.sound(rng, clips[half:]),
            )
        for n in range(len(names)):
            for side in range(2):
                if rng.random() < ALONE:
                    continue
                other = voices[rng.integers(len(names)), rng.integers(2)]
                if self.noise is not None and rng.random() < 0.4:
                    other = piece(rng, self.noise, samples)
                company[n, side] = set_level(other, 0.1 * 10 ** (-rng.uniform(-3, 20) / 20))
        tilt = smooth_tilt(rng, 2 * len(names), self.settings.tilt_db)
        left = rng.uniform(0.2, 1.0, shape[:2]).astype(np.float32)
        return Pairs(
            torch.from_numpy(voices),
            torch.from_numpy(company),
            torch.from_numpy(tilt.reshape(*shape[:2], -1)),
            torch.from_numpy(left),
        )

    def sound(self, rng: np.random.Generator, clips: npt.NDArray[np.int64]) -> FloatArray:
        """(samples,) of one person: a place of a clip, and others after it if it is short."""
        samples = self.settings.samples
        out = np.zeros(samples, np.float32)
        at = 0
        while at < samples:
            x = self.speech.audio(self.speech.clips[clips[rng.integers(len(clips))]])
            begin = int(rng.integers(0, max(1, len(x) - samples)))
            x = set_level(x[begin : begin + samples - at], 0.1)
            out[at : at + len(x)] = x
            at += max(1, len(x))
        if rng.random() < self.settings.room_probability:
            out = reverberate(out, draw_room(rng, self.settings.rooms)(rng))
        return out


class VoiceprintStage:
    """Trains the voiceprint network.

    Args:
        module: trained in place.
        source: draws pairs.
        held_out: of other people, for validation; or None.
        compute: where.
    """

    def __init__(
        self,
        module: VoiceprintNet,
        source: PairSource,
        held_out: PairSource | None,
        compute: Compute,
    ) -> None:
        self.module, self.source, self.held_out = module, source, held_out
        self.compute = compute

    def prints(self, pairs: Pairs) -> Tensor:
        """(people, 2, size), of unit length."""
        voices = pairs.voices.flatten(0, 1)
        tilt = pairs.tilt.flatten(0, 1)[..., None]
        clean = stft(voices)[..., :-1] * tilt
        company = stft(pairs.company.flatten(0, 1))[..., :-1] * tilt
        wanted, other = clean.abs().square(), company.abs().square()
        mask = (wanted / (wanted + other).clamp_min(1e-9)).pow(pairs.left.reshape(-1, 1, 1))
        frames = self.module(mask * (clean + company).abs())
        prints = pooled(frames, speaking(voices))
        return prints.reshape(-1, 2, prints.shape[-1])

    def losses(self, drawn: Pairs, rng: np.random.Generator) -> Losses:
        """Losses and metrics of a batch."""
        prints = self.prints(drawn)
        likeness = prints[:, 0] @ prints[:, 1].T / TEMPERATURE
        own = torch.arange(len(likeness), device=likeness.device)
        loss = functional.cross_entropy(likeness, own) + functional.cross_entropy(likeness.T, own)
        with torch.no_grad():
            right = (likeness.argmax(dim=1) == own).float().mean()
        return {"loss": loss / 2, "right": right}

    def validate(self) -> dict[str, float]:
        """Equal error rate on held-out people of one corpus, and how often the nearest is right."""
        if self.held_out is None:
            return {}
        same, different, right = [], [], []
        for n in range(BATCHES):
            rng = np.random.default_rng([SEED, n])
            prints = self.prints(moved(self.held_out.draw(rng), self.compute.device))
            likeness = (prints[:, 0] @ prints[:, 1].T).cpu().numpy()
            own = np.eye(len(likeness), dtype=bool)
            same.append(likeness[own])
            different.append(likeness[~own])
            right.append(float(np.mean(likeness.argmax(axis=1) == np.arange(len(likeness)))))
        return {
            "equal_error": equal_error_rate(np.concatenate(same), np.concatenate(different)),
            "right": float(np.mean(right)),
        }


def equal_error_rate(same: FloatArray, different: FloatArray) -> float:
    """Share of errors at the threshold at which both kinds are equally frequent.

    Args:
        same: (n,) similarity of sounds of the same person.
        different: (m,) of different people.
    """
    steps = np.sort(np.concatenate([same, different]))
    missed = np.searchsorted(np.sort(same), steps, side="left") / len(same)
    taken = 1 - np.searchsorted(np.sort(different), steps, side="left") / len(different)
    at = int(np.argmin(np.abs(missed - taken)))
    return float((missed[at] + taken[at]) / 2)
