"""The network: sound and lips in, masks of each person's voice out.

    lips (25 Hz) ──► VisualStream ──► embedding ──┐ conditions every fusion block
                                                  ▼
    |STFT|^0.3 ──► AudioStream ──────────────► Fusion ──┬─► magnitude mask
     (bins as channels × time)                          ├─► PhaseHead ─► phase residual
                                                        └─► activity: is this person speaking?

After *The Conversation* (Afouras, Chung, Zisserman 2018): the spectrogram is a time series whose
channels are the frequency bins, the network works mostly at the video rate, and the phase is the
mixture's turned by a residual. After *Looking to Listen* (Ephrat et al. 2018): a dilated temporal
CNN watches, magnitudes are compressed by a power law, one set of weights serves every face.

Four things differ. Every fusion block is conditioned on the lips (FiLM), because a network that
receives them once at its input learns to ignore them. The lips enter as an embedding that is shared
with voices: `VisualStream` and `VoiceStream` are first trained against each other to tell which
voice goes with which lips, so that speech without a picture can stand in for talking faces when the
fusion is trained. The mask of each speaker is conditioned on the lips of the other speakers too
(`others`): what the wanted lips are not is as informative as what they are. And the speakers in a
picture compete: the mask logits of a time-frequency bin go through a softmax over all speakers and
nobody (`compete`).

Where somebody talks alone anywhere in a recording, their voice is known. The fusion takes it as a
voiceprint (`AVSESpec.enrolment`), constant over a window, together with those of other speakers.

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
from avse.models.blocks import BatchNorm, TemporalBlock, fine_blocks, reach, zero
from avse.models.spec import AVSESpec
from avse.models.streams import FLOOR, AudioFeatures, AudioStream, VisualStream, VoiceStream

BOUND = 2.0
"""Most that the real or imaginary part of a complex mask can be, either way."""


@dataclass
class NetworkOutput:
    """Masks, phase rotation and voice activity of each face.

    Attributes:
        mask: (batch, people, bins, frames), real, 0..1; up to `BOUND` · √2 of a complex mask.
        rotation: (batch, people, 2, bins, frames), cosine and sine of the turn of the phase.
        activity: (batch, people, video frames), logits of the person speaking.
        lips: (batch, people, embedding, video frames), what the lips say.
    """

    mask: Tensor
    rotation: Tensor
    activity: Tensor
    lips: Tensor

    def complex_mask(self) -> Tensor:
        """(batch, people, bins, frames), complex: what to multiply the mixture's STFT with."""
        return torch.complex(self.mask * self.rotation[:, :, 0], self.mask * self.rotation[:, :, 1])


class Fusion(nn.Module):
    """Sound, and the lips of one person, to the mask of that person's voice."""

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
        group: Tensor,
        enrolment: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Find one voice in each mixture.

        Args:
            features: of n mixtures.
            lips: (n, embedding, video frames).
            seen: (n, video frames).
            group: (n,) index of the picture that each face is in; a mask is conditioned on the
                other faces of its group.
            enrolment: (n, width) from `avse.models.voiceprint.enrolment`, 0 for voices that are not
                known; None if nobody's is.

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
        """What the heads read.

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
    """The phase of the voice = the phase of the mixture, turned by a predicted residual.

    Fed, as in *The Conversation*, with the predicted magnitude and the mixture's phase, and, if the
    specification says so, with the features that the mask was computed from; the residual
    (1, 0) + (cosine, sine) is normalised to unit length in every bin and starts as "no change".
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

    def forward(self, spectrum: Tensor, mask: Tensor, fine: Tensor) -> Tensor:
        """Turn the phase.

        Args:
            spectrum: (n, bins, frames), complex, of the mixtures.
            mask: (n, bins, frames), 0..1.
            fine: (n, fine_channels, frames), from `Fusion`.

        Returns:
            (n, 2, bins, frames), cosine and sine.
        """
        magnitude = spectrum.abs()
        wanted = ((mask * magnitude).square() + FLOOR).pow(self.compression / 2)
        unit = wanted / magnitude.clamp_min(1e-8)
        x = torch.cat([wanted, unit * spectrum.real, unit * spectrum.imag], dim=1)
        x = self.enter(x)
        if self.features is not None:
            x = x + self.features(fine)
        x = self.blocks(x)
        cosine, sine = self.residual(torch.relu(self.norm(x))).float().chunk(2, dim=1)
        cosine = 1 + cosine
        # `functional.normalize` takes ten times as long for two values.
        scale = (cosine.square() + sine.square()).clamp_min(1e-24).rsqrt()
        return torch.stack([cosine * scale, sine * scale], dim=1)


