"""Buzzes with lips that open when they are loud, as packs and in memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from avse.data.clips import SAMPLES_PER_FRAME, AudioClip, MemoryClips, Sounds, TalkingClip
from avse.dsp.stft import SAMPLE_RATE
from avse.training.mixing import MixSettings

SHORT = MixSettings(seconds=0.8, noise_probability=1.0, room_probability=0.5)


class MemorySounds(Sounds):
    def __init__(self, sounds: Sequence[tuple[str, np.ndarray]]) -> None:
        self.sounds = [sound for _, sound in sounds]
        self.clips = [AudioClip("corpus", who, n, len(x)) for n, (who, x) in enumerate(sounds)]

    def audio(self, clip: AudioClip) -> np.ndarray:
        return self.sounds[clip.offset]


def buzz(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """A buzz that comes and goes: something with pitch and pauses."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = rng.uniform(90, 250)
    tone = sum(np.sin(2 * np.pi * k * pitch * time) / k for k in range(1, 12))
    wave = np.clip(np.sin(2 * np.pi * rng.uniform(1, 3) * time), 0, 1)
    return np.asarray(0.2 * tone * wave, np.float32)


def lips_of(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(frames, 43, 3) that follow loudness."""
    frames = len(sound) // SAMPLES_PER_FRAME
    loud = np.abs(sound[: frames * SAMPLES_PER_FRAME]).reshape(frames, -1).mean(axis=1)
    shape = np.random.default_rng(5).standard_normal((43, 3))
    lips = loud[:, None, None] * shape + 0.002 * rng.standard_normal((frames, 43, 3))
    return (lips - np.median(lips, axis=0)).astype(np.float32)


@pytest.fixture(scope="session")
def sounds() -> MemorySounds:
    rng = np.random.default_rng(0)
    return MemorySounds([(f"person{n // 2}", buzz(rng, rng.uniform(0.3, 2))) for n in range(40)])


@pytest.fixture(scope="session")
def clips() -> MemoryClips:
    rng = np.random.default_rng(1)
    out = []
    for n in range(12):
        x = buzz(rng, 1.2)
        lips = lips_of(x, rng)
        seen = np.ones(len(lips), np.float32)
        out.append(TalkingClip("corpus", str(n), f"p{n // 2}", x, lips, seen))
    return MemoryClips(out)


def write_pack(folder: Path, *, pictures: bool = True, people: int = 4, seed: int = 2) -> Path:
    """A pack as `avse prepare` makes them: two clips a person, the last person in valid."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    tensors, rows = {}, []
    for n in range(2 * people):
        x = buzz(rng, 1.2)
        lips = lips_of(x, rng)
        name = f"{folder.name}/clip{n}"
        tensors[f"{name}/sound"] = (32767 * np.clip(x, -1, 1)).astype(np.int16)
        if pictures:
            tensors[f"{name}/lips"] = lips.astype(np.float16)
            tensors[f"{name}/seen"] = np.ones(len(lips), np.uint8)
        rows.append(
            {
                "id": name,
                "corpus": folder.name,
                "person": f"p{n // 2}",
                "split": "valid" if n // 2 >= people - 2 and people > 2 else "train",
                "recording": None,
                "shard": "shard-00000.safetensors",
                "frames": len(lips),
                "samples": len(x),
                "delay_frames": 2 if n == 0 else 0,
                "delay_confidence": 0.95,
                "flags": {"seconds": 1.2, **({"seen": 1.0} if pictures else {})},
            }
        )
    save_file(tensors, folder / "shard-00000.safetensors")
    (folder / "clips.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


RECIPE = """
workers = 0

[data]
clips = ["clips"]
speech = ["speech"]
noise = ["noise"]

[network]
visual_channels = 12
visual_kernels = [3, 3]
visual_dilations = [1, 2]
lip_components = 4
fine_channels = 32
coarse_channels = 32
encoder_blocks = 1
audio_dilations = [1, 2]
embedding = 6
voice_channels = 8
voice_bands = 12
condition_channels = 10
fusion_dilations = [1, 2]
mask_blocks = 1
phase_channels = 8
phase_blocks = 1

[[stage]]
kind = "lips"
steps = 3
talkers = 3
validate_every = 3
mix.seconds = 0.8

[[stage]]
kind = "joint"
steps = 4
optimiser = "muon"
faces = 2
speech = 2
log_every = 1
save_every = 2
validate_every = 2
validate_mixtures = 4
mix = { seconds = 0.8 }
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe of two short stages, with its packs beside it."""
    home = tmp_path / "recipe"
    write_pack(home / "clips", seed=2)
    write_pack(home / "speech", pictures=False, seed=3)
    write_pack(home / "noise", pictures=False, people=1, seed=4)
    path = home / "recipe.toml"
    path.write_text(RECIPE)
    return path
