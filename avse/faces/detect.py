"""The interface of face backends; `open_backend` opens one by name."""

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
from avse.media.pictures import Picture
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
        roll: roll of the head in radians, clockwise; 0 if unknown.
    """

    x: float
    y: float
    w: float
    h: float
    roll: float = 0.0

    @property
    def centre(self) -> tuple[float, float]:
        """Centre of the box."""
        return self.x + self.w / 2, self.y + self.h / 2

    def overlap(self, other: Box) -> float:
        """Intersection over union of two boxes, 0..1, without regard to roll."""
        across = min(self.x + self.w, other.x + other.w) - max(self.x, other.x)
        down = min(self.y + self.h, other.y + other.h) - max(self.y, other.y)
        if across <= 0 or down <= 0:
            return 0.0
        shared = across * down
        return shared / (self.w * self.h + other.w * other.h - shared)

    def centred_in(self, other: Box) -> bool:
        """Whether the centre of one box lies in the other, or vice versa."""
        (x, y), (u, v) = self.centre, other.centre
        across, down = max(self.w, other.w), max(self.h, other.h)
        return abs(x - u) < across / 2 and abs(y - v) < down / 2


@dataclass(frozen=True)
class Detection:
    """A detected face, with its score (0..1)."""

    box: Box
    score: float


@dataclass(frozen=True, kw_only=True)
class Face:
    """A face in a picture, without its lips.

    Attributes:
        head: pose of the head.
        shape: (n, 3) in pixels: landmarks that talking hardly moves, with the same n for all faces
            of a backend; they identify the face roughly.
        box: bounds of the face, from which it is tracked in the next frame.
        presence: probability that this is a face, 0..1.
    """

    head: Head
    shape: FloatArray = field(repr=False)
    box: Box
    presence: float = 1.0


@dataclass(frozen=True, kw_only=True)
class FaceLandmarks(Face):
    """The landmarks of one face.

    Attributes:
        lips: (43, 3) in pixels, in the order of `avse.faces.lips`; z points away from the camera.
        confidence: (43,) confidence of each lip landmark, 0..1.
    """

    lips: FloatArray
    confidence: FloatArray


def with_lips(face: Face, lips: FloatArray, confidence: FloatArray) -> FaceLandmarks:
    """Add lips to a face; see `FaceLandmarks`."""
    return FaceLandmarks(
        head=face.head,
        shape=face.shape,
        box=face.box,
        presence=face.presence,
        lips=lips,
        confidence=confidence,
    )


@dataclass(frozen=True)
class Mouth:
    """The picture of a mouth from which a `LipReader` finds the lips.

    Attributes:
        crop: (pixels, pixels) float32 grey levels, aligned to the head.
        contrast: see `avse.faces.native_backend.contrast_of`.
        head: pose of the head.
        picture: height and width of the whole picture.
        presence: probability that this is a face, 0..1.
    """

    crop: FloatArray = field(repr=False)
    contrast: float
    head: Head
    picture: tuple[int, int]
    presence: float


class FaceBackend(Protocol):
    """Detects faces, and finds their landmarks.

    Results are cached if the backend has a `version` too, a text as from `backend_version`.
    """

    @property
    def name(self) -> str:
        """The name for `open_backend`."""
        ...

    @property
    def close_px(self) -> int | None:
        """Side of the squares in which the detector finds small faces.

        None if it finds them in the whole picture.
        """
        ...

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Detect the faces in each image, best first."""
        ...

    def landmarks(self, image: Image, boxes: Sequence[Box]) -> list[FaceLandmarks | None]:
        """Find the landmarks of the face in each box; None if there is no face."""
        ...


def reads_luma(backend: FaceBackend) -> bool:
    """Whether `landmarks` of a backend takes luma (height, width) in place of RGB."""
    return bool(getattr(backend, "reads_luma", False))


class LipReader(Protocol):
    """A backend that can find faces first, and their lips later, for many pictures at a time.

    This takes less time, and tracking does not need the lips. The results are those of `landmarks`.
    A backend has it as attribute `lip_reader`.
    """

    def faces(self, image: Image, boxes: Sequence[Box]) -> list[Face | None]:
        """Find the face in each box, without its lips; None if there is no face."""
        ...

    def mouth(self, image: Image, face: Face) -> Mouth:
        """Crop the mouth of a face in its picture."""
        ...

    def lips(self, mouths: Sequence[Mouth]) -> tuple[FloatArray, FloatArray]:
        """Find lips, (n, 43, 3) in the frames of the heads, and their confidence, (n, 43)."""
        ...


def lip_reader_of(backend: FaceBackend) -> LipReader | None:
    """The `LipReader` of a backend, or None."""
    found: LipReader | None = getattr(backend, "lip_reader", None)
    return found


class CloseDetector(Protocol):
    """A detector that can find small faces in a whole picture, without squares.

    A backend has it as attribute `close_detector`; its `close_px` is None then. It takes pictures
    that may not have been converted to RGB.
    """

    @property
    def every(self) -> int:
        """Default number of frames from one detection to the next."""
        ...

    def detect(self, picture: Picture) -> Sequence[Detection]:
        """Detect the faces in a picture, best first, as the backend does."""
        ...

    def detect_closely(self, picture: Picture, near: Box | None = None) -> Sequence[Detection]:
        """Detect small faces too, best first, or only near a box. Slower than `detect`."""
        ...

    def rest(self) -> None:
        """Return the memory of `detect_closely` to the system."""
        ...


def close_detector_of(backend: FaceBackend) -> CloseDetector | None:
    """The `CloseDetector` of a backend, or None."""
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
    """A text that changes whenever the results of a backend may change.

    Args:
        name: see `open_backend`; nothing is opened.
        device: device of the backend.
    """
    base = name.partition(":")[0]
    if base == NATIVE:
        weights = [entry.sha256[:16] for entry in shipped() if entry.kind in (DETECTOR, LANDMARKS)]
        return ", ".join([name, f"onnxruntime {package_version('onnxruntime')}", *weights])
    packages = ["mediapipe"] if base == "mediapipe" else ["face-alignment", "torch"]
    versions = [f"{package} {package_version(package)}" for package in packages]
    return ", ".join([name, *versions, *([] if base == "mediapipe" else [device])])


def package_version(package: str) -> str:
    """The version of a package, without importing it; "none" if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def open_backend(name: str = NATIVE, *, device: str = "cpu") -> FaceBackend:
    """Open a face backend.

    Args:
        name: "native"; "mediapipe"; or "face-alignment", which may name a detector of that package
            after a colon: "face-alignment:blazeface".
        device: "cpu", "cuda", "cuda:1" or "mps"; the first two backends always use the CPU.

    Raises:
        UsageError: the backend does not exist.
        MissingExtraError: its package is not installed.
        MissingWeightsError: its weights do not exist and cannot be downloaded.
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
