"""Pictures of faces for `train_faces.py`: labelling, reading, sampling and augmentation.

A batch consists of pairs: rows 2k and 2k + 1 are consecutive frames of a video, and get the same
augmentation except for a slight jitter, so that a loss can compare their motion.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as Pillow
from PIL.ImageDraw import Draw
from PIL.ImageFilter import GaussianBlur
from torch.nn import functional

from avse.errors import MediaError
from avse.faces.detect import Box, FaceBackend, FaceLandmarks, open_backend
from avse.faces.lips import INNER, OUTER, POINTS, fit_head
from avse.faces.mesh_points import LIPS, RIGID, SHAPE, USED
from avse.faces.native_backend import square
from avse.media import read_frames

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Grey = npt.NDArray[np.uint8]

SIDE_PX, SIDE = 160, 2.0
"""Side of a labelled picture in pixels, and in longer sides of the face."""

LARGEST, LOOK_EVERY = 800, 60
"""Longer side of the video for labelling in pixels; frames from one face detection to the next."""

_RINGS = slice(OUTER), slice(OUTER, OUTER + INNER)
"""Indices of the points of the outer and of the inner lip contour."""

_LEAST_PRESENCE, _LEAST_SCALE = 0.8, 5.0
_RARE, _RARE_MOST = 0.5, 8.0
_POSE_STEP = 0.12


def label(videos: Path, folder: Path, frames: int) -> None:
    """Write a file of labelled pictures for each video without one.

    Args:
        videos: folder of videos.
        folder: folder for the labels.
        frames: of each video at most.
    """
    teacher = open_backend("mediapipe")
    for video in sorted(path for path in videos.rglob("*") if path.is_file()):
        target = folder / video.relative_to(videos).with_suffix(".npz")
        if target.is_file():
            continue
        try:
            found = list(labelled(video, teacher, frames))
        except MediaError as error:
            print(f"{video}: left out: {error}")
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(
                file,
                pictures=np.array([one.picture for one in found]).reshape(-1, SIDE_PX, SIDE_PX),
                points=np.array([one.points for one in found]).reshape(-1, len(USED), 3),
                presence=np.array([one.presence for one in found], np.float32),
                frames=np.array([one.frame for one in found], np.int64),
            )
        part.replace(target)
        print(f"{video}: {len(found)} pictures", flush=True)


@dataclass(frozen=True)
class Labelled:
    """A picture of a face, with its points as in `Labels`, and the number of its video frame."""

    picture: Grey
    points: Floats
    presence: float
    frame: int


def labelled(video: Path, teacher: FaceBackend, frames: int) -> Iterator[Labelled]:
    """Track the largest face of a video through its first frames.

    Raises:
        MediaError: the file is not a video, or cannot be read.
    """
    box: Box | None = None
    looked = 0
    for number, frame in enumerate(itertools.islice(read_frames(video, max_side=LARGEST), frames)):
        if box is None or number - looked > LOOK_EVERY:
            boxes = [each.box for each in teacher.detect([frame.image])[0]]
            box, looked = max(boxes, key=lambda each: each.w, default=None), number
        if box is None:
            continue
        face = teacher.landmarks(frame.image, [box])[0]
        box = None if face is None else face.box
        if face is None:
            continue
        side, centre = SIDE * max(face.box.w, face.box.h), face.box.centre
        grey = square(frame.image, centre, side, 0.0, SIDE_PX)
        points = mesh_points(face) * np.float32(SIDE_PX / side)
        corner = np.array([*centre, 0.0]) * SIDE_PX / side - [SIDE_PX / 2, SIDE_PX / 2, 0]
        points = np.asarray(points - corner, np.float32)
        yield Labelled(grey.astype(np.uint8), points, face.presence, number)


def mesh_points(face: FaceLandmarks) -> Floats:
    """The points of `USED` in pixels, (87, 3)."""
    known = dict(zip((*SHAPE, *LIPS), (*face.shape, *face.lips), strict=True))
    return np.stack([known[index] for index in USED])


@dataclass(frozen=True)
class Labels:
    """Labelled pictures of faces.

    Attributes:
        pictures: (n, 160, 160) uint8 grey levels, the face in the centre.
        points: (n, 87, 3) `avse.faces.mesh_points.USED`, in pixels of the picture.
        clips: (n,) index of the video.
        corpora: (n,) folder of the video.
        first: (m,) rows that are good and whose next row is good and the next frame of the video.
        lips: (n, 43, 3) lips and chin in coordinates of the head.
        places: (n, 6) the head: origin x and y, scale (pixels), roll, yaw, pitch (radians).
        good: (n,) whether the teacher's confidence and the scale of the head are large enough.
    """

    pictures: Grey
    points: Floats
    clips: Integers
    corpora: npt.NDArray[np.str_]
    first: Integers
    lips: Floats
    places: Floats
    good: npt.NDArray[np.bool_]

    @staticmethod
    def read(folder: Path) -> Labels:
        """Read the labels of `train_faces.py label`; they take 27 kB of memory per picture.

        Raises:
            SystemExit: there are no labels.
        """
        files = sorted(folder.rglob("*.npz"))
        loaded = []
        for file in files:
            with np.load(file) as arrays:
                loaded.append({name: arrays[name] for name in arrays.files})
        if not any(len(each["frames"]) for each in loaded):
            raise SystemExit(f"{folder}: no labels; make them with train_faces.py label")
        counts = [len(each["frames"]) for each in loaded]
        parts = [file.relative_to(folder).parts for file in files]
        names = np.array([part[0] if len(part) > 1 else "" for part in parts])
        clips = np.repeat(np.arange(len(files)), counts)
        frames, presence, points = (
            np.concatenate([each[name] for each in loaded])
            for name in ("frames", "presence", "points")
        )
        lips, places = _heads(points)
        good = (presence > _LEAST_PRESENCE) & (places[:, 2] > _LEAST_SCALE)
        follows = (clips[1:] == clips[:-1]) & (frames[1:] == frames[:-1] + 1)
        return Labels(
            np.concatenate([each["pictures"] for each in loaded]),
            points,
            clips,
            np.repeat(names, counts),
            np.flatnonzero(follows & good[1:] & good[:-1]),
            lips,
            places,
            good,
        )


def _heads(points: Floats) -> tuple[Floats, Floats]:
    """Fit heads: `Labels.lips` and `Labels.places`; zeros where no head can be fitted."""
    rigid = [USED.index(index) for index in RIGID]
    lips = np.zeros((len(points), POINTS, 3), np.float32)
    places = np.zeros((len(points), 6), np.float32)
    for row, mesh in enumerate(points):
        try:
            head = fit_head(mesh[rigid])
        except ValueError:
            continue
        lips[row] = head.fix(mesh[:POINTS])
        places[row] = (*head.origin[:2], head.scale, head.roll, head.yaw, head.pitch)
    return lips, places


class Picker:
    """Samples pairs of pictures: corpora by their shares, rare head poses more often.

    Args:
        labels: the labels to sample from.
        shares: corpus -> its share; shares need not add up to 1.
        motion: whether pairs with moving lips are sampled more often.

    Raises:
        SystemExit: a corpus has no pairs.
    """

    def __init__(self, labels: Labels, shares: dict[str, float], *, motion: bool) -> None:
        self._firsts: list[Integers] = []
        self._weights: list[Doubles] = []
        for name in shares:
            first = labels.first[labels.corpora[labels.first] == name]
            if not len(first):
                raise SystemExit(f"there are no consecutive pictures of {name!r} to learn from")
            poses = np.round(labels.places[first, 4:6] / _POSE_STEP).astype(int)
            _, which, counts = np.unique(poses, axis=0, return_inverse=True, return_counts=True)
            weight = counts[which.ravel()].astype(np.float64) ** -_RARE
            weight = np.minimum(weight / weight.mean(), _RARE_MOST)
            if motion:
                moved = np.abs(labels.lips[first + 1] - labels.lips[first]).mean(axis=(1, 2))
                weight *= 0.3 + np.minimum(moved / max(float(np.median(moved)), 1e-9), 3)
            self._firsts.append(first)
            self._weights.append(np.cumsum(weight / weight.sum()))
        self._shares = np.array(list(shares.values())) / sum(shares.values())

    def __call__(self, pairs: int, dice: np.random.Generator) -> Integers:
        """Sample rows of the labels, (2 * pairs,)."""
        corpora = dice.choice(len(self._shares), pairs, p=self._shares)
        first = np.empty(pairs, np.int64)
        for place, corpus in enumerate(corpora):
            at = np.searchsorted(self._weights[corpus], dice.random())
            first[place] = self._firsts[corpus][min(int(at), len(self._firsts[corpus]) - 1)]
        rows: Integers = np.stack([first, first + 1], axis=1).ravel()
        return rows


def twice(values: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Repeat values of pairs, (k, ...), for their pictures, (2k, ...)."""
    return np.repeat(values, 2, axis=0).astype(np.float64)


