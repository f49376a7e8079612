"""Folders of made-up voices, and a test set with real faces made from the duet."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from avse.evaluate.sounds import read_sound, write_sound
from avse.evaluate.testset import TestSet, open_test_set
from avse.media import resample
from avse.mixtures.items import Item, Outputs, Picture, Source
from avse.mixtures.manifest import NAME, Manifest, write_manifest

from ..cli.recordings import cut
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


def make_test_set(folder: Path, *, video: bool = True) -> Path:
    """The first two seconds of the duet as a test set; the path of its manifest."""
    voices = []
    for k in (1, 2):
        sound, rate = read_sound(EXAMPLES / f"duet.{k}.flac")
        voices.append(resample(sound[None], rate, RATE_HZ)[0])
    samples = 2 * RATE_HZ
    references = []
    for k, sound in enumerate(voices, 1):
        references.append(f"references/duet.{k}.wav")
        write_sound(folder / references[-1], sound[:samples], RATE_HZ)
    mixture = voices[0][:samples] + voices[1][:samples]
    write_sound(folder / "mixtures/duet.wav", mixture, RATE_HZ)
    if video:
        (folder / "videos").mkdir()
        cut(EXAMPLES / "duet.mp4", folder / "videos/duet.mp4", seconds=2)
    item = Item(
        id="duet",
        sources=(Source("a.mp4", "anna", 0.0, 0.0), Source("b.mp4", "ben", 0.0, 0.0)),
        noise=None,
        sir_db=(0.0, 0.0),
        snr_db=None,
        sample_rate=RATE_HZ,
        samples=samples,
        seed=0,
        picture=Picture(25, 50, 360, (320, 320)) if video else None,
        outputs=Outputs(
            "mixtures/duet.wav", tuple(references), None, "videos/duet.mp4" if video else None
        ),
    )
    manifest = folder / NAME
    write_manifest(manifest, Manifest("any", "all", 0, {}, (item,)))
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
