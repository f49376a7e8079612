from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from .made_clips import grid_folder, hum, write_clip, write_wav


@pytest.fixture(scope="session")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of GRID, as far as its layout goes; talker 21 has sound alone."""
    root = tmp_path_factory.mktemp("grid")
    grid_folder(root, range(1, 21))
    grid_folder(root, range(22, 35))
    write_wav(root / "s21" / "bbaf2n.wav", hum(0.4, 16_000, 21))
    (root / "s1" / "._bbaf2n.mpg").write_bytes(b"left by another system")
    (root / "alignments.txt").write_text("not media", encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def grid_sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GRID as its sound is handed out: audio_25k/s1/bbaf2n.wav."""
    root = tmp_path_factory.mktemp("grid-sound")
    grid_folder(root / "audio_25k", range(1, 35), ending=".wav")
    return root


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five people in a folder each, with clips of different kinds."""
    root = tmp_path_factory.mktemp("people")
    write_clip(root / "anna" / "1.mkv", 1, frames=20)
    write_clip(root / "ben" / "b 1.mkv", 2, frames=24, fps=Fraction(30), size=(64, 48), rate=48_000)
    write_clip(root / "böhm" / "x" / "1.mp4", 3, frames=15, fps=Fraction(30000, 1001), rate=16_000)
    write_clip(
        root / "dora" / "late.mkv",
        4,
        frames=25,
        video_start=Fraction(1, 2),
        sound_start=Fraction(1, 4),
    )
    write_clip(root / "emil" / "1.mpg", 5, frames=12, size=(32, 48))
    return root


@pytest.fixture(scope="session")
def noises(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One noise that is shorter than any clip, one that is longer and begins with silence."""
    root = tmp_path_factory.mktemp("noises")
    rng = np.random.default_rng(9)
    write_wav(root / "short.wav", (0.1 * rng.standard_normal(1_600)).astype(np.float32))
    long = (0.3 * rng.standard_normal(32_000)).astype(np.float32)
    long[:8_000] = 0
    write_wav(root / "rooms" / "long.wav", long)
    return root
