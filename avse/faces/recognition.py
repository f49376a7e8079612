"""Face recognition by a network: an extra, `pip install "avse[identity]"`.

dlib's ResNet (29 layers, public domain, by D. King; https://github.com/davisking/dlib-models) maps
an aligned face to 128 numbers, whose Euclidean distance is small for two pictures of one person.
Its weights are in the package face_recognition_models, so that nothing is downloaded at run time.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from avse.errors import CorruptWeightsError, MissingExtraError
from avse.faces.detect import Face, Image, package_version
from avse.faces.lips import Head
from avse.faces.scaling import warp
from avse.types import FloatArray

EXTRA_HINT = 'pip install "avse[identity]"'

SIZE = 128
"""Number of values in the description of a face."""

_PACKAGE = "face_recognition_models"
_WEIGHTS = "models/dlib_face_recognition_resnet_model_v1.dat"

_SIDE, _PADDING = 150, 0.25
"""Side of the network's input in pixels, and the margin around the unit square of `_PLACES`."""

_PLACES = np.array(
    [
        (0.1205750620789, 0.2137274526848), (0.3340850613712, 0.2290642403242),
        (0.6460604764104, 0.2289674387677), (0.8595674595992, 0.2134981538014),
        (0.4901123135679, 0.6277975316475),
    ]
)  # fmt: skip
"""Places of the eye corners, from left to right, and of the base of the nose in the network's input
(dlib, image_transforms/interpolation.h, get_face_chip_details)."""


class Recogniser(Protocol):
    """A face recognition network; its descriptions of one person are close to each other."""

    @property
    def name(self) -> str:
        """Name of the network; descriptions of different networks cannot be compared."""
        ...

    def describe(self, image: Image, face: Face) -> FloatArray:
        """(128,) float32 of a face in a picture."""
        ...


class DlibRecogniser:
    """dlib's face recognition network.

    Raises:
        MissingExtraError: the extra is not installed.
        CorruptWeightsError: the weights cannot be read.
    """

    name = "dlib-resnet-v1"

    def __init__(self) -> None:
        weights = _weights()
        if weights is None:
            raise MissingExtraError(
                "knowing a face again in another recording needs a face recognition network",
                EXTRA_HINT,
            )
        import dlib

        try:
            self._net: Any = dlib.face_recognition_model_v1(str(weights))
        except RuntimeError as error:
            raise CorruptWeightsError(
                f"the weights of the face recognition network cannot be read: {weights}",
                f"{EXTRA_HINT} --force-reinstall",
            ) from error

    def describe(self, image: Image, face: Face) -> FloatArray:
        """(128,) float32 of a face in a picture."""
        found = self._net.compute_face_descriptor(square_up(image, face.head))
        return np.asarray(found, np.float32)


def available() -> bool:
    """Whether the extra is installed."""
    return _weights() is not None


def recogniser_version() -> str | None:
    """Versions of the network and its packages, on which descriptions depend; None without one."""
    if not available():
        return None
    packages = ("dlib-bin", "dlib", "face-recognition-models")
    return ", ".join([DlibRecogniser.name, *map(package_version, packages)])


def open_recogniser() -> Recogniser | None:
    """Open the network; None if the extra is not installed.

    Raises:
        CorruptWeightsError: the weights cannot be read.
    """
    return DlibRecogniser() if available() else None


def square_up(image: Image, head: Head) -> Image:
    """Align a face for the network: rotate, scale and crop it to (150, 150, 3) uint8.

    The transform is the least-squares similarity from five points of the head to `_PLACES`. The
    points are computed from the head pose, which jitters less than single landmarks.
    """
    points = head.anchors()
    source = points[:, 0] + 1j * points[:, 1]
    target = (_PLACES @ [1, 1j] + _PADDING * (1 + 1j)) / (1 + 2 * _PADDING) * _SIDE
    source_middle, target_middle = source.mean(), target.mean()
    away = source - source_middle
    turn = np.vdot(away, target - target_middle) / np.vdot(away, away)
    move = target_middle - turn * source_middle
    back, start = 1 / turn, -move / turn
    matrix = np.array([[back.real, -back.imag, start.real], [back.imag, back.real, start.imag]])
    return warp(image, matrix, _SIDE, _SIDE)


def _weights() -> Path | None:
    """The file, found without importing its package, which needs an old setuptools."""
    if importlib.util.find_spec("dlib") is None:
        return None
    package = importlib.util.find_spec(_PACKAGE)
    for folder in (package and package.submodule_search_locations) or ():
        if (Path(folder) / _WEIGHTS).is_file():
            return Path(folder) / _WEIGHTS
    return None