def grid(pixels: int) -> Doubles:
    """(1, pixels * pixels, 2) centres of the pixels, row by row, in coordinates from -1 to 1."""
    steps = (np.arange(pixels) * 2 + 1) / pixels - 1
    places: Doubles = np.stack(np.meshgrid(steps, steps), -1).reshape(1, -1, 2)
    return places


class Warp:
    """Smooth random displacements, which make the mouths of more people from those of a few.

    A displacement is a sum of plane waves in the coordinates of a part, -1 to 1. Both pictures of a
    pair have the same.

    Args:
        pairs: number of pairs.
        size: standard deviation of the height of a wave of length 2 pi.
        dice: random generator.
    """

    waves, fastest = 4, 3.0

    def __init__(self, pairs: int, size: float, dice: np.random.Generator) -> None:
        shape = (pairs, self.waves)
        length = dice.uniform(0.8, self.fastest, shape)
        angle = dice.uniform(0, 2 * np.pi, shape)
        self._waves = twice(np.stack([np.cos(angle), np.sin(angle)], -1) * length[..., None])
        self._phases = twice(dice.uniform(0, 2 * np.pi, shape))
        # Waves that are twice as fast are half as high: no part of a picture folds.
        self._heights = twice(dice.normal(0, size, (*shape, 2)) / length[..., None])

    def at(self, places: Doubles) -> Doubles:
        """(n, k, 2) displacements at (n, k, 2) places."""
        angles = places @ self._waves.transpose(0, 2, 1) + self._phases[:, None]
        return np.asarray(np.sin(angles) @ self._heights)

    def everywhere(self, pixels: int) -> Doubles:
        """(n, pixels * pixels, 2) displacements at all pixels of a part, interpolated."""
        few = pixels // 4
        coarse = torch.from_numpy(self.at(grid(few)).reshape(-1, few, few, 2).astype(np.float32))
        size = (pixels, pixels)
        fine = functional.interpolate(coarse.permute(0, 3, 1, 2), size, mode="bilinear")
        return fine.permute(0, 2, 3, 1).reshape(len(fine), -1, 2).numpy().astype(np.float64)

    def inverse(self, places: Doubles) -> Doubles:
        """(n, k, 2) places after the warp of what is at these places before it."""
        seen = places
        for _ in range(6):
            seen = places - self.at(seen)
        return seen


