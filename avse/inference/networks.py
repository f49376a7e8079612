"""The networks as inference uses them: NumPy arrays in, NumPy arrays out.

On a CPU, ONNX Runtime computes the networks whose graphs come with avse (`avse.models.graphs`). It
takes no longer than PyTorch, whose import takes a second and half a gigabyte. PyTorch computes on
GPUs, and networks of other specifications (`avse.inference.torch_networks`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from avse.dsp.stft import BINS, HOPS_PER_VIDEO_FRAME
from avse.errors import CorruptWeightsError
from avse.models.graphs import Graphs, Session, Values, graphs_of
from avse.models.spec import AVSESpec
from avse.models.weights import check_tensors, find_network, make_network, read_floats
from avse.types import ComplexArray, FloatArray

if TYPE_CHECKING:
    from avse.models.network import AVSENet


class GPUMemoryError(Exception):
    """The input does not fit in the memory of the GPU; part of it may."""


@dataclass(frozen=True)
class Estimate:
    """The output of a separation network for the n faces of one picture.

    Attributes:
        masks: (n, bins, frames) complex64, of the mixture's STFT.
        activity: (n, video frames) float32, logits of voice activity.
        lips: (n, embedding, video frames) float32, lip embeddings.
    """

    masks: ComplexArray
    activity: FloatArray
    lips: FloatArray


@dataclass(frozen=True)
class LipProjection:
    """Whitened principal components of lip points; see `avse.models.streams.VisualStream`.

    Attributes:
        mean: (3 · points,).
        components: (components, 3 · points).
        scale: (components,).
    """

    mean: FloatArray
    components: FloatArray
    scale: FloatArray

    def __call__(self, points: FloatArray) -> FloatArray:
        """(video frames, points, 3), from `network_motion` -> (components, video frames)."""
        flat = points.reshape(len(points), len(self.mean)) - self.mean
        return np.asarray((flat @ self.components.T / self.scale).T, np.float32)


class SeparationNetwork(Protocol):
    """A network that separates, in evaluation mode.

    Attributes:
        spec: its specification.
        device: "cpu", "cuda", "cuda:N" or "mps".
        runtime: what computes it, and with how many threads; this changes the last bits of results.
    """

    spec: AVSESpec
    device: str
    runtime: str

    @property
    def digest(self) -> str:
        """Hash of the weights."""
        ...

    @property
    def projection(self) -> LipProjection:
        """The projection of lip points."""
        ...

    @property
    def gain(self) -> float:
        """The factor of the inner products of lip and voice embeddings."""
        ...

    def estimate(
        self,
        mixture: ComplexArray,
        components: FloatArray,
        seen: FloatArray,
        presence: FloatArray | None = None,
        voices: FloatArray | None = None,
    ) -> Estimate:
        """Estimate the masks of all faces in a picture.

        Args:
            mixture: (bins, frames), STFT of the mixture, frames = 4 × video frames.
            components: (n, components, video frames), from `projection`.
            seen: (n, video frames), 1 where the lips are visible.
            presence: (n, video frames), 0..1, see `avse.models.network.AVSENet`; None for 1.
            voices: (n, size) voiceprints, 0 for unknown voices; None if all are unknown.

        Raises:
            GPUMemoryError: this takes more memory than the GPU has.
        """
        ...

    def lip_embedding(self, components: FloatArray, seen: FloatArray) -> FloatArray:
        """(components, video frames), (video frames,) -> (embedding, video frames)."""
        ...

    def voice_embedding(self, magnitude: FloatArray) -> FloatArray:
        """Embeddings of voices.

        Args:
            magnitude: (n, bins, frames), of level-normalised voices.

        Returns:
            (n, embedding, video frames).
        """
        ...


class ONNXNetwork:
    """A separation network that ONNX Runtime computes; see `SeparationNetwork`.

    Args:
        spec: its specification.
        graphs: of this specification.
        values: all weights, float32.
        digest: of the weights.

    Raises:
        CorruptWeightsError: the graphs are damaged.
    """

    def __init__(self, spec: AVSESpec, graphs: Graphs, values: Values, digest: str) -> None:
        import onnxruntime

        self.spec, self.digest, self.device = spec, digest, "cpu"
        self._graphs, self._values = graphs, values
        self.projection = LipProjection(
            *(values[f"visual.{name}"] for name in ("mean", "components", "scale"))
        )
        with np.errstate(over="ignore"):  # tried out below
            self.gain = float(np.exp(values["voice.gain"]))
        self._masks = graphs.parts["masks"].open(values)
        self._voices = graphs.parts["voices"].open(values)
        self._lips: Session | None = None
        graphs.parts["lips"].check()
        self.runtime = f"onnxruntime {onnxruntime.__version__}, {self._masks.threads} thread(s)"

    def estimate(
        self,
        mixture: ComplexArray,
        components: FloatArray,
        seen: FloatArray,
        presence: FloatArray | None = None,
        voices: FloatArray | None = None,
    ) -> Estimate:
        """See `SeparationNetwork.estimate`."""
        inputs = {
            "real": mixture.real[None],
            "imaginary": mixture.imag[None],
            "components": components,
            "seen": seen,
            "presence": np.ones_like(seen) if presence is None else presence,
        }
        if self.spec.enrolment:
            unknown = np.zeros((len(seen), self.spec.enrolment), np.float32)
            inputs["voices"] = unknown if voices is None else voices
        parts, activity, lips = self._masks(**inputs)
        masks = parts[:, 0].astype(np.complex64)
        masks.imag = parts[:, 1]
        return Estimate(masks, activity, lips)

    def lip_embedding(self, components: FloatArray, seen: FloatArray) -> FloatArray:
        """See `SeparationNetwork.lip_embedding`."""
        if self._lips is None:  # only the measurement of the A/V offset needs it
            self._lips = self._graphs.parts["lips"].open(self._values)
        (embedding,) = self._lips(components=components[None], seen=seen[None])
        return np.asarray(embedding[0])

    def voice_embedding(self, magnitude: FloatArray) -> FloatArray:
        """See `SeparationNetwork.voice_embedding`."""
        (embedding,) = self._voices(magnitude=magnitude)
        return np.asarray(embedding)


def open_network(model: str, *, device: str = "cpu") -> SeparationNetwork:
    """Open a network that separates: every weight present, none left over, hash as listed.

    Args:
        model: the name of shipped weights or the path of a file.
        device: "cpu", "cuda", "cuda:N" or "mps".

    Returns:
        The network, which ONNX Runtime or PyTorch computes.

    Raises:
        MissingWeightsError: the file does not exist.
        CorruptWeightsError: the file is damaged, or was not made for this version.
        MissingExtraError: PyTorch has to compute it, and is not installed.

    Examples:
        >>> import avse
        >>> network = avse.load_network("avse-small")
        >>> result = avse.separate("talk.mp4", network=network)
    """
    file, spec = find_network(model)
    network: SeparationNetwork | None = None
    graphs = graphs_of("separation", spec) if device == "cpu" else None
    if graphs is not None:
        check_tensors(file, graphs.tensors)
        values = read_floats(file)
        if values is not None:
            network = ONNXNetwork(spec, graphs, values, file.sha256)
    if network is None:
        module = make_network(file, spec).to(device)
        from avse.inference.torch_networks import TorchNetwork

        network = TorchNetwork(module, file.sha256)
    try:
        _try_out(network)
    except Exception as error:  # a network can fail in many ways
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CorruptWeightsError(
            f"{file.path}: the network cannot be used: {reason}", "use other weights"
        ) from error
    return network


def as_network(network: SeparationNetwork | AVSENet) -> SeparationNetwork:
    """Use a PyTorch module, in evaluation mode and on its device, for inference."""
    if hasattr(network, "state_dict"):
        from avse.inference.torch_networks import TorchNetwork

        return TorchNetwork(cast("AVSENet", network))
    return network


def _try_out(network: SeparationNetwork) -> None:
    """Run a network on a moment of noise, so that errors come before the work.

    Raises:
        ArithmeticError: its output is not finite.
    """
    frames, people = 4, 2
    noise = np.random.default_rng(0)
    shape = (BINS, frames * HOPS_PER_VIDEO_FRAME)
    mixture = np.asarray(noise.normal(size=shape) + 1j * noise.normal(size=shape), np.complex64)
    points = noise.normal(size=(people, frames, network.spec.lip_points, 3)).astype(np.float32)
    with np.errstate(all="ignore"):
        components = np.stack([network.projection(one) for one in points])
        estimate = network.estimate(mixture, components, np.ones((people, frames), np.float32))
        voices = network.voice_embedding(np.abs(mixture)[None])
    answers = (estimate.masks, estimate.activity, estimate.lips, voices, np.array(network.gain))
    if not all(np.isfinite(answer).all() for answer in answers):
        raise ArithmeticError("its answers are not numbers")