class AVSENet(nn.Module):
    """The whole network; see the head of this file."""

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
            components: (batch, people, components, video frames), from `VisualStream.project`: of
                everybody in the picture, because they compete for each bin.
            seen: (batch, people, video frames), 1 where the lips were seen.
            presence: (batch, people, video frames), 0..1: how far each takes part. A speaker with
                0 gets no mask and takes nothing from the others. All take part if left out.
            enrolment: (batch, people, width), voiceprints from `avse.models.voiceprint.enrolment`,
                0 for voices that are not known. Ignored by networks without `AVSESpec.enrolment`.
        """
        batch, people = seen.shape[:2]
        spectrum = spectrum / level(spectrum)
        owner = torch.arange(batch, device=seen.device).repeat_interleave(people)
        there = seen.flatten(0, 1)
        lips = self.visual(components.flatten(0, 1), there)
        features = self.audio(spectrum.abs())
        known = None if enrolment is None else enrolment.flatten(0, 1)
        logits, activity, fine = self.fusion(features.pick(owner), lips, there, owner, known)
        mask = self.masks(
            logits, owner, batch, None if presence is None else presence.flatten(0, 1)
        )
        if self.phase is None:
            size = mask.abs().clamp_min(1e-8)
            mask, rotation = size, torch.stack([mask.real, mask.imag], dim=1) / size[:, None]
        else:
            rotation = self.phase(spectrum[owner], mask, fine)
        return NetworkOutput(
            split(mask, batch), split(rotation, batch), split(activity, batch), split(lips, batch)
        )

    def masks(
        self, logits: Tensor, group: Tensor, groups: int, presence: Tensor | None = None
    ) -> Tensor:
        """Masks from logits, before the phase head.

        Real masks compete. Complex ones, which may subtract other voices, are only bounded: the
        real and imaginary part each by a hyperbolic tangent (Williamson et al. 2016, *Complex
        ratio masking*).

        Args:
            logits: from `Fusion`.
            group: (n,) index of the picture that each face is in.
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
        None if the two differ in more than `AVSESpec.enrolment`, or the network has one already.
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


def others(condition: Tensor, group: Tensor) -> Tensor:
    """The sum of the conditions of all others in the group; 0 for a face that is alone.

    Args:
        condition: (n, channels, frames).
        group: (n,) integers of any size.
    """
    _, group = torch.unique(group, return_inverse=True)
    together = torch.zeros_like(condition).index_add(0, group, condition)
    return together[group] - condition


def compete(logits: Tensor, group: Tensor, groups: int, presence: Tensor | None = None) -> Tensor:
    """Masks that share out each bin among the faces of a group and nobody.

    exp(logit) / (1 + sum of exp(logits) of the group): a sigmoid for a face alone; of two, the one
    with the larger logit gets more. The masks of a group never add up to more than 1.

    Args:
        logits: (n, bins, frames), logits.
        group: (n,) which group each belongs to.
        groups: how many there are.
        presence: (n, 1, frames), 0..1: weight of each logit; 1 if left out.

    Returns:
        (n, bins, frames), 0..1.
    """
    strength = logits.clamp(max=20.0).exp()
    if presence is not None:
        strength = strength * presence
    whole = torch.ones(groups, *logits.shape[1:], dtype=logits.dtype, device=logits.device)
    return strength / whole.index_add(0, group, strength)[group]


def split(x: Tensor, batch: int) -> Tensor:
    """(batch × n, ...) -> (batch, n, ...)."""
    return x.reshape(batch, -1, *x.shape[1:])


def level(spectrum: Tensor) -> Tensor:
    """Root mean square magnitude over bins and frames: (batch, 1, 1), never 0."""
    return spectrum.abs().square().mean(dim=(-2, -1), keepdim=True).sqrt().clamp_min(1e-6)
