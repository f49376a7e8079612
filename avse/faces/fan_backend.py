"""The second face backend: the `face-alignment` package (Bulat and Tzimiropoulos 2017).

It uses the package's detectors (S3FD by default) and its 3-D landmark network, FAN, with 68 points.
They are slow without a GPU, and download their weights on first use. The package takes RGB pictures
and converts them for detectors that need BGR.
"""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np

from avse.errors import CorruptWeightsError, MissingExtraError, MissingWeightsError, UsageError
from avse.faces.detect import (
    Box,
    Detection,
    Face,
    FaceLandmarks,
    Image,
    backend_version,
    with_lips,
)
from avse.faces.lips import (
    INNER,
    OUTER,
    contour,
    fit_head,
    trust,
)
from avse.types import FloatArray

_HOST = "https://www.adrianbulat.com/downloads/python-fan/"
_BLAZE = "https://github.com/hollance/BlazeFace-PyTorch/blob/master/"
_FAN = (_HOST + "3DFAN4-7835d9f11d.pth.tar", _HOST + "depth-2a464da4ea.pth.tar")
DETECTORS: dict[str, tuple[str, ...]] = {
    "sfd": (_HOST + "s3fd-619a316812.pth",),
    "blazeface": (_BLAZE + "blazeface.pth?raw=true", _BLAZE + "anchors.npy?raw=true"),
    "retinaface": (_HOST + "retinaface_mobilenet0.25.pth",),
    "dlib": (),
}
"""Detectors of the package -> the files of weights that they download."""

# Of the 68 points (iBUG order), those of `lips.RIGID`; the contours of the lips from the person's
# right corner over the upper lip; the chin.
RIGID_68 = (36, 39, 42, 45, 27, 28, 29, 30, 31, 33, 35, 0, 16)
OUTER_68 = tuple(range(48, 60))
INNER_68 = tuple(range(60, 68))
CHIN_68 = (7, 8, 9)
SHAPE_68 = (*RIGID_68, 32, 34, 1, 15)


