"""Specifications of networks, saved with the weights, from which they are rebuilt."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from avse.errors import CorruptWeightsError
from avse.utils.schema import build, load_json

CHOICES = {
    "conditioning": ("every", "once"),
    "mask": ("magnitude", "complex"),
    "convolution": ("separable", "dense"),
}


WIDEST, DEEPEST, FARTHEST = 8192, 64, 1024
"""Largest width, number of blocks, and kernel or dilation in a list. They are larger than any
useful network needs, and small enough for the memory of a machine."""

_LONGEST = 65_536


class Spec:
    """Base class of specifications, which are stored as JSON.

    Attributes:
        added: fields that older weights lack; they have the defaults.

    Raises:
        ValueError: a dimension is out of range.
    """

    added: ClassVar[frozenset[str]] = frozenset()

    def to_json(self) -> str:
        """One line of JSON with every field."""
        fields: dict[str, Any] = {name: getattr(self, name) for name in self._names()}
        return json.dumps(fields, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Inverse of `to_json`.

        Raises:
            CorruptWeightsError: the text is not JSON, has an unknown field, or lacks a field that
                is not in `added`.
        """
        try:
            if len(text) > _LONGEST:
                raise ValueError("it is too long")
            fields = load_json(text)
            spec = build(cls, fields, "network")
            missing = cls._names() - cls.added - set(fields)
            if missing:
                raise ValueError(f"network has no {', '.join(sorted(missing))}")
            return spec
        except ValueError as error:
            raise CorruptWeightsError(
                f"the model's specification cannot be read: {error}",
                "use weights made by this version of avse, or update avse",
            ) from error

    def __post_init__(self) -> None:
        for name in sorted(self._names()):
            value = getattr(self, name)
            if isinstance(value, tuple):
                wrong = len(value) > DEEPEST or not all(0 <= one <= FARTHEST for one in value)
                limits = f"at most {DEEPEST} values up to {FARTHEST}"
            elif isinstance(value, float):
                wrong, limits = not 0 <= value <= 1, "0 to 1"
            elif isinstance(value, int):
                most = DEEPEST if name.endswith("blocks") else WIDEST
                wrong, limits = not 0 <= value <= most, f"at most {most}"
            else:
                continue
            if wrong:
                shown = value if len(str(value)) < 40 else "what it is"
                raise ValueError(f"{name} cannot be {shown}: {limits}")

    @classmethod
    def _names(cls) -> set[str]:
        return {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]


@dataclass(frozen=True)
class AVSESpec(Spec):
    """Dimensions of an `AVSENet`. The time-frequency grid itself is fixed in `avse.dsp.stft`.

    Attributes:
        lip_points: number of lip points per frame, each with x, y, z.
        lip_components: number of their principal components.
        visual_channels: width of the visual stream.
        visual_dilations: dilation of each of its blocks (25 Hz).
        visual_kernels: kernel of each of its blocks.
        embedding: width of the embedding that lips and voices share.
        voice_channels: width of the voice stream, which is used in contrastive training.
        voice_bands: mel bands at the input of the voice stream.
        fine_channels: width of audio and fusion streams at the STFT rate (100 Hz).
        coarse_channels: their width at the video rate (25 Hz).
        encoder_blocks: blocks at the STFT rate, before the video rate.
        audio_dilations: dilations of the audio blocks at the video rate.
        condition_channels: width of the conditioning of the fusion blocks.
        fusion_dilations: dilations of the fusion blocks at the video rate.
        mask_blocks: fusion blocks at the STFT rate, before the magnitude mask.
        phase_channels: width of the phase sub-network.
        phase_blocks: its blocks.
        kernel: kernel of every audio, fusion and phase block.
        dropout: of the visual and the voice stream, in training.
        compression: power law applied to magnitudes before they enter the network.
        conditioning: where the lips enter the fusion: in "every" block (FiLM), or "once",
            concatenated with the sound before the first block, as in *The Conversation*.
        mask: the output of the fusion: a "magnitude" mask, whose phase is estimated by the phase
            head, or a "complex" mask, real and imaginary part, without a phase head.
        others: whether the mask of each face is conditioned on the other faces in the picture.
        convolution: of the audio, fusion and phase blocks: depthwise-"separable", as in *The
            Conversation*, or "dense".
        fine_dilations: dilations of the blocks at the STFT rate, repeated as often as there are
            blocks.
        phase_features: whether the last features of the fusion are an input of the phase head.
        enrolment: width of the voiceprints at the input of the fusion; 0 for none.

    Raises:
        ValueError: a choice does not exist, or a dimension is out of range.
    """

    added: ClassVar[frozenset[str]] = frozenset(
        {
            "conditioning",
            "mask",
            "others",
            "convolution",
            "fine_dilations",
            "phase_features",
            "enrolment",
        }
    )

    lip_points: int = 43
    lip_components: int = 16
    visual_channels: int = 96
    visual_kernels: tuple[int, ...] = (7, 5, 5, 5, 5, 5)
    visual_dilations: tuple[int, ...] = (1, 1, 2, 4, 8, 16)
    embedding: int = 64
    voice_channels: int = 64
    voice_bands: int = 24
    fine_channels: int = 256
    coarse_channels: int = 384
    encoder_blocks: int = 3
    audio_dilations: tuple[int, ...] = (1, 2, 4, 8)
    condition_channels: int = 96
    fusion_dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8)
    mask_blocks: int = 4
    phase_channels: int = 128
    phase_blocks: int = 3
    kernel: int = 5
    dropout: float = 0.3
    compression: float = 0.3
    conditioning: str = "every"
    mask: str = "magnitude"
    others: bool = True
    convolution: str = "separable"
    fine_dilations: tuple[int, ...] = (1,)
    phase_features: bool = False
    enrolment: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}, not {' or '.join(choices)}")
        if not self.fine_dilations or 0 in self.fine_dilations:
            raise ValueError("fine_dilations needs values of 1 and more")

    def dilations(self, count: int) -> tuple[int, ...]:
        """The dilations of `count` blocks at the STFT rate."""
        return tuple(self.fine_dilations[n % len(self.fine_dilations)] for n in range(count))


