"""Features whose Euclidean distance measures how different the people of two clips are.

No face recognition network is used. The features are histograms of oriented gradients (Dalal and
Triggs 2005) of portraits that are aligned to the head, the shape of the face, and the mean spectrum
of the voice. Two kinds of variation are normalised (within class covariance normalisation, Hatch,
Kajarekar and Stolcke 2006): that during speech, measured within clips, and that from one day to
another, measured within groups of clips that are certainly of one person.

The scales were set by hand on 780 clips of Arabic newsreaders and on s26 and s31 of GRID.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from avse.faces.detect import Image
from avse.prepare.appearance import PORTRAIT

Array = npt.NDArray[np.float64]

_CELL, _BINS, _MARGIN = 8, 9, 6
_ACROSS = 6
"""Cells per row: 6 · 8 of the 64 - 2 · 6 pixels."""

VERSION = 1

GRADIENTS = (_ACROSS - 1) ** 2 * 4 * _BINS

_GRID = np.arange(PORTRAIT - 2 * _MARGIN)
_SOFT = np.exp(
    -0.5 * ((_GRID - (np.arange(_ACROSS)[:, None] + 0.5) * _CELL) / (_CELL / 2.5)) ** 2
).astype(np.float32)
_SOFT /= _SOFT.sum(axis=1, keepdims=True)
"""(6, 52) weights of pixels in the rows, and in the columns, of cells with soft edges."""

_FACE, _SHAPE, _VOICE = 40.0, 0.12, 9.0
"""Scales of the distances of faces, shapes and voices: in units of the variation within a clip, in
eye distances summed over the points of the skull, and in nats summed over mel bands."""

_KEPT, _LOOKED_AT = 60, 150

_BATCH = 200
"""Number of clips whose scatter is added up at once."""


def gradients(portrait: Image) -> npt.NDArray[np.float32]:
    """Histograms of oriented gradients of the inner 52 · 52 pixels of a portrait, (900,)."""
    grey = np.sqrt(np.asarray(Pillow.fromarray(portrait).convert("L"), np.float32))
    down, across = 2 * np.stack(np.gradient(grey))
    angle = (np.arctan2(down, across) % np.pi) / np.pi * _BINS
    apart = np.abs(angle[..., None] - np.arange(_BINS))
    share = np.clip(1 - np.minimum(apart, _BINS - apart), 0, 1)
    layers = np.asarray(np.hypot(across, down)[..., None] * share, np.float32)
    inner = layers[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    cells = np.tensordot(_SOFT, np.tensordot(_SOFT, inner, (1, 0)), (1, 1)).transpose(1, 0, 2)
    blocks = []
    for row in range(_ACROSS - 1):
        for column in range(_ACROSS - 1):
            block = cells[row : row + 2, column : column + 2].ravel()
            block = np.minimum(block / (np.linalg.norm(block) + 1e-2), 0.2)
            blocks.append(block / (np.linalg.norm(block) + 1e-6))
    return np.asarray(np.concatenate(blocks), np.float32)


class PersonClusters:
    """Collects the features of faces and voices of many clips, without their pictures."""

    def __init__(self) -> None:
        self._faces: list[npt.NDArray[np.float32]] = []
        self._rest: list[npt.NDArray[np.float32]] = []
        self._scatter = np.zeros((GRADIENTS, GRADIENTS))
        self._portraits = 0
        self._moves: list[npt.NDArray[np.float32]] = []

    def add(
        self,
        faces: npt.NDArray[np.floating[Any]],
        skull: npt.NDArray[np.float32],
        voice: npt.NDArray[np.float32],
    ) -> None:
        """Add a clip.

        Args:
            faces: (n, 900) `gradients` of its portraits.
            skull: (points · 3,) in eye distances.
            voice: (80,), of which the mean spectrum is used.
        """
        mean = faces.mean(axis=0, dtype=np.float64)
        self._moves.append((faces - mean).astype(np.float32))
        if len(self._moves) >= _BATCH:
            self._gather()
        self._faces.append(mean.astype(np.float32))
        self._rest.append(np.concatenate([skull / _SHAPE, voice[: len(voice) // 2] / _VOICE]))

    def features(self) -> Array:
        """Features, (clips, n); clips of different people have distances above about 1.5."""
        self._gather()
        faces, axes = principal(np.stack(self._faces), _LOOKED_AT)
        within = axes.T @ self._scatter @ axes / max(1, self._portraits)
        face = discount(faces, within, 0.1, _KEPT) / _FACE
        return np.concatenate([face, np.stack(self._rest)], axis=1)

    def _gather(self) -> None:
        if self._moves:
            moves = np.concatenate(self._moves).astype(np.float64)
            self._scatter += moves.T @ moves
            self._portraits += len(moves)
            self._moves.clear()


def refined(features: Array, labels: npt.NDArray[np.int64], *, fewest: int = 3) -> Array | None:
    """Normalise the variation of features within groups.

    Args:
        features: (clips, n).
        labels: (clips,) groups with one person each; a person may have several groups.
        fewest: groups with fewer clips are ignored.

    Returns:
        Features, (clips, m), in which clips of different people have distances above about 10; None
        if the groups are too few or too small.
    """
    sizes = np.bincount(labels)
    taught = np.flatnonzero(sizes >= fewest)
    freedom = int((sizes[taught] - 1).sum())
    if len(taught) < 8 or freedom < _LOOKED_AT:
        return None
    points, _ = principal(features, _LOOKED_AT)
    scatter = np.zeros((points.shape[1], points.shape[1]))
    for label in taught:
        group = points[labels == label]
        scatter += (group - group.mean(axis=0)).T @ (group - group.mean(axis=0))
    return discount(points, scatter / freedom, 0.3, 40)


def principal(points: npt.NDArray[np.floating[Any]], most: int) -> tuple[Array, Array]:
    """Project points, (n, d), on their principal axes: (n, k), with mean 0; and the axes, (d, k).

    Args:
        points: (n, d).
        most: maximum number of axes, k.
    """
    centred = points.astype(np.float64) - points.mean(axis=0, dtype=np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1][:, : max(1, min(most, len(points) - 1))]
    return centred @ axes, axes


def discount(points: Array, within: Array, floor: float, keep: int) -> Array:
    """Whiten points by a covariance, and project them on their principal axes: (n, keep).

    Args:
        points: (n, d).
        within: (d, d) covariance of the variation to normalise.
        floor: share of its mean variance that is added to every direction.
        keep: maximum number of axes.
    """
    size = len(within)
    ground = max(floor * float(np.trace(within)) / size, 1e-12)
    variance, axes = np.linalg.eigh(within + ground * np.eye(size))
    return principal(points @ (axes / np.sqrt(variance)), keep)[0]
