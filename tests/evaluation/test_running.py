"""A test set of one video, through the whole pipeline and through the network alone."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from avse.errors import InputError
from avse.evaluation.evaluation import Request, judge_test_set
from avse.evaluation.report import make_examples, render
from avse.evaluation.results import as_json
from avse.evaluation.scoring import ScoringPlan
from avse.evaluation.sounds import read_sound
from avse.evaluation.testset import TestSet, network_item, open_test_set
from avse.evaluation.worse_videos import write_worse
from avse.faces.detect import open_backend
from avse.media import probe, read_frames
from avse.models.network import AVSENet
from avse.models.weights import save
from avse.scene.scene import no_progress
from avse.settings import Settings
from avse.utils.fingerprint import sha256

from .conftest import make_test_set

PLAN = ScoringPlan(("si-sdr", "si-sdri", "wrong-speaker"), ceilings=False)

# mediapipe 0.10.21 calls this function, which some of the protobuf versions it accepts deprecate.
pytestmark = pytest.mark.filterwarnings("ignore:SymbolDatabase.GetPrototype:UserWarning")


@pytest.fixture
def settings(network: AVSENet, tmp_path: Path) -> Settings:
    """With weights of a tiny network that has learnt nothing."""
    save(network, tmp_path / "tiny.safetensors")
    return Settings(model=str(tmp_path / "tiny.safetensors"), device="cpu", gate=False)


@pytest.mark.parametrize("network_only", [False, True])
def test_a_test_set_is_separated_and_scored(
    test_set: TestSet, settings: Settings, tmp_path: Path, network_only: bool
) -> None:
    request = Request(PLAN, curves=("missing",) if network_only else ())
    judged = judge_test_set(
        test_set, request, settings, tmp_path / "out", no_progress, network_only=network_only
    )
    results = judged.results
    assert results["mode"] == ("network" if network_only else "pipeline")
    assert results["model"]["sha256"] == sha256(Path(settings.model))
    assert results["manifest"]["sha256"] == test_set.manifest.sha256
    assert [item["name"] for item in results["items"]] == ["duet.1", "duet.2"]
    assert results["counts"]["failed"] == 0
    for item, voice in zip(results["items"], judged.mixtures[0].voices, strict=True):
        assert item["scores"]["estimate"]["si-sdr"] is not None
        assert voice.estimate is not None
        assert read_sound(voice.estimate)[0].size == test_set.manifest.items[0].samples
    as_json(results)
    page = render(results, make_examples(results, judged.mixtures))
    assert results["model"]["sha256"] in page
    if network_only:
        assert len(results["curves"]["missing"]["points"]) == 6
        assert "Lips missing" in page


def test_lips_of_each_part_of_the_picture(test_set: TestSet, settings: Settings) -> None:
    item = network_item(test_set, test_set.manifest.items[0], open_backend(settings.faces))
    assert item.speakers == ("anna", "ben")
    for lips in item.lips:
        assert lips.first in (0, 1)
        assert lips.seen.mean() > 0.9
    assert np.abs(item.mixture - np.sum(item.references, axis=0)).max() < 1e-6


def test_sets_that_cannot_be_used(tmp_path: Path, settings: Settings) -> None:
    silent = open_test_set(make_test_set(tmp_path / "sound", video=False))
    with pytest.raises(InputError, match="no picture"):
        silent.video(silent.manifest.items[0])
    manifest = make_test_set(tmp_path / "set")
    assert open_test_set(tmp_path / "set").path == manifest
    shutil.rmtree(tmp_path / "set" / "references")
    with pytest.raises(InputError, match=r"references/duet\.1\.wav is the first missing one"):
        open_test_set(manifest)


def test_worse_videos(test_set: TestSet, tmp_path: Path) -> None:
    source = test_set.video(test_set.manifest.items[0])
    write_worse(source, tmp_path / "small.mp4", height=90, fps=None)
    write_worse(source, tmp_path / "slow.mp4", height=None, fps=Fraction(25, 2))
    small, slow = probe(tmp_path / "small.mp4"), probe(tmp_path / "slow.mp4")
    assert small.video is not None
    assert slow.video is not None
    assert (small.video.width, small.video.height) == (160, 90)
    assert (slow.video.width, slow.video.height) == (640, 360)
    last = max(float(frame.time) for frame in read_frames(source))
    for name, step in (("small", 0.04), ("slow", 0.08)):
        times = [float(frame.time) for frame in read_frames(tmp_path / f"{name}.mp4")]
        expected = [step * n for n in range(int(last / step + 1e-3) + 1)]
        assert times == pytest.approx(expected, abs=1e-4)
    for info in (small, slow):
        assert info.audio[0].start == 0
    np.testing.assert_array_equal(read_sound(tmp_path / "slow.mp4")[0], read_sound(source)[0])
