"""Train the two networks of the face backend `native`: avse-face.onnx and avse-mouth.onnx.

    pip install "avse[mediapipe]" onnx          # the teacher has no wheels past Python 3.12
    python examples/train_faces.py label VIDEOS LABELS
    python examples/train_faces.py train LABELS OUT --held-out CORPUS --share lrw=5 grid=1

`label` tracks the largest face of each video with MediaPipe's attention mesh, and stores a grey
picture and 87 points of the mesh for each frame. Each folder in VIDEOS is a corpus; videos directly
in VIDEOS are another corpus. `train` trains both networks on these pictures and writes them to OUT;
held-out corpora are used for evaluation only. `avse/faces/native_backend.py` describes the inputs
and outputs of the networks, and `face_pictures.py` the augmentation.

The shipped networks were trained this way on 52,000 pairs of frames of 65 people, in 28 and 40
minutes of one CPU core; see pretrained/MODEL_CARD.md. To use other networks, put them into
`pretrained/` and their SHA-256 into its index.json. The licence of the videos also applies to the
networks that are trained on them.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from face_pictures import (
    SIDE,
    SIDE_PX,
    Doubles,
    Floats,
    Integers,
    Labels,
    Picker,
    Variation,
    Warp,
    cut_out,
    label,
    mirrored,
    not_a_face,
    seen_from,
    standard,
    turned,
    twice,
)
from torch import Tensor, nn
from torch.nn import functional

from avse.faces.lips import CHIN, INNER, OUTER, POINTS
from avse.faces.mesh_points import RIGID, USED
from avse.faces.native_backend import (
    CONTRAST,
    FACE_PX,
    MARGIN,
    MOUTH_DOWN,
    MOUTH_PX,
    MOUTH_SIDE,
)

UPPER = [ring + k for ring in (0, OUTER) for k in range(1, 10)]
LOWER = [ring + 20 - k for ring in (0, OUTER) for k in range(1, 10)]
"""Points of the upper lip, and the opposite points of the lower lip."""

EYES = USED.index(33), USED.index(263)
RIGID_ROWS = [USED.index(index) for index in RIGID]

_RINGS = [(ring + k, ring + (10 - k) % 20) for ring in (0, OUTER) for k in range(20)]
_CHIN = [(OUTER + INNER, OUTER + INNER + CHIN - 1)]
_SIDES = (
    *((33, 263), (133, 362), (98, 327), (127, 356), (48, 278), (129, 358), (64, 294), (109, 338)),
    *((67, 297), (54, 284), (21, 251), (234, 454), (93, 323), (116, 345), (117, 346), (111, 340)),
)
LIPS_MIRRORED = mirrored([*_RINGS, *_CHIN], POINTS)
MIRRORED = mirrored(
    [*_RINGS, *_CHIN, *((USED.index(a), USED.index(b)) for a, b in _SIDES)], len(USED)
)
"""Index of each point's counterpart in a mirrored picture."""

DEPTH = torch.tensor([1.0, 1.0, 0.5])
"""Weights of errors in x, y and depth."""


# -- the networks ----------------------------------------------------------------------------------


def convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution with batch normalisation and ReLU."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())


class Residual(nn.Module):
    """A residual block of two convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a = convolution(channels, channels)
        last = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.b = nn.Sequential(last, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, h, w) to the same shape."""
        return torch.relu(x + self.b(self.a(x)))


def body(channels: tuple[int, ...], last: int) -> nn.Sequential:
    """Layers from grey pictures to features; each strided convolution halves the sides."""
    layers: list[nn.Module] = [convolution(1, channels[0], 5, 2)]
    for inputs, outputs in itertools.pairwise(channels):
        layers += [convolution(inputs, outputs, 3, 2), Residual(outputs)]
    layers += [nn.Conv2d(channels[-1], last, 1), nn.BatchNorm2d(last), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*layers)


