"""Pseudo-visual embeddings for audio-only speech.

The visual stream embeds real lips; the voice stream, trained with it, embeds a clean voice. A
linear map with two frames of context on each side predicts the lip embedding from the voice
embedding (a quarter of the variance on unseen people). The residuals of real embeddings, which the
sound does not explain, are kept and added to the predictions for other voices, scaled from zero to
slightly above their real size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from avse.data.clips import TalkingClip
from avse.models.embeddings import lip_embedding, voice_embedding
from avse.models.network import AVSENet
from avse.training.lip_augmentation import on

CONTEXT = 2
"""Frames of the voice embedding on each side that are inputs of the map."""

RIDGE = 50.0

VEIL = 1.6
"""Largest scale of the residuals in synthetic cues, relative to real lips."""


@dataclass
class PseudoLipBank:
    """The linear map from voice to lip embeddings, and its residuals.

    Attributes:
        map: (embedding, (2 · CONTEXT + 1) · embedding + 1); the last column is the offset.
        residuals: for each person (embedding, frames), the concatenated residuals of all their
            clips.
    """

    map: Tensor
    residuals: list[Tensor]

    def to(self, device: torch.device) -> PseudoLipBank:
        """The same on a device."""
        return PseudoLipBank(self.map.to(device), [rest.to(device) for rest in self.residuals])

    def predict(self, voices: Tensor) -> Tensor:
        """(n, embedding, frames) of voices -> the predicted lip embeddings, without residuals."""
        return torch.einsum("eh,nht->net", self.map, context(voices))

    def cues(self, voices: Tensor, rng: np.random.Generator) -> Tensor:
        """(n, embedding, frames) of voices -> synthetic lip embeddings, with random residuals."""
        known = self.predict(voices)
        count, _, frames = known.shape
        sizes = np.array([person.shape[-1] for person in self.residuals])
        person = rng.integers(0, len(sizes), count)
        begin = rng.integers(0, np.maximum(1, sizes[person] - frames))
        inside = (begin[:, None] + np.arange(frames)) % sizes[person][:, None]
        place = (np.cumsum(sizes) - sizes)[person][:, None] + inside
        everybody = torch.cat(self.residuals, dim=-1)
        rest = everybody[:, torch.from_numpy(place).to(known.device)].transpose(0, 1)
        # People differ in how far they move their mouths, and in how much of the motion is speech.
        lively = on(known, np.exp(rng.normal(0.1, 0.25, (count, 1, 1))))
        clear = on(known, np.exp(rng.normal(0.0, 0.2, (count, 1, 1))))
        # From fully predictable lips to lips that are less informative than real ones. Training on
        # the latter alone learns to separate only very slowly.
        veil = on(known, rng.uniform(0, VEIL, (count, 1, 1)))
        out: Tensor = lively * (clear * known + veil * rest)
        return out


@torch.no_grad()
def fit_cues(network: AVSENet, clips: Sequence[TalkingClip]) -> tuple[PseudoLipBank, Tensor]:
    """Fit the linear map on real clips.

    Returns:
        The bank, and the standard deviation of each embedding channel: (embedding, 1); both on the
        CPU.
    """
    device = network.visual.mean.device
    network.eval()
    pairs: list[tuple[str, Tensor, Tensor]] = []
    for clip in clips:
        voice = voice_embedding(network, torch.from_numpy(clip.audio)[None].to(device))
        seen = torch.from_numpy(clip.seen)[None].to(device)
        lips = lip_embedding(network, torch.from_numpy(clip.lips)[None].to(device), seen)
        frames = min(voice.shape[-1], lips.shape[-1])
        pairs.append((clip.person, voice[..., :frames].cpu(), lips[..., :frames].cpu()))
    scale = torch.cat([lips[0] for _, _, lips in pairs], dim=-1).std(dim=-1, keepdim=True)
    inputs = torch.cat([context(voice)[0] for _, voice, _ in pairs], dim=-1).double()
    targets = torch.cat([(lips / scale)[0] for _, _, lips in pairs], dim=-1).double()
    square = inputs @ inputs.T
    square.diagonal().add_(RIDGE)
    weights = torch.linalg.solve(square, inputs @ targets.T).T.float()
    bank = PseudoLipBank(scale * weights, [])
    people: dict[str, list[Tensor]] = {}
    for person, voice, lips in pairs:
        people.setdefault(person, []).append((lips - bank.predict(voice))[0])
    bank.residuals = [torch.cat(rest, dim=-1) for rest in people.values()]
    return bank, scale


def context(voices: Tensor) -> Tensor:
    """(n, embedding, frames) -> (n, (2 · CONTEXT + 1) · embedding + 1, frames)."""
    padded = functional.pad(voices, (CONTEXT, CONTEXT), mode="replicate")
    frames = voices.shape[-1]
    shifted = [padded[..., i : i + frames] for i in range(2 * CONTEXT + 1)]
    return torch.cat([*shifted, torch.ones_like(voices[:, :1])], dim=1)
