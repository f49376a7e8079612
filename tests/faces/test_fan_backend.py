from __future__ import annotations

import builtins
import sys
import types
from urllib.error import URLError

import numpy as np
import pytest

from avse.errors import MissingExtraError, MissingWeightsError, UsageError
from avse.faces import fan_backend, lips
from avse.faces.detect import Box, open_backend
from avse.faces.fan_backend import RIGID_68, FaceAlignmentBackend, face_from_68

PICTURE = (240, 320)


def sixty_eight() -> np.ndarray:
    """A face looking ahead in FAN's points: z towards the camera, 60 pixels between the eyes."""
    points = np.zeros((68, 3))
    points[list(RIGID_68)] = lips._TEMPLATE
    angles = np.linspace(np.pi, -np.pi, 12, endpoint=False)
    points[48:60, 0], points[48:60, 1] = 0.25 * np.cos(angles), 0.45 - 0.12 * np.sin(angles)
    angles = np.linspace(np.pi, -np.pi, 8, endpoint=False)
    points[60:68, 0], points[60:68, 1] = 0.18 * np.cos(angles), 0.45 - 0.05 * np.sin(angles)
    points[7:10] = [(-0.2, 0.9, 0.4), (0, 0.95, 0.4), (0.2, 0.9, 0.4)]
    points[:, 2] *= -1
    return (points * 60 + np.array([160, 110, 0])).astype(np.float32)


class SFDDetector:
    def __init__(self):
        self.batches = []

    def detect_from_image(self, image):
        assert image.shape == (*PICTURE, 3)
        return [np.array([100, 50, 200, 190, 0.97])]

    def detect_from_batch(self, tensor):
        self.batches.append(tuple(tensor.shape))
        self.first_pixel = tensor[0, :, 0, 0].tolist()
        return [[np.array([10, 10, 20, 25, 0.6]), [100, 50, 200, 190, 0.9]], []]


class Package:
    def __init__(self):
        self.face_detector = SFDDetector()

    def get_landmarks_from_image(self, image, detected_faces, return_landmark_score):
        assert return_landmark_score
        self.boxes = [list(face[:4]) for face in detected_faces]
        self.first_pixel = image[0, 0].tolist()
        count = len(detected_faces)
        scores = [np.full(68, 0.8, np.float32), np.full(68, 0.05, np.float32)]
        return [sixty_eight()] * count, scores[:count], None


def picture() -> np.ndarray:
    image = np.zeros((*PICTURE, 3), np.uint8)
    image[0, 0] = (200, 100, 50)
    return image


def test_points_become_lips():
    face = face_from_68(sixty_eight(), np.ones(68, np.float32), PICTURE)
    assert face.head.scale == pytest.approx(60, rel=1e-3)
    assert face.head.yaw == pytest.approx(0, abs=1e-3)
    fixed = face.head.fix(face.lips)
    assert fixed.shape == (lips.POINTS, 3)
    assert np.allclose(fixed[0, :2], (-0.25, 0.45), atol=1e-3)
    assert np.allclose(fixed[10, :2], (0.25, 0.45), atol=1e-2)
    assert np.allclose(fixed[20, :2], (-0.18, 0.45), atol=1e-3)
    assert fixed[5, 1] < 0.45 < fixed[15, 1]
    assert np.allclose(fixed[41], (0, 0.95, 0.4), atol=1e-3)
    assert face.confidence.min() == 1


def test_colours_go_in_as_they_are_and_boxes_as_corners():
    package = Package()
    backend = FaceAlignmentBackend(package=package)
    sure, unsure = backend.landmarks(picture(), [Box(100, 50, 100, 140), Box(0, 0, 9, 9)])
    assert package.first_pixel == [200, 100, 50]
    assert package.boxes[0] == [100, 50, 200, 190]
    assert sure.presence == pytest.approx(0.8)
    assert sure.confidence.max() == pytest.approx(0.8)
    assert unsure is None
    assert backend.landmarks(picture(), []) == []


def test_one_or_many_pictures():
    package = Package()
    backend = FaceAlignmentBackend(package=package)
    assert backend.name == "face-alignment:sfd"
    ((found,),) = backend.detect([picture()])
    assert found.box == Box(100, 50, 100, 140)
    assert found.score == pytest.approx(0.97)
    first, second = backend.detect([picture(), picture()])
    assert package.face_detector.batches == [(2, 3, *PICTURE)]
    assert package.face_detector.first_pixel == [200, 100, 50]
    assert [face.score for face in first] == [0.9, 0.6]
    assert second == []
    assert backend.detect([]) == []


def test_unknown_names():
    with pytest.raises(UsageError) as caught:
        open_backend("face-alignment:nosuch")
    assert "face-alignment:sfd" in caught.value.hint
    with pytest.raises(UsageError):
        open_backend("nosuch")


def test_package_missing(monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("face_alignment"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "face_alignment", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError) as caught:
        open_backend("face-alignment")
    assert caught.value.hint == 'pip install "avse[face-alignment]"'
    assert caught.value.exit_code == 3


def test_weights_missing_says_what_to_put_where(monkeypatch, tmp_path, capfd):
    def offline(*_, **__):
        print("Downloading ...", file=sys.stderr)
        raise URLError("no route to host")

    package = types.ModuleType("face_alignment")
    package.FaceAlignment = offline
    package.LandmarksType = types.SimpleNamespace(THREE_D=3)
    monkeypatch.setitem(sys.modules, "face_alignment", package)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(MissingWeightsError) as caught:
        open_backend("face-alignment:sfd")
    assert caught.value.exit_code == 3
    for path, url in fan_backend.weight_files("sfd").items():
        assert path.parent == tmp_path / "hub" / "checkpoints"
        assert f"{url} as {path}" in caught.value.hint
    assert capfd.readouterr() == ("", "")
