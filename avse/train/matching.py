"""Stage "lips": which voice goes with which lips?

The visual stream and the voice stream are trained against each other (InfoNCE, van den Oord et al.
2018): of all voices in a batch, the lips must pick their own, and the voice its lips. The two
embeddings that result are what the fusion is conditioned on, and they tell how far sound and
picture of a clip are apart.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from avse.models.network import AVSENet, level
from avse.stft import stft
from avse.train.clips import TalkingClip, principal_components
from avse.train.cues import lip_embedding, voice_embedding
from avse.train.loop import Losses
from avse.train.mixing import smooth_tilt
from avse.train.talking import TalkingMixer

MOST_DELAY = 3
"""Video frames by which a clip's sound may be found late or early."""


def fit_components(network: AVSENet, clips: list[TalkingClip]) -> None:
    """Give the visual stream the principal components of these clips' lips."""
    visual = network.visual
    found = principal_components(clips, network.spec.lip_components)
    with torch.no_grad():
        for buffer, value in zip(
            (visual.mean, visual.components, visual.scale), found, strict=True
        ):
            buffer.copy_(torch.from_numpy(value))


def contrast(evidence: Tensor) -> Tensor:
    """InfoNCE both ways on (n, n) evidence of lips for voices, their own on the diagonal."""
    own = torch.arange(len(evidence))
    lips = functional.cross_entropy(evidence, own)
    return (lips + functional.cross_entropy(evidence.T, own)) / 2


class LipsStage:
    """Draws single talkers and computes the contrastive loss."""

    def __init__(
        self, network: AVSENet, talking: TalkingMixer, validation: TalkingMixer, size: int = 24
    ) -> None:
        self.network, self.talking, self.validation, self.size = network, talking, validation, size

    def talkers(
        self, mixer: TalkingMixer, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(n, samples) sounds, (n, frames, points, 3) lips and (n, frames) seen."""
        rows = []
        for _ in range(self.size):
            people = mixer.people[mixer.corpora[rng.choice(len(mixer.corpora), p=mixer.weights)]]
            names = list(people)
            rows.append(mixer.talk(rng, people[names[int(rng.integers(len(names)))]]))
        sounds, lips, seen = (torch.from_numpy(np.stack(part)) for part in zip(*rows, strict=True))
        return sounds, lips, seen

    def step(self, rng: np.random.Generator) -> Losses:
        """One training step's losses."""
        sounds, points, seen = self.talkers(self.talking, rng)
        spectrum = stft(sounds)[..., :-1].abs()
        tilt = smooth_tilt(rng, len(spectrum), 5.0)
        spectrum = spectrum * torch.from_numpy(tilt)[..., None]
        power = spectrum.square()
        # Some noise, so that the voice stream does not live on what is 60 dB down.
        hiss = 10 ** rng.uniform(-4, -1.5) * power.mean() * torch.empty_like(power).exponential_()
        magnitude = (power + hiss).sqrt()
        voices = self.network.voice(magnitude / level(magnitude))
        components = self.network.visual.project(points, seen)
        components = components + 0.1 * torch.randn_like(components)
        evidence = self.network.voice.evidence(self.network.visual(components, seen), voices)
        return {"loss": contrast(evidence)}

    def validate(self) -> dict[str, float]:
        """How often held-out lips prefer another held-out person's voice to their own."""
        wrong: list[float] = []
        for seed in range(2):
            sounds, points, seen = self.talkers(self.validation, np.random.default_rng([97, seed]))
            lips = lip_embedding(self.network, points, seen)
            evidence = self.network.voice.evidence(lips, voice_embedding(self.network, sounds))
            others = ~torch.eye(len(evidence), dtype=torch.bool)
            wrong += (evidence.diag()[:, None] <= evidence)[others].float().tolist()
        return {"wrong": round(float(np.mean(wrong)), 4)}


@torch.no_grad()
def delay(network: AVSENet, clip: TalkingClip) -> int:
    """Video frames by which the sound of a clip is late, as far as the embeddings can tell."""
    network.eval()
    voice = voice_embedding(network, torch.from_numpy(clip.audio)[None])[0]
    seen = torch.from_numpy(clip.seen)[None]
    lips = lip_embedding(network, torch.from_numpy(clip.lips)[None], seen)[0]
    frames = min(voice.shape[-1], lips.shape[-1])
    scores = []
    for late in range(-MOST_DELAY, MOST_DELAY + 1):
        a = lips[:, max(0, -late) : frames - max(0, late)]
        b = voice[:, max(0, late) : frames - max(0, -late)]
        scores.append(float((a * b).sum()) / max(1, a.shape[-1]))
    return int(np.argmax(scores)) - MOST_DELAY