PRESETS = {
    "small": AVSESpec(
        fine_channels=128,
        coarse_channels=160,
        condition_channels=64,
        fusion_dilations=(1, 2, 4, 8, 1, 2, 4, 8),
        mask_blocks=3,
        phase_channels=64,
        phase_blocks=2,
    ),
    "medium": AVSESpec(fine_channels=192, coarse_channels=288, phase_channels=96),
    "base": AVSESpec(),
    "large": AVSESpec(fine_channels=320, coarse_channels=480, condition_channels=128),
    "avse-small": AVSESpec(
        visual_channels=128,
        fine_channels=256,
        coarse_channels=256,
        kernel=3,
        encoder_blocks=4,
        mask_blocks=8,
        convolution="dense",
        fine_dilations=(1, 2, 4, 8),
        phase_features=True,
        enrolment=128,
    ),
}
"""Sizes by name: about 1, 3, 5 and 8 million parameters in separable convolutions, and the dense
network of the shipped weights, about 7 million."""


OFFSCREEN_PARTS = ("narrator", "crowd", "rest")
"""The parts of the residual: clear off-screen voices, many voices at the same time, and everything
else, including the remainders of the visible speakers' voices."""


@dataclass(frozen=True)
class OffscreenSpec(Spec):
    """Dimensions of an `OffscreenNet`.

    Attributes:
        fine_channels: width at the STFT rate (100 Hz).
        coarse_channels: width at the video rate (25 Hz).
        fine_blocks: blocks at the STFT rate, before and again after those at the video rate.
        dilations: of the blocks at the video rate.
        kernel: of every block.
        compression: power law applied to magnitudes.
    """

    fine_channels: int = 160
    coarse_channels: int = 320
    fine_blocks: int = 2
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8)
    kernel: int = 5
    compression: float = 0.3


@dataclass(frozen=True)
class VoiceprintSpec(Spec):
    """Dimensions of a `VoiceprintNet`.

    Attributes:
        bands: mel bands at the input.
        channels: width at the STFT rate (100 Hz).
        coarse_channels: width at the video rate (25 Hz).
        dilations: of the blocks at the video rate.
        kernel: of every block.
        size: of a voiceprint.
        dropout: in training.
    """

    bands: int = 80
    channels: int = 128
    coarse_channels: int = 192
    dilations: tuple[int, ...] = (1, 2, 4, 1, 2, 4)
    kernel: int = 5
    size: int = 128
    dropout: float = 0.1


def reach(kernels: Iterable[int], dilations: Iterable[int]) -> int:
    """Frames that a stack of blocks sees to each side of the one it computes."""
    return sum(d * (k // 2) for k, d in zip(kernels, dilations, strict=True))