class FaceNetwork(nn.Module):
    """Estimates the points of a face, which lip points are visible, and whether there is a face."""

    def __init__(self) -> None:
        super().__init__()
        self.body = body((16, 24, 48, 128), 64)
        cells = (FACE_PX // 16) ** 2
        self.hidden = nn.Sequential(nn.Linear(64 * cells, 256), nn.ReLU(), nn.Dropout(0.1))
        self.out = nn.Linear(256, len(USED) * 3 + POINTS + 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map pictures to points and logits.

        Args:
            x: (n, 1, 112, 112).

        Returns:
            Points (n, 87, 3), in half sides of the picture, from its centre; logits (n, 43) of
            visible lip points; and logits (n,) of a face.
        """
        y = self.out(self.hidden(self.body(x))).float()
        points, lips = y[:, : len(USED) * 3], y[:, len(USED) * 3 : -1]
        return points.reshape(-1, len(USED), 3), lips, y[:, -1]


class MouthNetwork(nn.Module):
    """Estimates lips and chin in coordinates of the head, and which of their points are visible.

    Args:
        mean: (43, 3) the mean of all mouths, to which the network adds a small difference.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, mean: Tensor) -> None:
        super().__init__()
        self.body = body((16, 32, 64), 32)
        cells = (MOUTH_PX // 8) ** 2
        self.hidden = nn.Sequential(nn.Linear(32 * cells, 192), nn.ReLU(), nn.Dropout(0.1))
        self.out = nn.Linear(192, POINTS * 3 + POINTS)
        self.register_buffer("mean", mean)
        self.register_buffer("spread", torch.full((1,), 0.04))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map (n, 1, 64, 64) to points, (n, 43, 3) in eye distances, and logits, (n, 43)."""
        features = self.body(x)
        # The mantissa of bfloat16 (8 bits) is too short for the motion of lips.
        with torch.autocast(x.device.type, enabled=False):
            y = self.out(self.hidden(features.float()))
        points = self.mean + self.spread * y[:, : POINTS * 3].reshape(-1, POINTS, 3)
        return points, y[:, POINTS * 3 :]


class Symmetric(nn.Module):
    """A `MouthNetwork` that averages over a picture and its mirror image, which reduces noise."""

    places: Tensor
    signs: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("places", torch.from_numpy(LIPS_MIRRORED))
        self.register_buffer("signs", torch.tensor([-1.0, 1.0, 1.0]))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As `MouthNetwork.forward`."""
        points, visible = self.network(torch.cat([x, x.flip(-1)]))
        points = points.reshape(2, -1, POINTS, 3)
        visible = visible.reshape(2, -1, POINTS)
        mirrored = points[1, :, self.places] * self.signs
        return (points[0] + mirrored) / 2, (visible[0] + visible[1, :, self.places]) / 2


# -- the tasks -------------------------------------------------------------------------------------


def motion(error: Tensor) -> Tensor:
    """Absolute change of the error from the first picture of each pair to the second."""
    return (error[1::2] - error[::2]).abs()


class FaceTask:
    """Training and evaluation of the face network.

    Args:
        labels: for training and evaluation.
        shares: see `Picker`.
        pairs: number of pairs in a batch.
    """

    name, rate, pixels = "avse-face", 2e-3, FACE_PX
    outputs = ("points", "visible", "presence")
    no_face = 0.06
    variation = Variation(0.45, 22, 0.2, 0.25, 10.0, 0.3, (12, 60))

    def __init__(self, labels: Labels, shares: dict[str, float], pairs: int = 48) -> None:
        self.network = FaceNetwork()
        self._labels, self._pairs = labels, pairs
        self._pick = Picker(labels, shares, motion=False)
        self._weight = torch.ones(len(USED))
        self._weight[:POINTS] = 3
        self._weight[RIGID_ROWS] += 1

    def _draw(self, dice: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Sample pictures, points in half sides, visible lip points, and whether it is a face."""
        rows, n = self._pick(self._pairs, dice), self._pairs
        pictures, points = self._labels.pictures[rows], self._labels.points[rows].copy()
        flip = twice(dice.random(n) < 0.5) > 0
        pictures = np.where(flip[:, None, None], pictures[:, :, ::-1], pictures)
        points[flip, :, 0] = SIDE_PX - points[flip, :, 0]
        points[flip] = points[flip][:, MIRRORED]
        # The second terms simulate the jitter of a tracked box.
        angle = twice(dice.normal(0, 0.16, n).clip(-0.5, 0.5)) + dice.normal(0, 0.01, 2 * n)
        size = twice(dice.uniform(-0.17, 0.17, n)) + dice.normal(0, 0.006, 2 * n)
        shift = twice(dice.normal(0, 0.05, (n, 2))) + dice.normal(0, 0.006, (2 * n, 2))
        narrow, shear = twice(np.exp(dice.normal(0, 0.06, n))), twice(dice.normal(0, 0.04, n))
        half = MARGIN / SIDE * np.exp(size) * SIDE_PX / 2
        bend = turned(angle)
        bend[:, 0, 0] *= narrow
        bend[:, 1, 1] /= narrow
        bend[:, 0, 1] += shear
        matrix = half[:, None, None] * bend
        centre = SIDE_PX / 2 + 2 * shift * half[:, None]
        x = cut_out(pictures, seen_from(matrix, centre), FACE_PX)
        flat = np.einsum("nij,npj->npi", np.linalg.inv(matrix), points[..., :2] - centre[:, None])
        points = np.concatenate([flat, points[..., 2:] / half[:, None, None]], -1)
        face = twice(dice.random(n) >= self.no_face)
        for pair in np.flatnonzero(face[::2] == 0):
            x[2 * int(pair)] = x[2 * int(pair) + 1] = not_a_face(
                x[int(dice.integers(2 * n)), 0], dice
            )
        lips = points[:, :POINTS, :2].astype(np.float32)
        x, visible = self.variation.spoil(x, lips, dice)
        visible *= (np.abs(lips) < 1.02).all(-1)
        tensors = (torch.from_numpy(a.astype(np.float32)) for a in (points, visible, face))
        return (standard(x, CONTRAST), *tensors)  # type: ignore[return-value]

    def loss(self, dice: np.random.Generator) -> Tensor:
        """Loss of a batch: points, their motion, opening of the lips, place of lips on the head."""
        x, wanted, visible, face = self._draw(dice)
        points, seen, presence = self.network(x)
        eyes = (wanted[:, EYES[0]] - wanted[:, EYES[1]]).norm(dim=-1)[:, None, None]
        cover = torch.ones(len(x), len(USED), 1)
        cover[:, :POINTS, 0] = 0.3 + 0.7 * visible
        error, on = (points - wanted) / eyes, DEPTH * cover * face[:, None, None]
        weight = self._weight[:, None]
        near = functional.smooth_l1_loss(
            error, torch.zeros_like(error), beta=0.02, reduction="none"
        )
        opening = (error[:, LOWER] - error[:, UPPER]).abs() * on[:, LOWER]
        placed = error[:, :POINTS] - error[:, RIGID_ROWS].mean(1, keepdim=True)
        distances = (
            (near * weight * on).mean()
            + (motion(error) * weight * on[::2]).mean()
            + opening.mean()
            + (placed.abs() * on[:, :POINTS]).mean()
        )
        hidden = functional.binary_cross_entropy_with_logits(seen, visible, reduction="none")
        there = functional.binary_cross_entropy_with_logits(presence, face)
        loss: Tensor = 10 * distances + 0.3 * (there + (hidden * face[:, None]).mean())
        return loss

    def finished(self, network: nn.Module) -> nn.Module:
        """The network to ship."""
        return network

    def lips(self, network: nn.Module, rows: Integers) -> tuple[Floats, Floats]:
        """Estimated and true lips of labelled pictures, (n, 43, 3), in eye distances."""
        half = MARGIN / SIDE * SIDE_PX / 2
        affine = np.tile([[half, 0, SIDE_PX / 2], [0, half, SIDE_PX / 2]], (len(rows), 1, 1))
        x = cut_out(self._labels.pictures[rows], affine, FACE_PX)
        found = network(standard(x, CONTRAST))[0].numpy()
        true = (self._labels.points[rows] - [SIDE_PX / 2, SIDE_PX / 2, 0]) / half
        eyes = np.linalg.norm(true[:, EYES[0]] - true[:, EYES[1]], axis=-1)[:, None, None]
        return found[:, :POINTS] / eyes, (true[:, :POINTS] / eyes).astype(np.float32)


class MouthTask:
    """Training and evaluation of the mouth network; arguments as in `FaceTask`."""

    name, rate, pixels = "avse-mouth", 9e-4, MOUTH_PX
    outputs = ("lips", "visible")
    variation = Variation(0.2, 14, 0.15, 0.5, 8.0, 0.25, (15, 70), painted=0.3)
    warped = 0.05

    def __init__(self, labels: Labels, shares: dict[str, float], pairs: int = 64) -> None:
        mean = labels.lips[labels.good & np.isin(labels.corpora, list(shares))].mean(axis=0)
        self.network = MouthNetwork(torch.from_numpy(mean))
        self._labels, self._pairs = labels, pairs
        self._pick = Picker(labels, shares, motion=True)

    def _draw(self, dice: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Sample pictures, lips in coordinates of the head, and visible lip points."""
        rows, n = self._pick(self._pairs, dice), self._pairs
        pictures = self._labels.pictures[rows]
        lips, places = self._labels.lips[rows].copy(), self._labels.places[rows].copy()
        flip = twice(dice.random(n) < 0.5) > 0
        pictures = np.where(flip[:, None, None], pictures[:, :, ::-1], pictures)
        lips[flip, :, 0] *= -1
        lips[flip] = lips[flip][:, LIPS_MIRRORED]
        places[flip, 0] = SIDE_PX - places[flip, 0]
        places[flip, 3] *= -1
        stretch = twice(np.exp(dice.normal(0, 0.07, (n, 2))))  # wider or taller mouths
        lips[..., :2] *= stretch[:, None]
        # The second terms simulate errors of the head pose from the face network.
        shift = twice(dice.normal(0, 0.03, (n, 2))) + dice.normal(0, 0.012, (2 * n, 2))
        size = np.exp(twice(dice.normal(0, 0.05, n)) + dice.normal(0, 0.012, 2 * n))
        lean = twice(dice.normal(0, 0.05, n)) + dice.normal(0, 0.012, 2 * n)
        places[:, 3] += lean
        affine = mouth_square(places, shift, size)
        affine[:, :, :2] /= stretch[:, None]
        warp = Warp(n, self.warped, dice)
        x = cut_out(pictures, affine, MOUTH_PX, warp)
        points: Doubles = self._labels.points[rows, :POINTS, :2].astype(np.float64)
        points[flip, :, 0] = SIDE_PX - points[flip, :, 0]
        points[flip] = points[flip][:, LIPS_MIRRORED]
        whole, middle = affine[:, :, :2], affine[:, None, :, 2]
        straight = np.matmul(points - middle, np.linalg.inv(whole).transpose(0, 2, 1))
        seen = warp.inverse(straight)
        # What moves across the picture moves further across a head that is turned.
        per_unit = np.stack([1 / np.cos(places[:, 4]).clip(0.5), np.ones(2 * n)], -1)
        lips[..., :2] += (seen - straight) * (MOUTH_SIDE / 2 * size[:, None] * per_unit)[:, None]
        x, visible = self.variation.spoil(x, seen.astype(np.float32), dice)
        return standard(x, CONTRAST), torch.from_numpy(lips), torch.from_numpy(visible)

    def loss(self, dice: np.random.Generator) -> Tensor:
        """Loss of a batch: points, their motion, opening of the lips, shape of the mouth."""
        x, wanted, visible = self._draw(dice)
        lips, seen = self.network(x)
        error = (lips - wanted) * (0.3 + 0.7 * visible)[..., None] * DEPTH
        distances = (
            error.abs().mean()
            + motion(error).mean()
            + (error[:, LOWER] - error[:, UPPER]).abs().mean()
            + (error - error.mean(1, keepdim=True)).abs().mean()
        )
        hidden = functional.binary_cross_entropy_with_logits(seen, visible)
        loss: Tensor = 20 * distances + 0.1 * hidden
        return loss

    def finished(self, network: nn.Module) -> nn.Module:
        """The network to ship."""
        return Symmetric(network)

    def lips(self, network: nn.Module, rows: Integers) -> tuple[Floats, Floats]:
        """Estimated and true lips of labelled pictures, (n, 43, 3), in eye distances."""
        still = np.zeros((len(rows), 2)), np.ones(len(rows))
        affine = mouth_square(self._labels.places[rows], *still)
        x = cut_out(self._labels.pictures[rows], affine, MOUTH_PX)
        return network(standard(x, CONTRAST))[0].numpy(), self._labels.lips[rows]


def mouth_square(places: Floats, shift: Doubles, size: Doubles) -> Doubles:
    """Compute the affine maps of squares around mouths, (n, 2, 3); see `cut_out`.

    Args:
        places: (n, 6) as in `Labels`.
        shift: (n, 2) shift of the square, in eye distances.
        size: (n,) size of the square relative to the usual one.
    """
    turn, scale = turned(places[:, 3].astype(np.float64)), places[:, 2].astype(np.float64)
    down = np.array([0, MOUTH_DOWN]) + shift
    centre = places[:, :2] + np.einsum("nij,nj->ni", turn, down) * scale[:, None]
    return seen_from(turn * (MOUTH_SIDE / 2 * scale * size)[:, None, None], centre)


# -- training --------------------------------------------------------------------------------------


def train(
    task: FaceTask | MouthTask,
    steps: int,
    dice: np.random.Generator,
    report: Callable[[nn.Module], str],
    *,
    bfloat16: bool = False,
) -> nn.Module:
    """Train a network, and return its moving average over the last few hundred steps.

    Args:
        task: the network, its data and its loss.
        steps: number of steps; the learning rate decreases as a cosine.
        dice: random numbers for batches.
        report: evaluates the average; called ten times.
        bfloat16: compute layers in bfloat16, which is faster if the CPU supports it.
    """
    whole: Any = task.network  # older PyTorch's types know no memory format here
    network: nn.Module = whole.to(memory_format=torch.channels_last)
    average = torch.optim.swa_utils.AveragedModel(network, avg_fn=_blended, use_buffers=True)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=1e-3)
    began = time.monotonic()
    for step in range(steps):
        falling = (1 + math.cos(math.pi * step / steps)) / 2
        for group in optimiser.param_groups:
            group["lr"] = task.rate * min(1, (step + 1) / 100) * falling
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = task.loss(dice)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        average.update_parameters(network)
        if (step + 1) % max(1, steps // 10) == 0:
            said = report(task.finished(average.module.eval()))
            took = time.monotonic() - began
            print(f"{step + 1} steps, {took:.0f} s, loss {loss.item():.3f}{said}", flush=True)
    return task.finished(average.module.eval()).eval()


def _blended(average: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
    """Update a moving average, whose window grows with the number of steps."""
    if not average.is_floating_point():
        return new
    return average.lerp(new, 1 - min(0.998, (1 + int(count)) / (10 + int(count))))


@torch.inference_mode()
def measured(
    task: FaceTask | MouthTask, network: nn.Module, rows: Integers, clips: Integers
) -> str:
    """Evaluate lips: distance from the teacher's, and correlation of their opening within clips."""
    parts = [task.lips(network, rows[k : k + 250]) for k in range(0, len(rows), 250)]
    found, true = (np.concatenate(each) for each in zip(*parts, strict=True))
    error = np.linalg.norm(found[..., :2] - true[..., :2], axis=-1).mean()
    opening = [(lips[:, LOWER, 1] - lips[:, UPPER, 1]).mean(axis=1) for lips in (found, true)]
    alike = [
        np.corrcoef(*(each[clips == clip] for each in opening))[0, 1]
        for clip in np.unique(clips)
        if (clips == clip).sum() > 15
    ]
    return f"lips {error:.4f} eye distances off, opening {np.mean(alike or [np.nan]):.3f}"


def export(task: type[FaceTask] | type[MouthTask], network: nn.Module, path: Path) -> None:
    """Write a network as ONNX, for any number of faces at once."""
    names = ["crops", *task.outputs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter is deprecated
        torch.onnx.export(
            network,
            (torch.zeros(2, 1, task.pixels, task.pixels),),
            str(path),
            input_names=names[:1],
            output_names=names[1:],
            dynamic_axes={name: {0: "faces"} for name in names},
            dynamo=False,
        )


def teach(options: argparse.Namespace) -> None:
    """Train both networks, evaluate them on held-out corpora, and write them."""
    labels = Labels.read(options.labels)
    corpora = {str(name) for name in np.unique(labels.corpora)}
    unknown = {*options.held_out, *options.share} - corpora
    if unknown:
        raise SystemExit(f"no such corpus: {', '.join(sorted(unknown))}; there are {corpora}")
    shares = {name: options.share.get(name, 1.0) for name in sorted(corpora - {*options.held_out})}
    options.out.mkdir(parents=True, exist_ok=True)
    dice = np.random.default_rng(options.seed)
    torch.manual_seed(options.seed)
    for make, steps in ((FaceTask, options.face_steps), (MouthTask, options.mouth_steps)):
        task = make(labels, shares)

        def report(network: nn.Module, task: FaceTask | MouthTask = task) -> str:
            said = ""
            for name in options.held_out:
                rows = np.flatnonzero(labels.good & (labels.corpora == name))[: options.judged]
                if len(rows):
                    said += f"\n    {name}: {measured(task, network, rows, labels.clips[rows])}"
            return said

        print(task.name, flush=True)
        network = train(task, steps, dice, report, bfloat16=options.bfloat16)
        export(make, network, options.out / f"{task.name}.onnx")


def _share(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    return name, float(value)


def main() -> None:
    """Read the options, and label or train."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    labelling = verbs.add_parser("label", help="pictures and points of the faces in videos")
    labelling.add_argument("videos", type=Path, help="a folder, with a folder for each corpus")
    labelling.add_argument("labels", type=Path, help="folder to write to; existing labels are kept")
    labelling.add_argument("--frames", type=int, default=250, help="of each video at most")
    labelling.set_defaults(run=lambda given: label(given.videos, given.labels, given.frames))
    training = verbs.add_parser("train", help="networks from labels")
    training.add_argument("labels", type=Path)
    training.add_argument("out", type=Path, help="folder for the two files")
    training.add_argument("--held-out", nargs="+", default=[], metavar="CORPUS")
    training.add_argument(
        *("--share", "-s"), type=_share, nargs="+", default=[], metavar="CORPUS=SHARE",
        help="how often a corpus is drawn, 1 if it is not named",
    )  # fmt: skip
    training.add_argument("--face-steps", type=int, default=6500)
    training.add_argument("--mouth-steps", type=int, default=16_000)
    training.add_argument("--judged", type=int, default=2500, help="pictures of a corpus")
    training.add_argument("--bfloat16", action="store_true", help="for CPUs that have it")
    training.add_argument("--seed", type=int, default=0)
    training.set_defaults(run=teach)
    given = parser.parse_args()
    given.share = dict(getattr(given, "share", []))
    given.run(given)


if __name__ == "__main__":
    main()
