"""Stages "joint", "phase" and "wave": separate the voice of a face from a mixture.

"joint" trains the audio and fusion streams on masks. "phase" trains the phase head alone, on the
spectrum whose phase it rotates. "wave" trains all parts that affect the output, the visual stream
included, on the output waveform.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from avse.dsp.stft import SAMPLE_RATE, VIDEO_RATE, istft, stft
from avse.models.network import AVSENet, Spectrum, level
from avse.training.compute import Compute
from avse.training.cues import PseudoLipBank
from avse.training.loop import Losses
from avse.training.losses import compressed_loss, mask_error, power, projected_sdr, snr_loss
from avse.training.mixing import Batch
from avse.training.queries import Enroller, MixtureSource, Queries, QueryBuilder, joined
from avse.training.recipe import LipVariation, QuerySettings
from avse.training.talking_mixtures import TalkingBatch
from avse.training.validating import Validator

QUIET = 0.3
"""Weight of the loss of a voice that is absent from the mixture."""

THERE = 1e-6
"""Share of the mixture's energy from which a voice counts as present."""

CLEAN_DB = 30.0
"""SI-SDR, in dB, above which a voice is alone in its mixture, so that no gain is possible."""


def speaking(source: Tensor) -> Tensor:
    """(n, samples) to (n, video frames): 1 where a voice is within 30 dB of its loudest."""
    pieces = source.reshape(len(source), -1, SAMPLE_RATE // VIDEO_RATE)
    energy = pieces.square().mean(dim=-1)
    loudest = energy.amax(dim=-1, keepdim=True)
    active: Tensor = (energy > 1e-3 * loudest) & (loudest > 1e-7)
    return active.float()


class SeparationStage:
    """Draws mixtures, separates the target speakers, and computes the losses.

    Args:
        network: trained in place, as far as its parameters require gradients.
        source: draws mixtures.
        bank: makes cues for audio-only speech; None if none is drawn.
        kind: "joint", "phase" or "wave".
        validator: of held-out people, or None.
        query, variation: see `QuerySettings` and `LipVariation`.
        compute: where; by default the CPU.
        enroller: makes voiceprints of enrolled voices, or None.
    """

    def __init__(
        self,
        network: AVSENet,
        source: MixtureSource,
        bank: PseudoLipBank | None,
        *,
        kind: str = "joint",
        validator: Validator | None = None,
        query: QuerySettings | None = None,
        variation: LipVariation | None = None,
        compute: Compute | None = None,
        enroller: Enroller | None = None,
    ) -> None:
        self.module = self.network = network
        self.source, self.validator, self.kind = source, validator, kind
        self.compute = compute or Compute(torch.device("cpu"))
        self.query_builder = QueryBuilder(
            network,
            bank,
            query or QuerySettings(),
            variation or LipVariation(),
            self.compute,
            enroller,
        )
        self.turns = kind != "joint" and network.phase is not None
        self.watches = any(p.requires_grad for p in network.visual.parameters())

    def losses(
        self, drawn: tuple[TalkingBatch | None, Batch | None], rng: np.random.Generator
    ) -> Losses:
        """Losses and metrics of a batch."""
        for part in self.network.children():
            # Frozen parts neither apply dropout nor update running statistics.
            if not any(parameter.requires_grad for parameter in part.parameters()):
                part.eval()
        talking, speech = drawn
        parts = []
        with torch.set_grad_enabled(self.watches and torch.is_grad_enabled()):
            if talking is not None:
                parts.append(self.query_builder.faces(talking, rng))
            if speech is not None:
                parts.append(self.query_builder.speech(speech, rng))
        faces = 0 if talking is None else len(talking.faces)
        return self.figures(reduce(joined, parts), faces)[0]

    def figures(self, queries: Queries, faces: int) -> tuple[Losses, dict[str, Tensor]]:
        """Losses, and the result of every query; the first `faces` mixtures have real faces."""
        network, batch = self.network, queries.batch
        count = batch.present.shape[1]
        known = queries.voice < count
        place = queries.voice.clamp_max(count - 1)
        # The target of an absent voice is silence.
        sound = batch.sources[queries.owner, place] * known[:, None]
        if batch.tilt is None:
            mixture, target = stft(batch.sources.sum(dim=1))[..., :-1], stft(sound)[..., :-1]
        else:
            spectra = batch.spectra()
            mixture = spectra.sum(dim=1)
            target = spectra[queries.owner, place] * known[:, None, None]
        scale = level(mixture)
        mixture, target = mixture / scale, target / scale[queries.owner]
        with self.compute.autocast():
            heard = network.audio(mixture.abs()).pick(queries.owner)
            logits, activity, fine = network.fusion(
                heard, queries.lips, queries.seen, queries.group, queries.enrolment
            )
        mask = network.masks(logits.float(), queries.group, 2 * len(queries.group))
        mixed = mixture[queries.owner]
        there = power(target) > THERE * power(mixed)
        turned = mixed
        if self.turns and network.phase is not None:
            with self.compute.autocast():
                rotation = network.phase(Spectrum.of(mixed), mask, fine)
            turned = torch.complex(rotation[:, 0], rotation[:, 1]) * mixed
        loss = self.distance(mask, turned, mixed, target, sound.shape[-1])
        active = functional.binary_cross_entropy_with_logits(activity.float(), speaking(sound))
        total = torch.where(there, loss, QUIET * loss).mean() + active
        with torch.no_grad():
            before = projected_sdr(mixed, target)
            gain = projected_sdr(mask * turned, target) - before
        losses = {"loss": total, "activity": active}
        real = queries.owner < faces
        mixed_up = there & (before < CLEAN_DB)
        parts = {"faces": real & mixed_up, "speech": ~real & mixed_up}
        if queries.enrolment is not None:
            parts["enrolled"] = mixed_up & queries.enrolment.any(dim=1)
        for name, part in parts.items():
            if part.any():
                losses[f"gain_{name}"] = gain[part].mean()
        silent = ~there
        if silent.any():
            left = 10 * torch.log10(power(mask * mixed) / power(mixed) + 1e-6)
            losses["silent_db"] = left[silent].mean()
        return losses, {"gain": gain, "there": there}

    def distance(
        self, mask: Tensor, turned: Tensor, mixed: Tensor, target: Tensor, samples: int
    ) -> Tensor:
        """Signal-to-noise ratio and compressed magnitudes, both in dB, smaller is better: (n,).

        Args:
            mask: (n, bins, frames).
            turned: (n, bins, frames), the mixtures with the phase of the estimated voices.
            mixed: (n, bins, frames), the mixtures.
            target: (n, bins, frames).
            samples: length of the sounds.
        """
        spectral = compressed_loss(mask, mixed, target)
        if self.kind != "wave":
            error = mask_error(mask, turned, target)
            return snr_loss(error, power(target), power(mixed)) + spectral
        estimate, wanted, heard = (
            istft(functional.pad(x, (0, 1)), samples) for x in (mask * turned, target, mixed)
        )
        energies = ((x.square().sum(dim=-1)) for x in (estimate - wanted, wanted, heard))
        return snr_loss(*energies) + spectral

    def validate(self) -> dict[str, float]:
        """See `Validator`."""
        return {} if self.validator is None else self.validator.figures(self.network)
