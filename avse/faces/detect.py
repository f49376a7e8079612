"""What a face backend is, and how one is opened by name."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from avse.errors import MissingExtraError, UsageError
from avse.faces.lips import Head
from avse.types import FloatArray
from avse.utils.shipped import DETECTOR, LANDMARKS, shipped

Image = npt.NDArray[np.uint8]
"""(height, width, 3) RGB."""


@dataclass(frozen=True)
class Box:
    """A face in a picture, in pixels.

    Attributes:
        x, y: left and top edge.
        w, h: width and height.
        roll: how far the head leans in the picture, radians, clockwise; 0 where unknown.
    """

    x: float
    y: float
    w: float
    h: float
    roll: float = 0.0

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the box."""
        return self.x + self.w / 2, self.y + self.h / 2

    def overlap(self, other: Box) -> float:
        """Intersection over union of two boxes, 0..1, leaving roll aside."""
        across = min(self.x + self.w, other.x + other.w) - max(self.x, other.x)
        down = min(self.y + self.h, other.y + other.h) - max(self.y, other.y)
        if across <= 0 or down <= 0:
            return 0.0
        shared = across * down
        return shared / (self.w * self.h + other.w * other.h - shared)

    def centred_in(self, other: Box) -> bool:
        """Whether the middle of one box lies in the other, or the other way round."""
        (x, y), (u, v) = self.centre, other.centre
        across, down = max(self.w, other.w), max(self.h, other.h)
        return abs(x - u) < across / 2 and abs(y - v) < down / 2


@dataclass(frozen=True)
class Detection:
    """A face that a detector found, with how sure it is (0..1)."""

    box: Box
    score: float


@dataclass(frozen=True)
class FaceLandmarks:
    """One face, point by point.

    Attributes:
        lips: (43, 3) in pixels, as `avse.faces.lips` orders them; z away from the camera.
        confidence: (43,) in 0..1, how far each of them can be believed.
        head: how the head stands.
        shape: (n, 3) in pixels: points that talking hardly moves, the same n at every face of one
            backend; they say, roughly, whose face it is.
        box: the bounds of the face, good for finding it again in the next frame.
        presence: 0..1, how sure the backend is that this is a face at all.
    """

    lips: FloatArray
    confidence: FloatArray
    head: Head
    shape: FloatArray = field(repr=False)
    box: Box
    presence: float = 1.0


class FaceBackend(Protocol):
    """Finds faces, and the points of a face.

    What it finds is kept in the cache if it has a `version` too, a text as `backend_version` gives
    it: one that has none is asked every time.
    """

    @property
    def name(self) -> str:
        """The name that `open_backend` takes."""
        ...

    @property
    def close_px(self) -> int | None:
        """Side of the squares in which its detector has to look for small faces.

        None if it finds them in the whole picture.
        """
        ...

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Find the faces in each of the images, best first."""
        ...

    def landmarks(self, image: Image, boxes: Sequence[Box]) -> list[FaceLandmarks | None]:
        """Find the points of the face in each box; None where there is none after all."""
        ...


def reads_luma(backend: FaceBackend) -> bool:
    """Whether the landmarks of a backend take (height, width) brightness in place of RGB."""
    return bool(getattr(backend, "reads_luma", False))


class CloseDetector(Protocol):
    """A detector that can look closely at a whole picture by itself, without squares.

    A backend that has one gives it as `close_detector`; its `close_px` is None then.
    """

    @property
    def every(self) -> int:
        """Looking at every so many frames is enough, if nobody says otherwise."""
        ...

    def detect_closely(self, picture: Image, near: Box | None = None) -> Sequence[Detection]:
        """Find small faces too, best first; near a box if one is given. Takes longer."""
        ...


def close_detector_of(backend: FaceBackend) -> CloseDetector | None:
    """The detector of a backend that can look closely by itself, if it has one."""
    found: CloseDetector | None = getattr(backend, "close_detector", None)
    return found


NATIVE = "native"
BACKENDS = (NATIVE, "mediapipe", "face-alignment")


def available_backends() -> list[str]:
    """Names of the backends whose packages are installed, best first."""
    modules = {
        NATIVE: "onnxruntime",
        "mediapipe": "mediapipe",
        "face-alignment": "face_alignment",
    }
    return [name for name in BACKENDS if importlib.util.find_spec(modules[name]) is not None]


def backend_version(name: str, *, device: str = "cpu") -> str:
    """A text that is another one whenever a backend may find something else.

    Args:
        name: as `open_backend` takes it; nothing is opened.
        device: where it computes.
    """
    base = name.partition(":")[0]
    if base == NATIVE:
        weights = [entry.sha256[:16] for entry in shipped() if entry.kind in (DETECTOR, LANDMARKS)]
        return ", ".join([name, f"onnxruntime {package_version('onnxruntime')}", *weights])
    packages = ["mediapipe"] if base == "mediapipe" else ["face-alignment", "torch"]
    versions = [f"{package} {package_version(package)}" for package in packages]
    return ", ".join([name, *versions, *([] if base == "mediapipe" else [device])])


def package_version(package: str) -> str:
    """The version of an installed package, found without importing it; "none" if it is not."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def open_backend(name: str = NATIVE, *, device: str = "cpu") -> FaceBackend:
    """Open a face backend.

    Args:
        name: "native"; "mediapipe"; or "face-alignment", which may name a detector of that package
            after a colon: "face-alignment:blazeface".
        device: where it computes ("cpu", "cuda", "cuda:1", "mps"); the first two are always on the
            CPU.

    Raises:
        UsageError: there is no such backend.
        MissingExtraError: its package is not installed.
        MissingWeightsError: its weights are neither here nor to be had.
    """
    base, _, option = name.partition(":")
    if base == NATIVE and not option:
        from avse.faces.native_backend import NativeBackend

        return NativeBackend()
    if base == "mediapipe" and not option:
        try:
            from avse.faces.mediapipe_backend import MediaPipeBackend

            return MediaPipeBackend()
        except ImportError as error:
            raise MissingExtraError(
                f"the face backend mediapipe needs the package {error.name!r}",
                'pip install "avse[mediapipe]" (Python 3.11 or 3.12), or use --faces native',
            ) from error
    if base == "face-alignment":
        from avse.faces.fan_backend import FaceAlignmentBackend

        return FaceAlignmentBackend(option or "sfd", device=device)
    raise UsageError(f"no face backend named {name!r}", f"use one of: {', '.join(BACKENDS)}")
