"""ONNX graphs of the networks: with them, ONNX Runtime computes a network without PyTorch.

A graph holds the operations of a network of one specification and the names of its weights; their
values come from the file of weights. So a graph serves all weights of its specification.
`examples/export_graphs.py` writes the graphs, and `pretrained/graphs/index.json` lists them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avse.errors import CorruptWeightsError
from avse.models.spec import Spec
from avse.utils.processors import network_threads
from avse.utils.shipped import onnx_session, pretrained_folder, verify

Values = Mapping[str, npt.NDArray[Any]]
"""Values of weights by name."""

FOLDER, INDEX = "graphs", "index.json"


@dataclass(frozen=True)
class Graph:
    """A graph in a file.

    Attributes:
        path: the file.
        sha256: the hash that it must have.
        weights: the names of the weights that it needs.
    """

    path: Path
    sha256: str
    weights: tuple[str, ...]

    def check(self) -> None:
        """Check that the file is there and whole.

        Raises:
            CorruptWeightsError: it is not.
        """
        try:
            verify(self.path, self.sha256)
        except OSError as error:
            raise CorruptWeightsError(
                f"{self.path} cannot be read: {error.strerror}", "reinstall avse"
            ) from error

    def open(self, values: Values) -> Session:
        """Make a session.

        Args:
            values: float32, by name; more than the graph needs is fine.

        Raises:
            CorruptWeightsError: the file of the graph is missing or damaged.
        """
        self.check()
        return Session(self.path, {name: values[name] for name in self.weights})


@dataclass(frozen=True)
class Graphs:
    """The graphs of the networks of one specification.

    Attributes:
        tensors: shape of each weight, by name, and whether its values are floats.
        parts: graphs by name.
    """

    tensors: Mapping[str, tuple[tuple[int, ...], bool]]
    parts: Mapping[str, Graph]


class Session:
    """Computes a graph on the CPU.

    Args:
        path: the file of the graph.
        values: values of its weights, float32, by name.

    Attributes:
        threads: number of threads that compute.

    Raises:
        CorruptWeightsError: the file cannot be used.
    """

    def __init__(self, path: Path, values: Values) -> None:
        import onnxruntime

        self._values = {  # ONNX Runtime does not copy them
            name: onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(value))
            for name, value in values.items()
        }
        self.threads = network_threads()
        self._session = onnx_session(path, self.threads, self._values)
        self._outputs = [one.name for one in self._session.get_outputs()]

    def __call__(self, **inputs: npt.NDArray[Any]) -> Sequence[npt.NDArray[Any]]:
        """Compute all outputs.

        Args:
            inputs: float32 arrays by name.
        """
        answer: Sequence[npt.NDArray[Any]] = self._session.run(self._outputs, inputs)
        return answer


def graphs_of(kind: str, spec: Spec) -> Graphs | None:
    """Find the graphs of a specification; None if there are none.

    Args:
        kind: the network: "separation", "offscreen" or "voiceprint".
        spec: its specification.

    Raises:
        CorruptWeightsError: the list of graphs is damaged.
    """
    wanted = _for_inference(json.loads(spec.to_json()))
    index = pretrained_folder() / FOLDER / INDEX
    try:
        entries = _read(index)
        found = [e for e in entries if (e["kind"], _for_inference(e["spec"])) == (kind, wanted)]
        return _graphs(found[0], index.parent) if found else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise CorruptWeightsError(
            f"{index} is missing or damaged: {error}", "reinstall avse"
        ) from error


def _for_inference(spec: dict[str, Any]) -> dict[str, Any]:
    """The fields of a specification that inference depends on."""
    return {name: value for name, value in spec.items() if name != "dropout"}


def _graphs(entry: dict[str, Any], folder: Path) -> Graphs:
    integers = set(entry["integers"])
    return Graphs(
        {name: (tuple(shape), name not in integers) for name, shape in entry["tensors"].items()},
        {
            name: Graph(folder / part["file"], part["sha256"], tuple(part["weights"]))
            for name, part in entry["graphs"].items()
        },
    )


@lru_cache(maxsize=1)
def _read(index: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(index.read_text(encoding="utf-8"))
    return entries
