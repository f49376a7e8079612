"""Clips of the two people of the shipped example, and clips that something is wrong with."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from avse.media import AudioReader, read_frames
from tests.mixtures.made_clips import write_clip, write_wav

RATE = 16_000
SECONDS = 1.2


@pytest.fixture(scope="session")
def halves(duet: Path) -> dict[str, tuple[list[np.ndarray], np.ndarray]]:
    """Pictures at 25 Hz and sound of the left person, the right one, and both."""
    with AudioReader(duet, rate_hz=RATE, mono=True) as reader:
        sound = np.concatenate([block.samples[0] for block in reader])
    frames = [frame.image for frame in read_frames(duet, max_side=640)]
    middle = frames[0].shape[1] // 2 // 2 * 2
    return {
        "left": ([image[:, :middle] for image in frames], sound),
        "right": ([image[:, middle : 2 * middle] for image in frames], sound),
        "both": (frames, sound),
    }


def write_part(
    path: Path,
    half: tuple[list[np.ndarray], np.ndarray],
    begin: float = 0.0,
    seconds: float = SECONDS,
    gain: float = 1.0,
    late: int = 0,
) -> Path:
    """Write a stretch of a person; the sound may be amplified, and late by some frames."""
    images, sound = half
    first = round(begin * 25)
    shown = images[first : first + round(seconds * 25)]
    shown = [image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2] for image in shown]
    start = max(0, (first - late) * 640)
    heard = np.clip(gain * sound[start : start + len(shown) * 640], -1, 1).astype(np.float32)
    size = (shown[0].shape[1], shown[0].shape[0])
    return write_clip(path, 0, images=shown, sound=heard, rate=RATE, size=size, fps=Fraction(25))


@pytest.fixture(scope="session")
def people(halves, tmp_path_factory: pytest.TempPathFactory) -> Path:  # type: ignore[no-untyped-def]
    """Two clips of either person, in a folder for each."""
    root = tmp_path_factory.mktemp("clips") / "people"
    for name, half in (("anna", "left"), ("ben", "right")):
        for n in range(2):
            write_part(root / name / f"{n}.mkv", halves[half], begin=2.0 * n)
    return root


@pytest.fixture(scope="session")
def trouble(halves, tmp_path_factory: pytest.TempPathFactory) -> Path:  # type: ignore[no-untyped-def]
    """One good clip, and one for each reason to drop a clip; named after it."""
    root = tmp_path_factory.mktemp("trouble") / "trouble"
    write_part(root / "good.mkv", halves["left"])
    write_part(root / "too short.mkv", halves["left"], seconds=0.7)
    write_part(root / "silence.mkv", halves["left"], gain=0.0)
    write_part(root / "clipped.mkv", halves["left"], gain=100.0)
    write_part(root / "several faces.mkv", halves["both"])
    write_clip(root / "no face.mkv", 1, frames=30)
    write_wav(root / "no picture.wav", np.full(RATE, 0.1, np.float32)).rename(
        root / "no picture.mkv"
    )
    (root / "unreadable.mp4").write_text("no video\n" * 30, encoding="utf-8")
    images, sound = halves["left"]
    grey = [np.full_like(image, 90) for image in images[:36]]
    shown = [*images[:20], *grey]
    shown = [image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2] for image in shown]
    size = (shown[0].shape[1], shown[0].shape[0])
    write_clip(
        root / "lips out of sight.mkv",
        0,
        images=shown,
        sound=sound[: 56 * 640],
        rate=RATE,
        size=size,
    )
    return root


@pytest.fixture(scope="session")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sound alone: eight people with two files each, one file that is not sound."""
    root = tmp_path_factory.mktemp("sound") / "voices"
    rng = np.random.default_rng(3)
    for person in range(8):
        for n in range(2):
            sound = 0.1 * rng.standard_normal(RATE + 100 * person + n)
            write_wav(root / f"p{person}" / f"{n}.wav", sound.astype(np.float32))
    return root
