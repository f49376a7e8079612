"""Stage "lips": contrastive pre-training of the visual stream and the voice stream.

InfoNCE (van den Oord et al. 2018) trains both streams: the embedding of a talker's lips must be
closer to that of the talker's own voice than to all other voices in the batch, and the reverse.
The lip embedding conditions the fusion, and the two embeddings give the A/V offset of a clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from avse.data.clips import TalkingClip, principal_components
from avse.dsp.stft import stft
from avse.models.embeddings import lip_embedding, voice_embedding
from avse.models.network import AVSENet, level
from avse.training.compute import Compute, moved
from avse.training.lip_augmentation import varied
from avse.training.loop import Losses
from avse.training.mixing import smooth_tilt
from avse.training.recipe import LipVariation
from avse.training.talking_mixtures import TalkingMixer


def fit_components(network: AVSENet, clips: Sequence[TalkingClip]) -> None:
    """Set the visual stream's principal components from the lips of these clips."""
    visual = network.visual
    found = principal_components(clips, network.spec.lip_components)
    with torch.no_grad():
        for buffer, value in zip(
            (visual.mean, visual.components, visual.scale), found, strict=True
        ):
            buffer.copy_(torch.from_numpy(value))


def contrast(evidence: Tensor) -> Tensor:
    """Symmetric InfoNCE on (n, n) similarities of lips and voices; matching pairs are on the
    diagonal."""
    own = torch.arange(len(evidence), device=evidence.device)
    lips = functional.cross_entropy(evidence, own)
    return (lips + functional.cross_entropy(evidence.T, own)) / 2


@dataclass
class ContrastiveBatch:
    """Single talkers.

    Attributes:
        sounds: (n, samples).
        lips: (n, frames, points, 3), minus each clip's median.
        seen: (n, frames).
        tilt: (n, bins), a smooth random frequency response for each.
    """

    sounds: Tensor
    lips: Tensor
    seen: Tensor
    tilt: Tensor


@dataclass(frozen=True)
class TalkerSource:
    """Draws single talkers."""

    mixer: TalkingMixer
    size: int

    def draw(self, rng: np.random.Generator) -> ContrastiveBatch:
        """Draw a batch."""
        mixer, rows = self.mixer, []
        for _ in range(self.size):
            people = mixer.people[mixer.corpora[rng.choice(len(mixer.corpora), p=mixer.weights)]]
            names = list(people)
            rows.append(mixer.talk(rng, people[names[int(rng.integers(len(names)))]]))
        sounds, lips, seen = (torch.from_numpy(np.stack(part)) for part in zip(*rows, strict=True))
        tilt = torch.from_numpy(smooth_tilt(rng, self.size, mixer.settings.tilt_db))
        return ContrastiveBatch(sounds, lips, seen, tilt)


class ContrastiveStage:
    """Draws single talkers and computes the contrastive loss.

    Args:
        network: trained in place.
        talking: talking faces to train on.
        held_out: other talking faces to validate on, by name.
        size: number of talkers in a batch.
        variation: augmentation of the lips.
        compute: where; by default the CPU.
    """

    def __init__(
        self,
        network: AVSENet,
        talking: TalkingMixer,
        held_out: dict[str, TalkingMixer],
        size: int = 24,
        variation: LipVariation | None = None,
        compute: Compute | None = None,
    ) -> None:
        self.module = self.network = network
        self.source = TalkerSource(talking, size)
        self.held_out = held_out
        self.variation = variation or LipVariation()
        self.compute = compute or Compute(torch.device("cpu"))

    def losses(self, drawn: ContrastiveBatch, rng: np.random.Generator) -> Losses:
        """The loss of a batch."""
        spectrum = stft(drawn.sounds)[..., :-1].abs() * drawn.tilt[..., None]
        power = spectrum.square()
        # Noise keeps the voice stream from relying on detail at -60 dB.
        hiss = 10 ** rng.uniform(-4, -1.5) * power.mean() * torch.empty_like(power).exponential_()
        magnitude = (power + hiss).sqrt()
        components = varied(self.network.visual, drawn.lips, drawn.seen, self.variation, rng)
        with self.compute.autocast():
            voices = self.network.voice(magnitude / level(magnitude)).float()
            lips = self.network.visual(components, drawn.seen).float()
        return {"loss": contrast(self.network.voice.evidence(lips, voices))}

    def validate(self) -> dict[str, float]:
        """Share of held-out pairs in which another person's voice is more similar to the lips than
        their own."""
        figures = {}
        for name, mixer in self.held_out.items():
            wrong: list[float] = []
            for seed in range(2):
                rng = np.random.default_rng([97, seed])
                drawn = moved(TalkerSource(mixer, self.source.size).draw(rng), self.compute.device)
                lips = lip_embedding(self.network, drawn.lips, drawn.seen)
                voices = voice_embedding(self.network, drawn.sounds)
                evidence = self.network.voice.evidence(lips, voices)
                others = ~torch.eye(len(evidence), dtype=torch.bool, device=evidence.device)
                wrong += (evidence.diag()[:, None] <= evidence)[others].float().tolist()
            figures[f"wrong_{name}"] = round(float(np.mean(wrong)), 4)
        return figures
