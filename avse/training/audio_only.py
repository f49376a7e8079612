"""Stage "audio-only": audio-only separation, the baseline for the audio-visual network.

The same audio stream and fusion, without lip input, estimate several masks at once, in any order
(permutation-invariant training: Yu et al. 2017, Kolbæk et al. 2017). Validation scores the better
assignment, which sound alone cannot determine: the reported figure is an upper bound for
audio-only separation, with an oracle assignment of voices to speakers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from avse.data.clips import ClipSet
from avse.dsp.stft import BINS, istft, stft
from avse.metrics.si_sdr import si_sdr
from avse.models.network import AVSENet, level
from avse.training.compute import Compute, moved
from avse.training.loop import Losses
from avse.training.losses import SOFT, power
from avse.training.mixing import Batch, Mixer
from avse.training.validating import Validator

SILENCE = 0.15
"""Weight of the loss of outputs whose target is silence."""

SPREAD = 0.05
"""Standard deviation of the initial embeddings that distinguish the outputs."""

FLOOR, EXPONENT = 1e-5, 0.3

CLEAN_DB = 25.0
"""Soft-limited SI-SDR, in dB, above which a voice is alone in its mixture, so that no gain is
possible."""


class AudioOnlyNet(nn.Module):
    """An audio-only baseline: `AVSENet` without its visual stream, with several outputs.

    Args:
        network: provides the audio stream and the fusion, which are trained in place.
        voices: number of outputs; a softmax divides each bin among them and a residual class.
    """

    def __init__(self, network: AVSENet, voices: int) -> None:
        super().__init__()
        self.network, self.voices = network, voices
        self.head = nn.Conv1d(network.spec.fine_channels, voices * BINS, 1)
        nn.init.normal_(self.head.weight, std=SPREAD)

    def forward(self, magnitude: Tensor) -> Tensor:
        """(n, bins, frames) of level-normalised mixtures -> masks (n, voices, bins, frames)."""
        fusion = self.network.fusion
        heard = self.network.audio(magnitude)
        condition = torch.zeros(
            len(magnitude), fusion.condition.in_channels, heard.coarse.shape[-1],
            dtype=heard.coarse.dtype, device=magnitude.device,
        )  # fmt: skip
        fine, _ = fusion.features(heard, torch.relu(fusion.condition(condition)))
        logits = self.head(fine).float().unflatten(1, (self.voices, BINS))
        nobody = torch.zeros_like(logits[:, :1])
        return torch.cat([logits, nobody], dim=1).softmax(dim=1)[:, : self.voices]


@dataclass(frozen=True)
class VoicesSource:
    """Draws mixtures of speech."""

    mixer: Mixer
    size: int

    def draw(self, rng: np.random.Generator) -> Batch:
        """Draw a batch."""
        return self.mixer.draw(rng, self.size)


class AudioOnlyStage:
    """Draws mixtures of voices and computes the permutation-invariant loss.

    Args:
        ears: trained in place, as far as its parameters require gradients.
        source: draws mixtures of at most as many voices as there are outputs.
        held_out: faces whose sound is validated on, by name.
        seconds: length of validation mixtures.
        count: validation mixtures of each pack.
        compute: where; by default the CPU.
    """

    def __init__(
        self,
        ears: AudioOnlyNet,
        source: VoicesSource,
        held_out: dict[str, ClipSet],
        *,
        seconds: float = 3.2,
        count: int = 24,
        compute: Compute | None = None,
    ) -> None:
        self.module = self.ears = ears
        self.source = source
        self.compute = compute or Compute(torch.device("cpu"))
        self.validator = Validator(held_out, seconds=seconds, count=count, compute=self.compute)

    def losses(self, drawn: Batch, rng: np.random.Generator) -> Losses:
        """Losses and metrics of a batch."""
        sources = drawn.spectra()
        mixture = sources.sum(dim=1)
        scale = level(mixture)
        sources, mixture = sources / scale[:, None], mixture / scale
        with self.compute.autocast():
            masks = self.ears(mixture.abs())
        voices = sources[:, :-1]
        missing = masks.shape[1] - voices.shape[1]
        loss, gain = assigned(masks, mixture, functional.pad(voices, (0, 0, 0, 0, 0, missing)))
        return {"loss": loss, "gain": gain}

    def validate(self) -> dict[str, float]:
        """gain_PACK: SI-SDR improvement of two held-out voices under the best assignment."""
        return {
            f"gain_{name}": round(float(np.mean(self.gains(name))), 3)
            for name in self.validator.mixers
        }

    def gains(self, name: str) -> list[float]:
        """Mean SI-SDR improvement in dB of each two-voice mixture of a pack, best assignment."""
        gains: list[float] = []
        for batch in self.validator.batches(name):
            if bool(batch.batch.present.all()):
                gains += self.gains_of(batch.batch)
        return gains

    @torch.no_grad()
    def gains_of(self, batch: Batch) -> list[float]:
        """The same for each mixture of a batch in which all voices are present."""
        sound = moved(batch.sources, self.compute.device).sum(dim=1)
        spectrum = stft(sound)
        masks = self.ears(padded((spectrum / level(spectrum)).abs()))
        masked = masks[..., : spectrum.shape[-1]] * spectrum[:, None]
        estimates = istft(masked, sound.shape[-1]).cpu().numpy()
        return [
            best_gain(estimates[n], sources[:-1], sources.sum(axis=0))
            for n, sources in enumerate(batch.sources.numpy())
        ]


def padded(x: Tensor) -> Tensor:
    """Pad to a multiple of four frames, which the network requires."""
    return functional.pad(x, (0, -x.shape[-1] % 4))


def best_gain(estimates: np.ndarray, voices: np.ndarray, mixture: np.ndarray) -> float:  # type: ignore[type-arg]
    """Mean SI-SDR improvement in dB under the best assignment.

    Args:
        estimates: (outputs, samples), at least as many as voices.
        voices: (voices, samples).
        mixture: (samples,).
    """

    def gain(estimate: int, voice: int) -> float:
        after = si_sdr(estimates[estimate], voices[voice])
        before = si_sdr(mixture, voices[voice])
        return 0.0 if after is None or before is None else after - before

    table = [[gain(e, v) for v in range(len(voices))] for e in range(len(estimates))]
    return max(
        float(np.mean([table[e][v] for v, e in enumerate(order)]))
        for order in permutations(range(len(estimates)), len(voices))
    )


def assigned(masks: Tensor, mixture: Tensor, voices: Tensor) -> tuple[Tensor, Tensor]:
    """The loss of the best assignment of outputs to voices: SI-SDR and compressed magnitudes, dB.

    The loss uses SI-SDR instead of SNR: half the mixture in every output gains 3 dB of SNR but no
    SI-SDR, and a network without lips must break that symmetry by itself. For an absent voice, the
    output's energy relative to the mixture's, in dB, replaces SI-SDR.

    Args:
        masks: (n, outputs, bins, frames).
        mixture: (n, bins, frames), complex.
        voices: (n, outputs, bins, frames), complex; 0 for absent voices.

    Returns:
        The mean loss over mixtures, and the mean gain in SI-SDR over the present voices.
    """
    outputs = masks.shape[1]
    there = power(voices) > 1e-6 * power(mixture)[:, None]
    closeness, given = _si_sdr(masks, mixture, voices)
    spectral = _compressed(masks, mixture, voices, there)
    silence = 10 * torch.log10(given / power(mixture)[:, None] + SOFT)[:, :, None] + spectral
    table = torch.where(there[:, None], spectral - closeness, SILENCE * silence)
    orders = torch.tensor(list(permutations(range(outputs))), device=masks.device)
    column = torch.arange(outputs, device=masks.device)
    totals = torch.stack([table[:, order, column].sum(dim=1) for order in orders], dim=1)
    best, which = totals.min(dim=1)
    loss = (best / there.sum(dim=1).clamp_min(1)).mean()
    with torch.no_grad():
        rows = torch.arange(len(masks), device=masks.device)[:, None]
        mine = closeness[rows, orders[which], column]
        before, _ = _si_sdr(torch.ones_like(masks[:, :1]), mixture, voices)
        mixed_up = there & (before[:, 0] < CLEAN_DB)
        gain = (mine - before[:, 0])[mixed_up].sum() / mixed_up.sum().clamp_min(1)
    return loss, gain


def _si_sdr(masks: Tensor, mixture: Tensor, voices: Tensor) -> tuple[Tensor, Tensor]:
    """SI-SDR in dB of each output for each voice, soft-limited: (n, outputs, voices); energies."""
    heard = mixture.real.square() + mixture.imag.square()
    cross = (voices.conj() * mixture[:, None]).real
    dot = torch.einsum("nkft,nvft->nkv", masks, cross)
    given = torch.einsum("nkft,nft->nk", masks.square(), heard)
    along = dot.clamp_min(0).square() / power(voices)[:, None].clamp_min(1e-6)
    whole = given[:, :, None]
    rest = (whole - along).clamp_min(0)
    soft = SOFT * whole + 1e-6
    return 10 * torch.log10((along + soft) / (rest + soft)), given


def _compressed(masks: Tensor, mixture: Tensor, voices: Tensor, there: Tensor) -> Tensor:
    """`compressed_loss` of each output for each voice: (n, outputs, voices)."""
    heard = mixture.abs()
    estimate, wanted, whole = (
        (x.square() + FLOOR).pow(EXPONENT / 2)
        for x in (masks * heard[:, None], voices.abs(), heard)
    )
    cross = torch.einsum("nkft,nvft->nkv", estimate, wanted)
    error = (power(estimate)[:, :, None] + power(wanted)[:, None] - 2 * cross).clamp_min(0)
    least = FLOOR ** (EXPONENT / 2)
    reference = torch.where(there, power(wanted - least), power(whole - least)[:, None])
    return 10 * torch.log10(error / reference[:, None].clamp_min(1e-6) + SOFT)
