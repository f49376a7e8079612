"""Folders of made-up voices, and a test set with real faces made from the duet."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avse.evaluation.sounds import read_sound, write_sound
from avse.evaluation.testset import TestSet, open_test_set
from avse.media import copy_beginning, resample
from avse.mixtures.items import Item, ItemSource, Outputs, Picture
from avse.mixtures.manifest import NAME, Manifest, write_manifest

from ..metrics.voices import voice

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RATE_HZ = 16_000


@dataclass(frozen=True)
class Folders:
    """Where estimates, references and mixtures lie."""

    estimates: Path
    references: Path
    mixtures: Path


def fill(root: Path, count: int = 3, seconds: float = 0.8) -> Folders:
    """Two voices for each mixture; each estimate holds a little of the other."""
    folders = Folders(root / "estimates", root / "references", root / "mixtures")
    for n in range(count):
        voices = [voice(2 * n + k, seconds).astype(np.float32) for k in (0, 1)]
        write_sound(folders.mixtures / f"talk{n}.wav", voices[0] + voices[1], RATE_HZ)
        for k in (0, 1):
            name = f"talk{n}.{k + 1}.wav"
            write_sound(folders.references / name, voices[k], RATE_HZ)
            leak = np.float32(0.1 * (1 + n + k))
            write_sound(folders.estimates / name, voices[k] + leak * voices[1 - k], RATE_HZ)
    return folders


@pytest.fixture(scope="session")
def _filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("filled")
    fill(root)
    return root


@pytest.fixture
def folders(_filled: Path, tmp_path: Path) -> Folders:
    """Three mixtures of two voices; files may be changed."""
    root = tmp_path / "folders"
    shutil.copytree(_filled, root)
    return Folders(root / "estimates", root / "references", root / "mixtures")


def make_test_set(folder: Path, *names: str, video: bool = True) -> Path:
    """A test set of mixtures that are all the first two seconds of the duet.

    Args:
        folder: where to.
        names: of the mixtures; "duet" if there are none.
        video: whether there are pictures.

    Returns:
        Path of the manifest.
    """
    samples = 2 * RATE_HZ
    voices = []
    for k in (1, 2):
        sound, rate = read_sound(EXAMPLES / f"duet.{k}.flac")
        voices.append(resample(sound[None], rate, RATE_HZ)[0][:samples])
    if video:
        (folder / "videos").mkdir(parents=True)
        copy_beginning(EXAMPLES / "duet.mp4", folder / "cut.mp4", seconds=2)
    items = []
    for number, name in enumerate(names or ("duet",)):
        outputs = Outputs(
            f"mixtures/{name}.wav",
            tuple(f"references/{name}.{k}.wav" for k in (1, 2)),
            None,
            f"videos/{name}.mp4" if video else None,
        )
        for path, sound in zip(outputs.references, voices, strict=True):
            write_sound(folder / path, sound, RATE_HZ)
        write_sound(folder / outputs.mixture, voices[0] + voices[1], RATE_HZ)
        if outputs.video is not None:
            shutil.copy(folder / "cut.mp4", folder / outputs.video)
        items.append(
            Item(
                id=name,
                sources=(
                    ItemSource("a.mp4", "anna", 0.0, 0.0),
                    ItemSource("b.mp4", "ben", 0.0, 0.0),
                ),
                noise=None,
                sir_db=(0.0, 0.0),
                snr_db=None,
                sample_rate=RATE_HZ,
                samples=samples,
                seed=number,
                picture=Picture(25, 50, 360, (320, 320)) if video else None,
                outputs=outputs,
            )
        )
    manifest = folder / NAME
    write_manifest(manifest, Manifest("any", "all", 0, {}, tuple(items)))
    return manifest


@pytest.fixture(scope="session")
def test_set(tmp_path_factory: pytest.TempPathFactory) -> TestSet:
    """The duet as a test set."""
    return open_test_set(make_test_set(tmp_path_factory.mktemp("set")))


def words(path: Path, text: str) -> None:
    """Put a transcript beside a reference."""
    path.with_suffix(".txt").write_text(text, encoding="utf-8")


def as_sixteen_bit(path: Path) -> None:
    """Rewrite a WAV file as FLAC of 16 bits."""
    samples, rate = soundfile.read(path)
    soundfile.write(path.with_suffix(".flac"), samples, rate, subtype="PCM_16")
    path.unlink()
