"""A session that knows everything at once and remembers what it was asked for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avse.errors import InputError

RATE_HZ = 8000


@dataclass(frozen=True)
class FakeSound:
    start: int
    rate: int
    samples: np.ndarray


class FakeSession:
    """Two chunks, people 1 and 2; `do` holds what other methods are to do instead, by name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[tuple[Any, ...]] = []
        self.do: dict[str, Callable[..., Any]] = {}
        self.names: dict[int, str | None] = {1: None, 2: None}
        self.closed = False
        self.listeners: list[queue.SimpleQueue[Any]] = []
        self._lock = threading.Lock()

    def _ask(self, what: str, *arguments: Any) -> None:
        self.asked.append((what, *arguments))
        if what in self.do:
            self.do[what](*arguments)

    def tell(self, name: str, about: dict[str, Any]) -> None:
        with self._lock:
            for listener in self.listeners:
                listener.put((name, about))

    def state(self) -> dict[str, Any]:
        if "state" in self.do:
            self.do["state"]()
        people = [{"id": number, "name": name} for number, name in self.names.items()]
        return {"file": {"name": self.path.name, "chunks": 2}, "people": people}

    def subscribe(self) -> queue.SimpleQueue[Any]:
        listener: queue.SimpleQueue[Any] = queue.SimpleQueue()
        with self._lock:
            self.listeners.append(listener)
        return listener

    def unsubscribe(self, events: queue.SimpleQueue[Any]) -> None:
        with self._lock:
            if events in self.listeners:
                self.listeners.remove(events)

    def set_playhead(self, time_s: float, *, playing: bool, wanted: Sequence[int]) -> None:
        self._ask("playhead", time_s, playing, tuple(wanted))

    def faces(self, chunk: int) -> dict[str, Any] | None:
        return {"start": 4 * chunk, "tracks": []} if chunk < 2 else None

    def voices(self, chunk: int) -> dict[str, Any] | None:
        return {"start": 4 * chunk, "stems": {}} if chunk < 2 else None

    def sound(self, chunk: int, stem: str) -> FakeSound | None:
        count = 4 * RATE_HZ
        if chunk >= 2 or stem not in ("1", "2", "offscreen", "rest", "original"):
            return None
        ramp = np.arange(count, dtype=np.float32) / count
        return FakeSound(chunk * count, RATE_HZ, np.stack([ramp, -ramp]))

    def thumbnail(self, person: int) -> bytes | None:
        return b"\xff\xd8picture" if person in self.names else None

    def words(self) -> dict[str, list[dict[str, Any]]]:
        return {"1": [{"start": 0.5, "stop": 1.0, "text": "bin blue"}], "2": []}

    def rename(self, person: int, name: str | None) -> None:
        self._ask("rename", person, name)
        if person not in self.names:
            raise InputError(f"there is no person {person}", "reload the page")
        self.names[person] = name

    def merge(self, people: Sequence[int]) -> None:
        self._ask("merge", tuple(people))

    def remove(self, person: int) -> None:
        self._ask("remove", person)

    def add_face(self, time_s: float, box: tuple[float, float, float, float]) -> None:
        self._ask("face", time_s, box)

    def set_offset(self, ms: float | None) -> None:
        self._ask("offset", ms)

    def undo(self) -> None:
        self._ask("undo")

    def export(self, request: dict[str, Any]) -> dict[str, Any]:
        self._ask("export", request)
        return {"id": 1, "state": "waiting"}

    def cancel(self, export: int) -> None:
        self._ask("cancel", export)

    def export_file(self, export: int, name: str) -> Path | None:
        return self.path if (export, name) == (1, self.path.name) else None

    def close(self) -> None:
        self._ask("close")
        self.closed = True
        with self._lock:
            for listener in self.listeners:
                listener.put(None)


def open_recording(path: Path, settings: object = None, recogniser: object = None) -> FakeSession:
    """Opens whatever begins like an MP4."""
    if path.read_bytes()[4:8] != b"ftyp":
        raise InputError(f"{path}: is not a video", "choose another file")
    return FakeSession(path)
