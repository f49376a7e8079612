"""Measure the cost of face detection and tracking, and the loss from detecting less often.

    python benchmarks/faces_speed.py talk.mp4 [more.mp4 ...] [--side 360] [--backend native]

Prints for each file the milliseconds per frame of the detector, the landmarks and the cut detector
alone; then, with detection in every 1st, 2nd, 5th, 10th and 25th frame, the milliseconds per frame
of face detection and tracking together, the people found, the share of frames in which each has a
box, and the differences of lips and boxes from those with detection in every frame.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from avse.faces.cuts import CutDetector
from avse.faces.detect import open_backend
from avse.faces.face_settings import FaceSettings
from avse.faces.people import People
from avse.faces.track import find_people
from avse.media.frames import Frame, read_frames

T = TypeVar("T")


def milliseconds(work: Callable[[T], object], items: Sequence[T]) -> float:
    start = time.perf_counter()
    for item in items:
        work(item)
    return (time.perf_counter() - start) * 1e3 / max(1, len(items))


def cut_cost(frames: Sequence[Frame]) -> float:
    cutter = CutDetector()
    return milliseconds(lambda frame: cutter.is_cut(frame.picture, frame.time), frames)


def compare(people: People, reference: People) -> tuple[float, float]:
    """Median distance of lip points in eye distances, and mean overlap loss of boxes."""
    lips, boxes = [], []
    for one, other in itertools.zip_longest(people, reference):
        if one is None or other is None:
            continue
        first = other.lips.first
        same = one.lips.window(first, len(other.lips.points))
        both = same.seen & other.lips.seen
        lips.append(np.linalg.norm(same.points - other.lips.points, axis=2)[both].mean())
        _, i, j = np.intersect1d(one.times, other.times, return_indices=True)
        size = other.boxes[j, 2]
        boxes.append((np.abs(one.boxes[i] - other.boxes[j]).mean(axis=1) / size).mean())
    return float(np.mean(lips or [np.nan])), float(np.mean(boxes or [np.nan]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--side", type=int, default=None, help="longest side of the frames")
    parser.add_argument("--frames", type=int, default=250)
    parser.add_argument("--backend", default="native")
    chosen = parser.parse_args()
    backend = open_backend(chosen.backend)
    for path in chosen.files:
        frames = list(itertools.islice(read_frames(path, max_side=chosen.side), chosen.frames))
        images = [frame.image for frame in frames]
        height, width = images[0].shape[:2]
        some = images[:60]
        found = [[face.box for face in backend.detect([image])[0]] for image in some]
        faces = sum(map(len, found)) / len(some)
        detect = milliseconds(lambda image: backend.detect([image]), some)
        pairs = list(zip(some, found, strict=True))
        marks = milliseconds(lambda pair: backend.landmarks(*pair), pairs)
        cut = cut_cost(frames[:60])
        print(f"{path}  {width}x{height}  {len(frames)} frames, {faces:.1f} faces in each")
        print(f"  detect {detect:.1f}  landmarks {marks:.1f}  cuts {cut:.2f}  ms/frame")
        reference = None
        for every in (1, 2, 5, 10, 25):
            start = time.perf_counter()
            people = find_people(frames, backend, FaceSettings(detect_every=every))
            took = (time.perf_counter() - start) * 1e3 / len(frames)
            reference = reference or people
            lips, boxes = compare(people, reference)
            share = [f"{len(p.times) / len(frames):.3f}/{p.lips.seen.sum()}" for p in people]
            print(
                f"  every {every:2d}: {took:5.1f} ms/frame  {len(people)} people  "
                f"boxes/lip frames {' '.join(share)}  lips off {lips:.4f}  boxes off {boxes:.4f}"
            )


if __name__ == "__main__":
    main()
