"""`avse.inference.networks` with PyTorch: on GPUs, and for networks without an ONNX graph."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from avse.inference.networks import Estimate, GPUMemoryError, LipProjection
from avse.models.network import AVSENet
from avse.models.offscreen import OffscreenNet
from avse.models.voiceprint import VoiceprintNet
from avse.types import ComplexArray, FloatArray


class TorchNetwork:
    """A separation network that PyTorch computes; see `avse.inference.networks.SeparationNetwork`.

    Args:
        network: in evaluation mode, on its device.
        digest: hash of its weights; computed if not given.
    """

    def __init__(self, network: AVSENet, digest: str | None = None) -> None:
        self.network, self.spec = network, network.spec
        self._device = next(network.parameters()).device
        self.device = str(self._device)
        self._digest = digest
        self.runtime = (
            f"torch {torch.__version__}, {self.device}, {torch.get_num_threads()} thread(s)"
        )

    @property
    def digest(self) -> str:
        """Hash of the weights."""
        if self._digest is None:
            digest = hashlib.sha256(self.spec.to_json().encode())
            for name, value in self.network.state_dict().items():
                digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
                digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
            self._digest = digest.hexdigest()
        return self._digest

    @property
    def projection(self) -> LipProjection:
        """The projection of lip points."""
        visual = self.network.visual
        return LipProjection(*map(_array, (visual.mean, visual.components, visual.scale)))

    @property
    def gain(self) -> float:
        """The factor of the inner products of lip and voice embeddings."""
        return float(self.network.voice.gain.detach().exp())

    def estimate(
        self,
        mixture: ComplexArray,
        components: FloatArray,
        seen: FloatArray,
        presence: FloatArray | None = None,
        voices: FloatArray | None = None,
    ) -> Estimate:
        """See `SeparationNetwork.estimate`."""
        with _inference():
            answer = self.network(
                self._tensor(mixture)[None],
                self._tensor(components)[None],
                self._tensor(seen)[None],
                None if presence is None else self._tensor(presence)[None],
                None if voices is None else self._tensor(voices)[None],
            )
            masks = answer.complex_mask()[0].cpu().numpy()
            return Estimate(masks, _array(answer.activity[0]), _array(answer.lips[0]))

    def lip_embedding(self, components: FloatArray, seen: FloatArray) -> FloatArray:
        """See `SeparationNetwork.lip_embedding`."""
        with _inference():
            return _array(
                self.network.visual(self._tensor(components)[None], self._tensor(seen)[None])[0]
            )

    def voice_embedding(self, magnitude: FloatArray) -> FloatArray:
        """See `SeparationNetwork.voice_embedding`."""
        with _inference():
            return _array(self.network.voice(self._tensor(magnitude)))

    def _tensor(self, array: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)


class TorchOffscreen:
    """The networks for off-screen speech; see `avse.inference.offscreen.OffscreenNetworks`.

    Args:
        network, voiceprint: in evaluation mode, on one device.
    """

    def __init__(self, network: OffscreenNet, voiceprint: VoiceprintNet) -> None:
        self.network, self.voiceprint = network, voiceprint
        self.voiceprint_size = voiceprint.spec.size

    def shares(self, mixture: FloatArray, left: FloatArray) -> FloatArray:
        """See `OffscreenNetworks.shares`."""
        with _inference():
            inputs = (_moved(one[None], self.network) for one in (mixture, left))
            return _array(self.network(*inputs)[0])

    def voiceprints(self, magnitude: FloatArray) -> FloatArray:
        """See `OffscreenNetworks.voiceprints`."""
        with _inference():
            return _array(self.voiceprint(_moved(magnitude, self.voiceprint)))


def _moved(array: FloatArray, network: nn.Module) -> Tensor:
    """The array on the device of the network."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(next(network.parameters()).device)


def _array(tensor: Tensor) -> FloatArray:
    return np.asarray(tensor.detach().float().cpu().numpy())


@contextmanager
def _inference() -> Iterator[None]:
    """Run without gradients.

    Raises:
        GPUMemoryError: the memory of the GPU does not suffice.
    """
    try:
        with torch.inference_mode():
            yield
    except torch.cuda.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise GPUMemoryError(str(error)) from error
