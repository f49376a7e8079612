"""Measure the smallest face that the face detector finds, and its false detections.

    python benchmarks/faces_found.py [--people FOLDER] [--widths 16 24 32 48 64] [--pictures MORE]

Makes galleries of 25 faces of one width, at 1280 x 720, from one picture of each person: from the
videos and pictures in FOLDER, or from the two portraits that come with scikit-image and matplotlib,
tinted and mirrored. Each gallery is a still picture of three seconds, in which faces are detected
as in a decoded recording. Prints the share of faces that are detected, the share that count as a
person because their lips are visible for long enough, and the number of people where there is no
face.

Then detects faces in pictures without faces: those of scikit-image at three sizes, upright and
upside down, and those in MORE. Needs avse[examples]; --faces compares backends.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from PIL import Image as Pillow

from avse.errors import MediaError
from avse.faces.detect import FaceBackend, Image, open_backend
from avse.faces.face_settings import FaceSettings
from avse.faces.scaling import fit_inside, resize
from avse.faces.track import FaceTracker
from avse.faces.tracked_people import is_somebody
from avse.media.frames import Frame, read_frames
from avse.media.orientation import UPRIGHT
from avse.media.pictures import DecodedPicture, Scaler

WIDTH, HEIGHT, ACROSS = 1280, 720, 5
TILE = (HEIGHT // ACROSS, WIDTH // ACROSS)
NO_FACES = (
    *("brick", "grass", "gravel", "coffee", "rocket", "page", "text", "coins", "moon", "horse"),
    *("hubble_deep_field", "immunohistochemistry", "retina", "cell", "chelsea"),
)
"""Pictures of scikit-image. The coins show heads of a few pixels; Chelsea is a cat."""

SIDES = (480, 960, 1920)
_AT_S = 1
TIMES = [Fraction(k, 4) for k in range(13)]
"""Times of the frames of a still picture, in seconds."""

Face = tuple[Image, float, tuple[float, float]]
"""A picture, and the width and the centre of the face in it, in pixels."""


def pictures(folder: Path) -> Iterator[Image]:
    """Read one picture of each file; of a video, that after a second."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            yield next(read_frames(path, start=Fraction(_AT_S), max_side=1280)).image
        except (MediaError, StopIteration):
            continue


def faces_in(images: Iterator[Image], judge: FaceBackend) -> list[Face]:
    """Detect the largest face of each picture, at full size."""
    found = []
    for image in images:
        boxes = [face.box for face in judge.detect([image])[0]]
        if boxes:
            box = max(boxes, key=lambda box: box.w)
            found.append((image, box.w, box.centre))
    return found


def portraits() -> Iterator[Image]:
    """Make 26 portraits from two, by tinting and mirroring them."""
    import matplotlib.cbook
    import skimage.data

    hopper_file = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    with Pillow.open(str(hopper_file)) as hopper:
        two = [skimage.data.astronaut(), np.asarray(hopper.convert("RGB"))]
    dice = np.random.default_rng(0)
    for index in range(26):
        image = two[index % 2][:, :: -1 if index % 4 > 1 else 1]
        yield (image * dice.uniform(0.5, 1, 3)).astype(np.uint8)


def tile(face: Face, width: int) -> Image:
    """Scale a picture, so that its face has a given width, and centre the face on a grey tile."""
    image, wide, (x, y) = face
    scale = width / wide
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = resize(image, *size)
    out = np.full((*TILE, 3), 60, np.uint8)
    left, top = round(TILE[1] / 2 - x * scale), round(TILE[0] / 2 - y * scale)
    rows = slice(max(0, top), min(TILE[0], top + size[1]))
    columns = slice(max(0, left), min(TILE[1], left + size[0]))
    out[rows, columns] = small[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]
    return out


def look(backend: FaceBackend, image: Image) -> list[tuple[float, float, bool]]:
    """Detect faces in a still picture: (x, y) of each centre, and whether it counts as a person."""
    tracker, settings = FaceTracker(backend), FaceSettings()
    picture, height, width = VideoFrame.from_ndarray(image, "rgb24"), *image.shape[:2]
    decoded = DecodedPicture(picture.reformat(format="yuv420p"), UPRIGHT, (width, height), Scaler())
    for time in TIMES:
        tracker.step(Frame(time, decoded))
    return [(*track.box.centre, is_somebody(track, settings)) for track in tracker.so_far()]


def recall(
    backend: FaceBackend, faces: list[Face], width: int, galleries: int
) -> tuple[int, int, int, int]:
    """Count the faces shown, those detected, those that count as people, and false people."""
    dice = np.random.default_rng(width)
    shown = seen = people = other = 0
    for _ in range(galleries):
        chosen = dice.choice(len(faces), ACROSS**2, replace=len(faces) < ACROSS**2)
        tiles = [tile(faces[index], width) for index in chosen]
        rows = [np.hstack(tiles[k : k + ACROSS]) for k in range(0, ACROSS**2, ACROSS)]
        found = look(backend, np.vstack(rows))
        shown += ACROSS**2
        for index in range(ACROSS**2):
            y, x = index // ACROSS * TILE[0] + TILE[0] / 2, index % ACROSS * TILE[1] + TILE[1] / 2
            here = [one for one in found if max(abs(one[0] - x), abs(one[1] - y)) < 0.6 * width]
            seen += bool(here)
            people += any(one[2] for one in here)
            found = [one for one in found if one not in here]
        other += sum(one[2] for one in found)
    return shown, seen, people, other


def without_faces(more: Path | None) -> Iterator[tuple[str, Image]]:
    """Yield names and pictures without faces."""
    import skimage.data

    for name in NO_FACES:
        image = np.asarray(getattr(skimage.data, name)())
        if image.dtype == bool:
            image = 255 * image.astype(np.uint8)
        image = np.stack([image] * 3, axis=-1) if image.ndim == 2 else image[..., :3]
        for side in SIDES:
            scale = side / max(image.shape)
            size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
            sized = resize(np.asarray(image, np.uint8), *size)
            yield name, sized
            yield name, np.ascontiguousarray(sized[::-1])
    for image in () if more is None else pictures(more):
        yield "more", fit_inside(image, SIDES[-1])


def main() -> None:
    """Print the recall for each width, then the false people for each picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--people", type=Path, help="videos or pictures, each of another person")
    parser.add_argument("--widths", type=int, nargs="+", default=[16, 24, 32, 48, 64])
    parser.add_argument("--galleries", type=int, default=8)
    parser.add_argument("--pictures", type=Path, help="more pictures without faces")
    parser.add_argument("--faces", nargs="+", default=["native"], help="face backends")
    chosen = parser.parse_args()
    images = portraits() if chosen.people is None else pictures(chosen.people)
    faces = faces_in(images, open_backend())
    print(f"{len(faces)} faces")
    for name in chosen.faces:
        backend = open_backend(name)
        for width in chosen.widths:
            shown, seen, people, other = recall(backend, faces, width, chosen.galleries)
            print(
                f"{name}: {width} px: {seen / shown:.1%} of {shown} detected, "
                f"{people / shown:.1%} people, {other} false people",
                flush=True,
            )
        alarms: dict[str, int] = {}
        count = 0
        for picture, image in without_faces(chosen.pictures):
            count += 1
            people = sum(one[2] for one in look(backend, image))
            alarms[picture] = alarms.get(picture, 0) + people
        told = ", ".join(f"{picture} {number}" for picture, number in alarms.items() if number)
        total = sum(alarms.values())
        print(f"{name}: {total} false people in {count} pictures without faces: {told or '-'}")


if __name__ == "__main__":
    main()
