"""The network: it estimates a mask of each person's voice from sound and lips.

    lips (25 Hz) ──► VisualStream ──► embedding ──┐ conditions every fusion block
                                                  ▼
    |STFT|^0.3 ──► AudioStream ──────────────► Fusion ──┬─► magnitude mask
     (bins as channels × time)                          ├─► PhaseHead ─► phase residual
                                                        └─► activity: is this person speaking?

From *The Conversation* (Afouras, Chung, Zisserman 2018): the spectrogram is a time series whose
channels are the frequency bins, the network computes mostly at the video rate, and the phase is
that of the mixture plus a residual. From *Looking to Listen* (Ephrat et al. 2018): the visual
stream is a dilated temporal CNN, magnitudes are compressed by a power law, and all faces share the
weights.

Four things differ. Every fusion block is conditioned on the lips (FiLM), because a network that
receives them once at its input learns to ignore them. Lips and voices have a common embedding:
contrastive training of `VisualStream` and `VoiceStream` matches them, so that speech without a
picture can replace talking faces in the training of the fusion. The mask of each speaker is
conditioned on the lips of the other speakers, too (`others`), which are as informative as the
speaker's own. The speakers in a picture compete: a softmax over all speakers and a constant for
"none of them" is applied to the mask logits of each time-frequency bin (`compete`).

If a person talks alone somewhere in the recording, the fusion gets their voiceprint
(`AVSESpec.enrolment`), constant over a window, and those of the other speakers.

The streams are in `avse.models.streams`. The audio stream does not depend on the face: it runs once
for a mixture, whatever the number of faces.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avse.dsp.stft import BINS, HOPS_PER_VIDEO_FRAME
from avse.models.blocks import BatchNorm, TemporalBlock, fine_blocks, zero
from avse.models.spec import AVSESpec, reach
from avse.models.streams import FLOOR, AudioFeatures, AudioStream, VisualStream, VoiceStream

BOUND = 2.0
"""Largest absolute value of the real and the imaginary part of a complex mask."""


@dataclass
class NetworkOutput:
    """Masks, phase rotation and voice activity of each face.

    Attributes:
        mask: (batch, people, bins, frames), magnitude of the mask, 0..1; of complex masks, up to
            `BOUND` · √2.
        rotation: (batch, people, 2, bins, frames), cosine and sine of the phase residual.
        activity: (batch, people, video frames), logits of voice activity.
        lips: (batch, people, embedding, video frames), lip embeddings.
    """

    mask: Tensor
    rotation: Tensor
    activity: Tensor
    lips: Tensor

    def complex_mask(self) -> Tensor:
        """The complex mask of the mixture's STFT, (batch, people, bins, frames)."""
        return torch.complex(self.mask * self.rotation[:, :, 0], self.mask * self.rotation[:, :, 1])


@dataclass
class Spectrum:
    """An STFT in real numbers, because ONNX has no complex ones.

    Attributes:
        magnitude, real, imaginary: (..., bins, frames).
    """

    magnitude: Tensor
    real: Tensor
    imaginary: Tensor

    @classmethod
    def of(cls, spectrum: Tensor) -> Spectrum:
        """The spectrum of a complex tensor."""
        return cls(spectrum.abs(), spectrum.real, spectrum.imag)

    def __truediv__(self, level: Tensor) -> Spectrum:
        return Spectrum(self.magnitude / level, self.real / level, self.imaginary / level)

    def pick(self, index: Tensor) -> Spectrum:
        """Select mixtures of the batch by index, with repetition."""
        return Spectrum(self.magnitude[index], self.real[index], self.imaginary[index])


