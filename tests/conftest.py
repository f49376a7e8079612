"""What several folders of tests share."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from avse.models.network import AVSENet
from avse.models.spec import AVSESpec

os.environ["AVSE_CACHE"] = tempfile.mkdtemp(prefix="avse-tests-")  # of fixtures of modules
atexit.register(shutil.rmtree, os.environ["AVSE_CACHE"], ignore_errors=True)

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

TINY = AVSESpec(
    visual_channels=12,
    visual_kernels=(3, 3),
    visual_dilations=(1, 2),
    lip_components=4,
    fine_channels=16,
    coarse_channels=20,
    encoder_blocks=1,
    audio_dilations=(1, 2),
    embedding=6,
    voice_channels=8,
    voice_bands=12,
    condition_channels=10,
    fusion_dilations=(1, 2),
    mask_blocks=1,
    phase_channels=8,
    phase_blocks=1,
)


def randomise(network: AVSENet, seed: int = 0) -> AVSENet:
    """Give every weight and running statistic a value, heads that start at zero included."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith("running_var") or name.endswith("scale"):
                value.copy_(0.5 + torch.rand(value.shape, generator=generator))
            elif value.is_floating_point() and "mel" not in name:
                value.add_(0.1 * torch.randn(value.shape, generator=generator))
    return network.eval()


@pytest.fixture(autouse=True)
def _ordinary_priority() -> Iterator[None]:
    """Run at an ordinary priority again.

    SVT-AV1, which makes videos of some tests, puts the whole process before all others if root runs
    it, and browsers that later tests start would inherit that.
    """
    yield
    if hasattr(os, "sched_setscheduler") and os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@pytest.fixture(autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, which is empty: the user's is neither read nor written."""
    folder = tmp_path_factory.mktemp("cache") / "avse"
    monkeypatch.setenv("AVSE_CACHE", str(folder))
    monkeypatch.delenv("AVSE_CACHE_GB", raising=False)
    return folder


@pytest.fixture
def network() -> AVSENet:
    """A tiny network of random weights."""
    torch.manual_seed(0)
    return randomise(AVSENet(TINY))


@pytest.fixture(scope="session")
def duet() -> Path:
    """The shipped example: two people, 6.4 s."""
    path = EXAMPLES / "duet.mp4"
    assert path.is_file(), "examples/duet.mp4 belongs to the project"
    return path
