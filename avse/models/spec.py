"""What a network is made of: saved beside its weights, and enough to rebuild it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from avse.errors import CorruptWeightsError


@dataclass(frozen=True)
class AVSESpec:
    """Dimensions of an `AVSENet`. The time-frequency grid itself is fixed in `avse.stft`.

    Attributes:
        lip_points: points of lip geometry a frame, each with x, y, z.
        lip_components: principal components kept of them.
        visual_channels: width of the visual stream.
        visual_dilations: dilation of each of its blocks (25 Hz).
        visual_kernels: kernel of each of its blocks.
        embedding: width of the embedding that lips and voices share.
        voice_channels: width of the voice stream, the partner of the lips in training.
        voice_bands: mel bands that the voice stream hears.
        fine_channels: width of audio and fusion streams at the STFT rate (100 Hz).
        coarse_channels: their width at the video rate (25 Hz).
        encoder_blocks: blocks at the STFT rate before the step down to the video rate.
        audio_dilations: dilations of the audio blocks at the video rate.
        condition_channels: width of the conditioning of the fusion blocks.
        fusion_dilations: dilations of the fusion blocks at the video rate.
        mask_blocks: fusion blocks at the STFT rate, before the magnitude mask.
        phase_channels: width of the phase sub-network.
        phase_blocks: its blocks.
        kernel: kernel of every audio, fusion and phase block.
        dropout: of the visual and the voice stream, in training.
        compression: power law applied to magnitudes before they enter the network.
    """

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

    def to_json(self) -> str:
        """One line of JSON with every field."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> AVSESpec:
        """Inverse of `to_json`.

        Raises:
            CorruptWeightsError: not JSON, or fields that this version does not know or lacks.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            known = {f.name for f in dataclasses.fields(cls)}
            if set(fields) != known:
                raise ValueError(f"fields differ: {sorted(set(fields) ^ known)}")
            settled: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()
            }
            return cls(**settled)
        except (TypeError, ValueError) as error:
            raise CorruptWeightsError(
                f"the model's specification cannot be read: {error}",
                "use weights made by this version of avse, or update avse",
            ) from error