class Fusion(nn.Module):
    """Estimates the mask of a person's voice from the features of the sound and the lips."""

    scale: Tensor

    def __init__(self, spec: AVSESpec) -> None:
        super().__init__()
        fine, coarse, k = spec.fine_channels, spec.coarse_channels, spec.kernel
        step = HOPS_PER_VIDEO_FRAME
        self.register_buffer("scale", torch.ones(spec.embedding, 1))
        self.others = spec.others
        width = (2 if spec.others else 1) * (spec.embedding + 1)
        self.condition = nn.Conv1d(width, spec.condition_channels, k, padding=k // 2)
        self.enrol: nn.Linear | None = None
        if spec.enrolment:
            known = (2 if spec.others else 1) * (spec.enrolment + 1)
            self.enrol = nn.Linear(known, spec.condition_channels, bias=False)
            zero(self.enrol)
        once = spec.conditioning == "once"
        self.blocks = nn.ModuleList(
            TemporalBlock(
                coarse,
                k,
                d,
                condition=0 if once else spec.condition_channels,
                dense=spec.convolution == "dense",
            )
            for d in spec.fusion_dilations
        )
        self.join = nn.Conv1d(coarse + spec.condition_channels, coarse, 1) if once else None
        self.activity = nn.Conv1d(coarse, 1, 1)
        self.up = nn.ConvTranspose1d(coarse, fine, step, stride=step)
        self.refine = fine_blocks(fine, spec.mask_blocks, spec)
        self.norm = BatchNorm(fine)
        self.mask = nn.Conv1d(fine, BINS * (2 if spec.mask == "complex" else 1), 1)

    def forward(
        self,
        features: AudioFeatures,
        lips: Tensor,
        seen: Tensor,
        group: Tensor | None,
        enrolment: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Estimate the mask of one voice in each mixture.

        Args:
            features: of n mixtures.
            lips: (n, embedding, video frames).
            seen: (n, video frames).
            group: (n,) index of the picture that each face is in; a mask is conditioned on the
                other faces of its group. None if all faces are in one picture.
            enrolment: (n, width) voiceprints from `avse.models.voiceprint.enrolment`, 0 for unknown
                voices; None if all are unknown.

        Returns:
            mask logits for `AVSENet.masks`: (n, bins, frames), or (n, 2 × bins, frames) for complex
            masks; activity logits (n, video frames); and the features that the mask was computed
            from, (n, fine_channels, frames).
        """
        own = torch.cat([lips / self.scale, seen[:, None]], dim=1)
        condition = torch.cat([own, others(own, group)], dim=1) if self.others else own
        condition = self.condition(condition)
        if self.enrol is not None and enrolment is not None:
            known = (enrolment != 0).any(dim=1, keepdim=True).to(enrolment.dtype)
            voice = torch.cat([enrolment, known], dim=1)
            if self.others:
                voice = torch.cat([voice, others(voice, group)], dim=1)
            condition = condition + self.enrol(voice)[..., None]
        condition = torch.relu(condition)
        fine, coarse = self.features(features, condition)
        return self.mask(fine), self.activity(coarse).squeeze(1), fine

    def features(self, features: AudioFeatures, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the features for the heads.

        Args:
            features: of n mixtures.
            condition: (n, condition_channels, video frames).

        Returns:
            (n, fine_channels, frames) and (n, coarse_channels, video frames), both rectified.
        """
        x = features.coarse
        if self.join is not None:
            x = self.join(torch.cat([x, condition], dim=1))
        for block in self.blocks:
            x = block(x, condition)
        fine = self.refine(features.fine + self.up(x))
        return torch.relu(self.norm(fine)), torch.relu(x)


class PhaseHead(nn.Module):
    """Estimates the phase residual, which is added to the phase of the mixture.

    The input is, as in *The Conversation*, the estimated magnitude and the phase of the mixture;
    with `AVSESpec.phase_features` also the features from which the mask was computed. The residual
    (1, 0) + (cosine, sine) is normalised to length 1 in every bin. Before training it is zero.
    """

    def __init__(self, spec: AVSESpec) -> None:
        super().__init__()
        width = spec.phase_channels
        self.compression = spec.compression
        self.enter = nn.Conv1d(3 * BINS, width, 1)
        self.features = nn.Conv1d(spec.fine_channels, width, 1) if spec.phase_features else None
        self.blocks = fine_blocks(width, spec.phase_blocks, spec)
        self.norm = BatchNorm(width)
        self.residual = nn.Conv1d(width, 2 * BINS, 1)
        zero(self.residual)

    def forward(self, spectrum: Spectrum, mask: Tensor, fine: Tensor) -> Tensor:
        """Estimate the phase residual.

        Args:
            spectrum: of the mixtures, (n, bins, frames); or one mixture, (1, bins, frames), for
                all masks.
            mask: (n, bins, frames), 0..1.
            fine: (n, fine_channels, frames), from `Fusion`.

        Returns:
            (n, 2, bins, frames), cosine and sine of the residual.
        """
        wanted = ((mask * spectrum.magnitude).square() + FLOOR).pow(self.compression / 2)
        unit = wanted / spectrum.magnitude.clamp_min(1e-8)
        x = torch.cat([wanted, unit * spectrum.real, unit * spectrum.imaginary], dim=1)
        x = self.enter(x)
        if self.features is not None:
            x = x + self.features(fine)
        x = self.blocks(x)
        cosine, sine = self.residual(torch.relu(self.norm(x))).float().chunk(2, dim=1)
        cosine = 1 + cosine
        # For two values, `functional.normalize` takes ten times as long.
        scale = (cosine.square() + sine.square()).clamp_min(1e-24).rsqrt()
        return torch.stack([cosine * scale, sine * scale], dim=1)


class AVSENet(nn.Module):
    """The whole network; see the docstring of this module."""

    def __init__(self, spec: AVSESpec) -> None:
        super().__init__()
        self.spec = spec
        self.visual = VisualStream(spec)
        self.voice = VoiceStream(spec)
        self.audio = AudioStream(spec)
        self.fusion = Fusion(spec)
        self.phase = PhaseHead(spec) if spec.mask == "magnitude" else None

    def forward(
        self,
        spectrum: Tensor,
        components: Tensor,
        seen: Tensor,
        presence: Tensor | None = None,
        enrolment: Tensor | None = None,
    ) -> NetworkOutput:
        """Estimate the masks of some faces in a mixture.

        Args:
            spectrum: (batch, bins, frames), complex STFT of the mixture, frames = 4 × video frames.
            components: (batch, people, components, video frames), from `VisualStream.project`, of
                all people in the picture, because they compete for each bin.
            seen: (batch, people, video frames), 1 where the lips are visible.
            presence: (batch, people, video frames), 0..1, the weight of each speaker in the
                competition. A speaker with 0 has mask 0 and does not affect the others. None: 1.
            enrolment: (batch, people, width), voiceprints from `avse.models.voiceprint.enrolment`,
                0 for unknown voices. Networks without `AVSESpec.enrolment` ignore them.
        """
        batch, people = seen.shape[:2]
        owner = None
        if batch > 1:
            owner = torch.arange(batch, device=seen.device).repeat_interleave(people)
        parts = self.estimate(
            Spectrum.of(spectrum),
            components.flatten(0, 1),
            seen.flatten(0, 1),
            owner,
            None if presence is None else presence.flatten(0, 1),
            None if enrolment is None else enrolment.flatten(0, 1),
        )
        mask, rotation, activity, lips = (
            part.reshape(batch, people, *part.shape[1:]) for part in parts
        )
        return NetworkOutput(mask, rotation, activity, lips)

    def estimate(
        self,
        spectrum: Spectrum,
        components: Tensor,
        seen: Tensor,
        owner: Tensor | None,
        presence: Tensor | None = None,
        enrolment: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Estimate the masks of n faces.

        Args:
            spectrum: of the mixtures, (batch, bins, frames).
            components: (n, components, video frames).
            seen: (n, video frames).
            owner: (n,) index of each face's mixture; None if there is one mixture.
            presence: (n, video frames), see `forward`.
            enrolment: (n, width), see `forward`.

        Returns:
            The attributes of `NetworkOutput`, with n in place of batch and people.
        """
        spectrum = spectrum / level(spectrum.magnitude)
        lips = self.visual(components, seen)
        features = self.audio(spectrum.magnitude)
        if owner is not None:
            features, groups = features.pick(owner), len(spectrum.magnitude)
            spectrum = spectrum.pick(owner)
        else:
            features, groups = features.expand(lips.shape[0]), 1
        logits, activity, fine = self.fusion(features, lips, seen, owner, enrolment)
        mask = self.masks(logits, owner, groups, presence)
        if self.phase is None:
            size = mask.abs().clamp_min(1e-8)
            mask, rotation = size, torch.stack([mask.real, mask.imag], dim=1) / size[:, None]
        else:
            rotation = self.phase(spectrum, mask, fine)
        return mask, rotation, activity, lips

    def masks(
        self, logits: Tensor, group: Tensor | None, groups: int, presence: Tensor | None = None
    ) -> Tensor:
        """Compute masks from logits, before the phase head.

        Magnitude masks compete. Complex masks, which may subtract other voices, are only bounded:
        a hyperbolic tangent is applied to the real and to the imaginary part (Williamson et al.
        2016, *Complex ratio masking*).

        Args:
            logits: from `Fusion`.
            group: (n,) index of the picture that each face is in; None for one picture.
            groups: number of pictures.
            presence: (n, video frames), see `forward`.

        Returns:
            (n, bins, frames), real 0..1 or complex.
        """
        if presence is not None:
            presence = presence.repeat_interleave(HOPS_PER_VIDEO_FRAME, dim=-1)[:, None]
        if self.spec.mask == "magnitude":
            return compete(logits, group, groups, presence)
        real, imaginary = (BOUND * torch.tanh(logits / BOUND)).chunk(2, dim=1)
        mask = torch.complex(real, imaginary)
        return mask if presence is None else mask * presence


def extended(network: AVSENet, spec: AVSESpec) -> AVSENet | None:
    """Add an enrolment input to a network; the output stays the same until it is trained.

    Args:
        network: without enrolment.
        spec: of the result.

    Returns:
        The new network; None if the two differ in more than `AVSESpec.enrolment`, or if the network
        has an enrolment input already.
    """
    if (
        network.spec.enrolment
        or dataclasses.replace(network.spec, enrolment=spec.enrolment) != spec
    ):
        return None
    wider = AVSENet(spec)
    new = {name: value for name, value in wider.state_dict().items() if "fusion.enrol" in name}
    wider.load_state_dict({**network.state_dict(), **new})
    return wider.train(network.training)


def receptive_field(spec: AVSESpec) -> int:
    """Video frames to each side that one output frame of an `AVSENet` depends on."""
    step, k = HOPS_PER_VIDEO_FRAME, spec.kernel
    phase = spec.phase_blocks if spec.mask == "magnitude" else 0
    encoder, mask, phase = (
        (k // 2) * sum(spec.dilations(n)) for n in (spec.encoder_blocks, spec.mask_blocks, phase)
    )
    coarse = (*spec.audio_dilations, *spec.fusion_dilations)
    # Frames at the STFT rate become video frames, rounded up, once on the way down and once up.
    audio = reach([k] * len(coarse), coarse) + math.ceil((encoder + mask + phase) / step) + 2
    lips = reach(spec.visual_kernels, spec.visual_dilations) + 1 + k // 2
    fusion = reach([k] * len(spec.fusion_dilations), spec.fusion_dilations)
    late = math.ceil((mask + phase) / step) + 1
    return max(audio, lips + fusion + late)


def others(condition: Tensor, group: Tensor | None) -> Tensor:
    """Sum the conditions of all other faces in the group; 0 for a face that is alone.

    Args:
        condition: (n, channels, frames).
        group: (n,) integers of any size; None if all faces are in one group.
    """
    if group is None:
        return condition.sum(dim=0, keepdim=True) - condition
    _, group = torch.unique(group, return_inverse=True)
    together = torch.zeros_like(condition).index_add(0, group, condition)
    return together[group] - condition


def compete(
    logits: Tensor, group: Tensor | None, groups: int, presence: Tensor | None = None
) -> Tensor:
    """Compute masks by a softmax over the faces of a group and a constant logit of 0.

    A mask is exp(logit) / (1 + sum of exp(logits) of the group). It is a sigmoid for a single face.
    The masks of a group never add up to more than 1.

    Args:
        logits: (n, bins, frames).
        group: (n,) index of each face's group; None for one group.
        groups: number of groups.
        presence: (n, 1, frames), 0..1: weight of each exp(logit); None for 1.

    Returns:
        (n, bins, frames), 0..1.
    """
    strength = logits.clamp(max=20.0).exp()
    if presence is not None:
        strength = strength * presence
    if group is None:
        return strength / (1 + strength.sum(dim=0, keepdim=True))
    whole = torch.ones(groups, *logits.shape[1:], dtype=logits.dtype, device=logits.device)
    return strength / whole.index_add(0, group, strength)[group]


def level(spectrum: Tensor) -> Tensor:
    """Root mean square magnitude over bins and frames, (batch, 1, 1), at least 1e-6."""
    return spectrum.abs().square().mean(dim=(-2, -1), keepdim=True).sqrt().clamp_min(1e-6)