def cut_out(pictures: Grey, affine: Doubles, pixels: int, warp: Warp | None = None) -> torch.Tensor:
    """Crop parts of pictures.

    Args:
        pictures: (n, 160, 160) uint8.
        affine: (n, 2, 3) maps from coordinates of the part, -1 to 1, to pixels of the picture.
        pixels: side of the result.
        warp: displacements in the part.

    Returns:
        (n, 1, pixels, pixels) float32, 0 to 255.
    """
    half = SIDE_PX / 2
    theta = affine / half
    theta[:, :, 2] -= 1
    places = grid(pixels)
    if warp is not None:
        places = places + warp.everywhere(pixels)
    places = places @ theta[:, :, :2].transpose(0, 2, 1) + theta[:, None, :, 2]
    where = torch.from_numpy(places.reshape(-1, pixels, pixels, 2).astype(np.float32))
    grey = torch.from_numpy(pictures.astype(np.float32))[:, None]
    return functional.grid_sample(grey, where, align_corners=False)


def turned(angle: Doubles) -> Doubles:
    """Rotations, (n, 2, 2), by angles in radians, (n,)."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)


def seen_from(matrix: Doubles, centre: Doubles) -> Doubles:
    """Affine maps for `cut_out`, (n, 2, 3), from matrices, (n, 2, 2), and centres, (n, 2)."""
    return np.concatenate([matrix, centre[:, :, None]], axis=-1)


def not_a_face(x: torch.Tensor, dice: np.random.Generator) -> torch.Tensor:
    """Make a picture without a face from a picture of a face, (pixels, pixels).

    The result is a part at its edge, the rotated picture, or the picture with shuffled rows.
    """
    pixels = len(x)
    if dice.random() < 0.5:
        side = pixels // (4 if dice.random() < 0.5 else 6)
        start = (0, int(dice.integers(pixels - side)))
        row, column = start if dice.random() < 0.5 else start[::-1]
        part = x[None, None, row : row + side, column : column + side]
        return functional.interpolate(part, (pixels, pixels), mode="bilinear")[0]
    if dice.random() < 0.5:
        return torch.rot90(x, int(dice.integers(1, 4)), (0, 1))[None]
    return x[torch.from_numpy(dice.permutation(pixels))][None]


@dataclass(frozen=True)
class Variation:
    """Augmentation of the pictures of a batch; shares are of pairs.

    Attributes:
        small: share that is scaled down and up again.
        least_px: smallest side to which these are scaled down.
        covered: share in which a patch covers the mouth or a place near it.
        spread: standard deviation of patches from the middle of the mouth, in half sides.
        noise: largest standard deviation of the noise, in grey levels; half of the pairs have some.
        compressed: share that is compressed with JPEG.
        quality: range of the JPEG quality.
        painted: share in which the lips are made lighter or darker, as with and without make-up;
            in the same share, independently, the skin around them is (stubble, beards).
    """

    small: float
    least_px: int
    covered: float
    spread: float
    noise: float
    compressed: float
    quality: tuple[int, int]
    painted: float = 0.0

    def spoil(
        self, x: torch.Tensor, lips: Floats, dice: np.random.Generator
    ) -> tuple[torch.Tensor, Floats]:
        """Augment a batch.

        Args:
            x: (n, 1, pixels, pixels), 0 to 255; changed in place.
            lips: (n, 43, 2) lips and chin, -1 to 1.
            dice: random numbers.

        Returns:
            The pictures, and (n, 43) 1 for visible points and 0 for covered ones.
        """
        pairs, pixels = len(x) // 2, x.shape[-1]
        for pair in np.flatnonzero(dice.random(pairs) < self.small):
            rows = slice(2 * pair, 2 * pair + 2)
            side = int(np.exp(dice.uniform(np.log(self.least_px), np.log(pixels))))
            small = functional.interpolate(x[rows], (side, side), mode="area")
            x[rows] = functional.interpolate(small, (pixels, pixels), mode="bilinear")
        visible = np.ones(lips.shape[:2], np.float32)
        for pair in np.flatnonzero(dice.random(pairs) < self.covered):
            self._cover(x, lips, visible, int(pair), dice)
        if self.painted:
            self._paint(x, lips, dice)
        x = self._light(x, dice)
        for row in np.flatnonzero(twice(dice.random(pairs)) < self.compressed):
            buffer = io.BytesIO()
            picture = Pillow.fromarray(x[row, 0].numpy().astype(np.uint8))
            picture.save(buffer, "JPEG", quality=int(dice.integers(*self.quality)))
            with Pillow.open(buffer) as read:
                x[row, 0] = torch.from_numpy(np.asarray(read, np.float32))
        return x, visible

    def _cover(
        self, x: torch.Tensor, lips: Floats, visible: Floats, pair: int, dice: np.random.Generator
    ) -> None:
        """Cover an ellipse or a rectangle of both pictures of a pair with a part of another one."""
        rows, pixels = (2 * pair, 2 * pair + 1), x.shape[-1]
        middle = lips[list(rows)].mean(axis=(0, 1)) + dice.normal(0, self.spread, 2)
        centre, radii = (middle + 1) / 2 * pixels, dice.uniform(0.08, 0.32, 2) * pixels
        angle = dice.uniform(0, np.pi)
        down, across = np.mgrid[:pixels, :pixels]
        dx, dy = across - centre[0], down - centre[1]
        u = (dx * np.cos(angle) + dy * np.sin(angle)) / radii[0]
        v = (dy * np.cos(angle) - dx * np.sin(angle)) / radii[1]
        ellipse = dice.random() < 0.6
        inside = u**2 + v**2 < 1 if ellipse else (abs(u) < 1) & (abs(v) < 1)
        patch = x[int(dice.integers(len(x))), 0] * 0.6 + dice.uniform(0, 100)
        for row in rows:
            x[row, 0] = torch.where(torch.from_numpy(inside), patch, x[row, 0])
            at = ((lips[row] + 1) / 2 * pixels).round().astype(int).clip(0, pixels - 1)
            visible[row] *= ~inside[at[:, 1], at[:, 0]]

    def _paint(self, x: torch.Tensor, lips: Floats, dice: np.random.Generator) -> None:
        """Make lips, or the skin around them, lighter or darker, the same in both pictures."""
        pairs, pixels = len(x) // 2, x.shape[-1]
        of_lips, of_skin = (dice.random(pairs) < self.painted for _ in range(2))
        for pair in np.flatnonzero(of_lips | of_skin):
            shade = np.exp(dice.normal(0, 0.2)) if of_lips[pair] else 1.0
            grain = np.zeros((pixels, pixels), np.float32)
            if of_skin[pair]:
                coarse = torch.from_numpy(dice.standard_normal((1, 1, 5, 5), np.float32))
                side = int(dice.integers(16, pixels + 1))
                fine = torch.from_numpy(dice.standard_normal((1, 1, side, side), np.float32))
                both = [
                    functional.interpolate(each, (pixels, pixels), mode="bilinear")[0, 0]
                    for each in (coarse, fine)
                ]
                depth = dice.uniform(0, 0.25, 2)
                grain = (both[0] * depth[0] + both[1] * depth[1] - depth.sum() / 2).numpy()
            for row in (2 * int(pair), 2 * int(pair) + 1):
                drawn = Pillow.new("L", (pixels, pixels))
                rings = [(lips[row, at] + 1) / 2 * pixels for at in _RINGS]
                pen = Draw(drawn)
                pen.polygon([tuple(point) for point in rings[0].tolist()], fill=255)
                inner = Pillow.new("L", (pixels, pixels))
                Draw(inner).polygon([tuple(point) for point in rings[1].tolist()], fill=255)
                outer, open_mouth = (
                    np.asarray(each.filter(GaussianBlur(1.0)), np.float32) / 255
                    for each in (drawn, inner)
                )
                change = 1 + (shade - 1) * (outer - open_mouth).clip(0, 1)
                change = change * np.exp(np.minimum(grain, 0.2) * (1 - outer))
                x[row, 0] *= torch.from_numpy(change.astype(np.float32))

    def _light(self, x: torch.Tensor, dice: np.random.Generator) -> torch.Tensor:
        """Change the gamma, add a gradient of brightness, and add noise."""
        pairs = len(x) // 2

        def column(values: Doubles) -> torch.Tensor:
            return torch.from_numpy(values.astype(np.float32))[:, None, None, None]

        x = 255 * (x / 255).clamp(0, 1) ** column(twice(np.exp(dice.normal(0, 0.25, pairs))))
        ramp = torch.linspace(-1, 1, x.shape[-1])
        across, down = (column(twice(dice.normal(0, 0.25, pairs))) for _ in range(2))
        x = x * (1 + across * ramp + down * ramp[:, None]).clamp(0.2, 2)
        level = dice.random(len(x)) * twice(dice.random(pairs) < 0.5) * self.noise
        noise = torch.from_numpy(dice.standard_normal(x.shape, np.float32))
        return (x + column(level) * noise).clamp(0, 255)


def standard(x: torch.Tensor, contrast: float) -> torch.Tensor:
    """Normalise the mean and the contrast of pictures, as the networks expect."""
    spread = x.std((2, 3), keepdim=True, correction=0) + contrast
    return (x - x.mean((2, 3), keepdim=True)) / spread


def mirrored(order: Sequence[tuple[int, int]], count: int) -> Integers:
    """Index of each point's counterpart on the other side of the face, (count,)."""
    places = np.arange(count)
    for one, other in order:
        places[one], places[other] = other, one
    return places
