"""The script that makes the networks of the native face backend: every wheel turns once."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from avse.utils.shipped import open_onnx

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

# mediapipe 0.10.21 calls this function, which some of the protobuf versions it accepts deprecate.
pytestmark = pytest.mark.filterwarnings("ignore:SymbolDatabase.GetPrototype:UserWarning")


@pytest.fixture(autouse=True)
def _beside_the_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)


def test_labels_are_made_once_and_trained_on(
    tmp_path: Path, duet: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("mediapipe", reason="MediaPipe has no wheels here")
    import train_faces
    from face_pictures import SIDE_PX, Labels

    videos, folder = tmp_path / "videos", tmp_path / "labels"
    for corpus in ("one", "two"):
        (videos / corpus).mkdir(parents=True)
        (videos / corpus / "duet.mp4").symlink_to(duet)
    (videos / "notes.txt").write_text("no video")
    command = ["train_faces.py", "label", str(videos), str(folder), "--frames", "20"]
    monkeypatch.setattr(sys, "argv", command)
    train_faces.main()
    assert "notes.txt: left out" in capsys.readouterr().out
    train_faces.main()
    assert "duet.mp4" not in capsys.readouterr().out

    labels = Labels.read(folder)
    assert labels.pictures.shape == (40, SIDE_PX, SIDE_PX)
    assert list(np.unique(labels.corpora)) == ["one", "two"]
    assert len(labels.first) == 38  # the last picture of a video has no successor
    # The line between the lips is darker than the skin between mouth and chin.
    outer, chin = labels.points[0, :20, :2], labels.points[0, 41, :2]
    lips, skin = labels.points[0, 20:40, :2].mean(axis=0), (outer[15] + chin) / 2
    grey = [float(labels.pictures[0, round(y), round(x)]) for x, y in (lips, skin)]
    assert grey[0] < grey[1]

    rows = np.flatnonzero(labels.corpora == "two")
    for make in (train_faces.FaceTask, train_faces.MouthTask):
        task, dice = make(labels, {"one": 1.0}, pairs=4), np.random.default_rng(0)
        before = [value.clone() for value in task.network.parameters()]
        network = train_faces.train(task, 2, dice, lambda _: "")
        after = list(task.network.parameters())
        assert all((a != b).any() for a, b in zip(before, after, strict=True))
        said = train_faces.measured(task, network, rows, labels.clips[rows])
        assert "eye distances off" in said


def test_networks_take_and_give_what_the_shipped_ones_do(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="PyTorch writes ONNX with the package onnx")
    import onnxruntime
    import train_faces

    torch.manual_seed(0)
    mean = torch.randn(43, 3)
    for task, network in (
        (train_faces.FaceTask, train_faces.FaceNetwork().eval()),
        (train_faces.MouthTask, train_faces.Symmetric(train_faces.MouthNetwork(mean)).eval()),
    ):
        path = tmp_path / f"{task.name}.onnx"
        train_faces.export(task, network, path)
        made, shipped = onnxruntime.InferenceSession(path), open_onnx(task.name, 1)
        assert [(each.name, each.shape) for each in made.get_outputs()] == [
            (each.name, each.shape) for each in shipped.get_outputs()
        ]
        crops = torch.randn(3, 1, task.pixels, task.pixels)
        with torch.inference_mode():
            wanted = network(crops)
        for found, value in zip(made.run(None, {"crops": crops.numpy()}), wanted, strict=True):
            np.testing.assert_allclose(found, value.numpy(), atol=1e-4)


def test_a_mirror_image_has_the_same_points() -> None:
    """Every point has a counterpart, and that of the counterpart is the point."""
    from train_faces import LIPS_MIRRORED, MIRRORED

    for places in (LIPS_MIRRORED, MIRRORED):
        np.testing.assert_array_equal(places[places], np.arange(len(places)))


def test_lips_of_a_mirror_image_are_mirrored() -> None:
    """The shipped mouth network prefers neither side."""
    from train_faces import LIPS_MIRRORED

    crops = np.random.default_rng(0).standard_normal((2, 1, 64, 64)).astype(np.float32)
    mouth = open_onnx("avse-mouth", 1)
    lips, visible = mouth.run(None, {"crops": crops})
    mirrored, seen = mouth.run(None, {"crops": np.ascontiguousarray(crops[..., ::-1])})
    wanted = lips[:, LIPS_MIRRORED] * np.float32([-1, 1, 1])
    np.testing.assert_allclose(mirrored, wanted, atol=1e-5)
    np.testing.assert_allclose(seen, visible[:, LIPS_MIRRORED], atol=1e-4)


def test_a_warp_moves_points_with_the_picture() -> None:
    """What a warped picture shows at `inverse(p)` is what the picture shows at p."""
    from face_pictures import Warp

    dice = np.random.default_rng(0)
    warp = Warp(3, 0.05, dice)
    places = dice.uniform(-0.8, 0.8, (6, 43, 2))
    seen = warp.inverse(places)
    np.testing.assert_allclose(seen + warp.at(seen), places, atol=1e-3)
    assert np.abs(seen - places).max() > 0.01
    moved = warp.at(places[:1].repeat(6, 0))
    np.testing.assert_array_equal(moved[::2], moved[1::2])  # both pictures of a pair


def test_nothing_to_learn_from(tmp_path: Path) -> None:
    from face_pictures import Labels

    with pytest.raises(SystemExit, match="no labels"):
        Labels.read(tmp_path)
