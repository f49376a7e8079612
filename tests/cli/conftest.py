"""A tiny network, one look at the duet shared by all tests, and two ways to run the program."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import avse.scene.scene
import avse.separation.separator
from avse.cli import main
from avse.media import copy_beginning, probe
from avse.models.network import AVSENet
from avse.models.spec import AVSESpec
from avse.models.weights import save
from avse.scene.scene import Scene
from avse.settings import Settings

from .recordings import record

DUET = Path(__file__).resolve().parents[2] / "examples" / "duet.mp4"


@dataclass
class Ran:
    """What a run of the program left."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        return self.err.splitlines()


Run = Callable[..., Ran]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run in an empty folder, without the settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("AVSE_")]:
        if name != "AVSE_CACHE":  # the test's own
            monkeypatch.delenv(name)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Runs the program in this process: run("separate", path)."""

    def go(*arguments: object) -> Ran:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    return go


@pytest.fixture
def program() -> Run:
    """Runs the program as a user does."""

    def go(*arguments: object, **more: Any) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "avse", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **more,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return go


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a tiny network that has learnt nothing."""
    torch.manual_seed(1)
    spec = AVSESpec(
        visual_channels=16,
        visual_kernels=(3, 3),
        visual_dilations=(1, 2),
        fine_channels=16,
        coarse_channels=16,
        encoder_blocks=1,
        audio_dilations=(1,),
        fusion_dilations=(1,),
        mask_blocks=1,
        phase_channels=16,
        phase_blocks=1,
    )
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save(AVSENet(spec).eval(), path)
    return path


@pytest.fixture(scope="session")
def seen(short: Path) -> Scene:
    """One look at the beginning of the duet."""
    return avse.scene.scene.look(short, Settings(cache=False))


@pytest.fixture
def duet(seen: Scene, short: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy of the beginning of the duet; whoever looks at it sees the people at once."""

    def look(path: Path, settings: Settings, *, progress: Any = None, **more: Any) -> Scene:
        if progress is not None:
            progress("faces", 1.0, 1.5)
        return dataclasses.replace(seen, info=probe(path), kept=None)

    monkeypatch.setattr(avse.scene.scene, "look", look)
    monkeypatch.setattr(avse.separation.separator, "look", look)
    copy = tmp_path / "duet.mp4"
    shutil.copy(short, copy)
    return copy


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Recordings that something is wrong with, by what that is."""
    folder = tmp_path_factory.mktemp("recordings")
    made = {
        name: folder / f"{name}.mp4"
        for name in ("missing", "folder", "empty", "text", "truncated", "silent", "faceless")
    }
    made["folder"].mkdir()
    made["empty"].touch()
    made["text"].write_text("this is not a video\n" * 20, encoding="utf-8")
    copy_beginning(
        DUET, made["truncated"], seconds=2
    )  # PyAV writes the index last, where it is lost first
    made["truncated"].write_bytes(made["truncated"].read_bytes()[:60000])
    record(made["silent"], sound=False)
    record(made["faceless"])
    made["pictureless"] = folder / "pictureless.wav"
    record(made["pictureless"], picture=False)
    return made


@pytest.fixture(scope="session")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first second and a half of the duet, for runs that have to look for themselves."""
    path = tmp_path_factory.mktemp("short") / "short.mp4"
    copy_beginning(DUET, path, seconds=1.5)
    return path