class FaceAlignmentBackend:
    """Detector and landmarks of `face-alignment`.

    Args:
        detector: one of `DETECTORS`.
        device: "cpu", "cuda", "cuda:1" or "mps".
        package: stands in for the package's `FaceAlignment` object; for tests.

    Raises:
        UsageError: no such detector.
        MissingExtraError: the package, or one that the detector needs, is not installed.
        MissingWeightsError: weights are neither here nor to be had.
        CorruptWeightsError: weights are here and cannot be read.
    """

    def __init__(
        self, detector: str = "sfd", *, device: str = "cpu", package: Any | None = None
    ) -> None:
        if detector not in DETECTORS:
            raise UsageError(
                f"face-alignment has no detector named {detector!r}",
                f"use one of: {', '.join('face-alignment:' + name for name in DETECTORS)}",
            )
        self.name = f"face-alignment:{detector}"
        self.close_px: int | None = None
        self.version = None if package is not None else backend_version(self.name, device=device)
        self._net: Any = package if package is not None else _load(detector, device)

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Detect the faces in each image, best first; images of equal size are one batch."""
        if not images:
            return []
        detector = self._net.face_detector
        same = len({image.shape for image in images}) == 1
        if same and len(images) > 1 and type(detector).__name__ != "DlibDetector":
            import torch

            stack = np.stack([image.transpose(2, 0, 1) for image in images])
            rows = detector.detect_from_batch(torch.from_numpy(stack))
            # Without any face, the package returns one empty array, not one for each picture.
            rows = list(rows) if len(rows) == len(images) else [[] for _ in images]
        else:
            rows = [detector.detect_from_image(image.copy()) for image in images]
        return [_detections(found) for found in rows]

    def landmarks(self, image: Image, boxes: Sequence[Box]) -> list[FaceLandmarks | None]:
        """Estimate the landmarks of the face in each box; None if there is no face."""
        if not boxes:
            return []
        places = [np.array([b.x, b.y, b.x + b.w, b.y + b.h, 1.0]) for b in boxes]
        points, scores, _ = self._net.get_landmarks_from_image(
            image, detected_faces=places, return_landmark_score=True
        )
        if points is None:
            return [None] * len(boxes)
        picture = (image.shape[0], image.shape[1])
        return [
            face_from_68(np.asarray(found, np.float32), np.asarray(score, np.float32), picture)
            for found, score in zip(points, scores, strict=True)
        ]


def face_from_68(
    points: FloatArray, scores: FloatArray, picture: tuple[int, int]
) -> FaceLandmarks | None:
    """Convert FAN's 68 points to a face; None if there is no face.

    Args:
        points: (68, 3) in pixels; z towards the camera, as FAN returns it.
        scores: (68,) peaks of FAN's heat maps, 1 for a certain point. They are up to 2 with its
            second pass on the mirrored picture, and are clipped here.
        picture: (height, width).
    """
    away = points * np.array([1, 1, -1], np.float32)
    try:
        head = fit_head(away[list(RIGID_68)])
    except ValueError:
        return None
    sure = np.clip(scores, 0.0, 1.0)
    presence = float(np.median(sure))
    if presence < _MIN_PRESENCE or not np.isfinite(points).all():
        return None
    lips = np.concatenate(
        [
            contour(away[list(OUTER_68)], OUTER),
            contour(away[list(INNER_68)], INNER),
            away[list(CHIN_68)],
        ]
    )
    weight = np.concatenate(
        [
            np.full(OUTER, sure[list(OUTER_68)].mean(), np.float32),
            np.full(INNER, sure[list(INNER_68)].mean(), np.float32),
            sure[list(CHIN_68)],
        ]
    )
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    # The 68 points end at the brows; boxes of detectors extend to the hair.
    top = low[1] - 0.2 * (high[1] - low[1])
    box = Box(float(low[0]), float(top), float(high[0] - low[0]), float(high[1] - top), head.roll)
    confidence = trust(head, lips, picture) * weight
    face = Face(head=head, shape=away[list(SHAPE_68)], box=box, presence=presence)
    return with_lips(face, lips, confidence)


_MIN_PRESENCE = 0.2
"""Smallest median peak of the heat maps of a face."""


def _detections(found: Any) -> list[Detection]:
    rows = [np.asarray(row, np.float64).ravel() for row in found]
    faces = [
        Detection(
            Box(row[0], row[1], row[2] - row[0], row[3] - row[1]),
            float(np.clip(row[4], 0, 1)) if len(row) > 4 else 1.0,
        )
        for row in rows
        if len(row) >= 4 and row[2] > row[0] and row[3] > row[1]
    ]
    return sorted(faces, key=lambda face: -face.score)


def weight_files(detector: str) -> dict[Path, str]:
    """The files in which the package stores the weights of a detector and of FAN -> their URLs."""
    home = os.environ.get("TORCH_HOME") or os.path.join(  # noqa: PTH118
        os.environ.get("XDG_CACHE_HOME", "~/.cache"), "torch"
    )
    folder = Path(home).expanduser() / "hub" / "checkpoints"
    return {folder / _file_name(url): url for url in (*DETECTORS[detector], *_FAN)}


def _file_name(url: str) -> str:
    return url.rsplit("/", 1)[-1].partition("?")[0]


def _load(detector: str, device: str) -> Any:
    said = io.StringIO()
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stderr(said),
            contextlib.redirect_stdout(said),
        ):
            warnings.simplefilter("ignore")
            import face_alignment

            return face_alignment.FaceAlignment(
                face_alignment.LandmarksType.THREE_D,
                device=device,
                face_detector=detector,
                compile=False,
                max_batch_size=8,
            )
    except ImportError as error:
        wanted = error.name or "face_alignment"
        package = "avse[face-alignment]" if wanted.startswith("face_alignment") else wanted
        raise MissingExtraError(
            f"the face backend face-alignment:{detector} needs the package {wanted!r}",
            f'pip install "{package}"',
        ) from error
    except (URLError, OSError) as error:
        missing = [(path, url) for path, url in weight_files(detector).items() if not path.exists()]
        if not missing:
            raise CorruptWeightsError(
                f"the weights of face-alignment:{detector} cannot be read: {error}",
                f"delete them and try again: {', '.join(map(str, weight_files(detector)))}",
            ) from error
        listed = "; ".join(f"{url} as {path}" for path, url in missing)
        raise MissingWeightsError(
            f"the weights of face-alignment:{detector} could not be downloaded ({error})",
            f"put {listed}, or use the native backend, which needs no download",
        ) from error
