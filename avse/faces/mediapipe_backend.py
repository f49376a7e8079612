"""The face backend `mediapipe`, whose models are included in its package.

The full-range detector (BlazeFace, faces up to about 5 m away) detects faces; the attention mesh
estimates 478 points in a square around each. The mesh is run on a given region, not through
`FaceMesh`, which would detect faces again in every crop, or track them with a hidden state. So a
face takes one run of a network, and the result depends on the picture and the box only.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from avse.faces.detect import Box, Detection, FaceLandmarks, Image, backend_version
from avse.faces.mesh_points import USED, landmarks_of

_MARGIN = 1.5
"""Side of the square for the mesh, relative to the longer side of the face; as in its training."""

_MIN_SCORE = 0.5

_ENOUGH = 640
"""Longer side of the detector's input picture, in pixels."""

_WIDEST = 4
"""Pictures with a larger ratio of their sides are not divided into squares."""

_GRAPH = """
input_stream: "image"
input_stream: "roi"
input_side_packet: "with_attention"
output_stream: "landmarks"
node {
  calculator: "FaceLandmarkCpu"
  input_stream: "IMAGE:image"
  input_stream: "ROI:roi"
  input_side_packet: "WITH_ATTENTION:with_attention"
  output_stream: "LANDMARKS:landmarks"
}
"""


_PRESENCE = "facelandmarkcpu__face_presence_score"
"""A stream inside that subgraph: how sure the mesh is of the face. Landmarks flow above 0.5."""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the C++ side from writing to the terminal while it starts."""
    os.environ.setdefault("GLOG_minloglevel", "3")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class MediaPipeBackend:
    """MediaPipe's detector and mesh.

    Args:
        min_score: a detection below this is not reported.
    """

    name = "mediapipe"
    close_px: int | None = 440

    def __init__(self, min_score: float = _MIN_SCORE) -> None:
        self.version = backend_version(self.name) if min_score == _MIN_SCORE else None
        with _quiet():
            import mediapipe.python.solutions.face_mesh  # noqa: F401  registers the calculators
            from google.protobuf import text_format  # type: ignore[import-untyped, unused-ignore]
            from mediapipe.framework import calculator_pb2
            from mediapipe.framework.formats import rect_pb2
            from mediapipe.python import packet_creator, packet_getter
            from mediapipe.python._framework_bindings import calculator_graph, image_frame
            from mediapipe.python.solutions.face_detection import FaceDetection

            self._detector: Any = FaceDetection(min_score, model_selection=1)
            self._detector.process(np.zeros((64, 64, 3), np.uint8))
            config = text_format.Parse(_GRAPH, calculator_pb2.CalculatorGraphConfig())
            self._mesh: Any = calculator_graph.CalculatorGraph(graph_config=config)
            self._found: list[Any] = []
            self._presence = 0.0
            self._mesh.observe_output_stream("landmarks", lambda _, packet: self._keep(packet))
            self._mesh.observe_output_stream(_PRESENCE, lambda _, packet: self._weigh(packet))
            self._mesh.start_run({"with_attention": packet_creator.create_bool(True)})
            self._rect: Any = rect_pb2.NormalizedRect
            self._create: Any = packet_creator
            self._get: Any = packet_getter
            self._srgb: Any = image_frame.ImageFormat.SRGB
            self._time = 0
            self.landmarks(np.zeros((64, 64, 3), np.uint8), [Box(16, 16, 32, 32)])

    def _keep(self, packet: Any) -> None:
        self._found.append(packet)

    def _weigh(self, packet: Any) -> None:
        self._presence = float(self._get.get_float(packet))

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Detect the faces in each image, those with the highest score first."""
        return [self._detect(image) for image in images]

    def _detect(self, image: Image) -> list[Detection]:
        """Detect faces in the whole picture; if it is large and wide, also in squares of it."""
        whole = self._look(image)
        height, width = image.shape[:2]
        side, reach = min(height, width), max(height, width)
        if reach <= _ENOUGH or reach == side or reach > _WIDEST * side:
            return whole
        found: list[Detection] = []
        count = max(2, -(-(reach - side // 5) // (side - side // 5)))
        for k in range(count):
            start = round(k * (reach - side) / (count - 1))
            x, y = (start, 0) if width > height else (0, start)
            for face in self._look(image[y : y + side, x : x + side]):
                box = face.box
                # A face at the edge of a square is complete in the next square or in the picture.
                low, size = (box.x, box.w) if width > height else (box.y, box.h)
                cut = (k > 0 and low < 0) or (k < count - 1 and low + size > side)
                moved = replace(face, box=replace(box, x=box.x + x, y=box.y + y))
                if not cut and not any(moved.box.centred_in(other.box) for other in found):
                    found.append(moved)
        # The squares have a higher resolution, so that their boxes are more exact.
        found += [f for f in whole if not any(f.box.centred_in(other.box) for other in found)]
        return sorted(found, key=lambda detection: -detection.score)

    def _look(self, image: Image) -> list[Detection]:
        height, width = image.shape[:2]
        # The input of the network is 192 x 192 pixels; scaling in two steps is faster.
        shrink = min(1.0, _ENOUGH / max(height, width))
        if shrink < 1:
            size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
        found = []
        for item in self._detector.process(np.ascontiguousarray(image)).detections or ():
            place = item.location_data
            frame = place.relative_bounding_box
            right, left = place.relative_keypoints[0], place.relative_keypoints[1]
            roll = math.atan2((left.y - right.y) * height, (left.x - right.x) * width)
            box = Box(
                frame.xmin * width, frame.ymin * height, frame.width * width, frame.height * height,
                roll,
            )  # fmt: skip
            found.append(Detection(box, float(item.score[0])))
        return sorted(found, key=lambda detection: -detection.score)

    def landmarks(self, image: Image, boxes: Sequence[Box]) -> list[FaceLandmarks | None]:
        """Estimate the landmarks of the face in each box; None if there is no face."""
        height, width = image.shape[:2]
        faces: list[FaceLandmarks | None] = []
        if not boxes:
            return faces
        picture = self._create.create_image_frame(
            image_format=self._srgb, data=np.ascontiguousarray(image)
        )
        for box in boxes:
            side = _MARGIN * max(box.w, box.h)
            x, y = box.centre
            region = self._rect(
                x_center=x / width, y_center=y / height, width=side / width, height=side / height,
                rotation=box.roll,
            )  # fmt: skip
            self._found.clear()
            self._time += 1
            self._mesh.add_packet_to_input_stream("image", picture.at(self._time))
            self._mesh.add_packet_to_input_stream(
                "roi", self._create.create_proto(region).at(self._time)
            )
            self._mesh.wait_until_idle()
            if not self._found:
                faces.append(None)
                continue
            marks = self._get.get_proto(self._found[-1]).landmark
            mesh = np.array([(m.x * width, m.y * height, m.z * width) for m in marks], np.float32)
            faces.append(
                landmarks_of(mesh[list(USED)], (height, width), self._presence, bounds=mesh[:, :2])
            )
        return faces
