"""Store the stems of a page on disk by chunk; of long recordings, those near the playhead."""

from __future__ import annotations

import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avse.media.atomic_files import writing
from avse.scene.naming import Stem, StemKey
from avse.types import FloatArray

CHUNK_S = 4
"""Length of a chunk in seconds; the last one ends with the recording."""

MOST_BYTES = 2_000_000_000
"""Maximum size of the stored stems; beyond it, chunks far from the playhead are removed."""


@dataclass(frozen=True)
class VoiceChunk:
    """The voices of a chunk.

    Attributes:
        numbers: the people's numbers.
        stems: (people + 1, channels, n) float32, off-screen speech last.
        speaking: (people, frames) probability of speech at 25 frames per second; NaN where the
            person is out of sight.
    """

    numbers: tuple[int, ...]
    stems: FloatArray
    speaking: FloatArray


@dataclass(frozen=True)
class Lane:
    """Timeline data of a stem in a chunk.

    Attributes:
        peaks: (frames,) largest absolute sample of each frame, 25 frames per second, full scale 1.
        level_db: root mean square of the chunk, in dB re full scale.
    """

    peaks: FloatArray
    level_db: float


class StemStore:
    """Stores stems as 16-bit integers with a scale per stem, and their timeline data.

    Args:
        folder: folder for the files; removed by `close`.

    Attributes:
        speaking: chunk -> number -> (frames,) probability of speech.
        lanes: chunk -> number, or `Stem.NARRATOR` for off-screen speech -> lane.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.speaking: dict[int, dict[int, FloatArray]] = {}
        self.lanes: dict[int, dict[StemKey, Lane]] = {}
        self._lock = threading.Lock()
        self._sizes: dict[int, int] = {}
        self._playhead = 0

    def put(self, chunk: int, voices: VoiceChunk, playhead: int) -> None:
        """Store a chunk, replacing its earlier state.

        Args:
            chunk: its number.
            voices: see `VoiceChunk`.
            playhead: chunk at the playhead.

        Raises:
            OutputError: the disk is full; the earlier state of the chunk stays.
        """
        keys: list[StemKey] = [*voices.numbers, Stem.NARRATOR]
        scale = np.abs(voices.stems).max(axis=(1, 2), initial=0.0)
        heard = scale > 1e-6
        whole = voices.stems[heard] / scale[heard][:, None, None]
        data = np.round(whole * 32767).astype(np.int16)
        lanes = {key: make_lane(stem) for key, stem in zip(keys, voices.stems, strict=True)}
        with self._lock:
            path = self._path(chunk)
            temporary = path.with_suffix(".part")
            try:
                with writing(path.parent), temporary.open("wb") as file:
                    np.savez(
                        file,
                        keys=np.array([str(key) for key in keys])[heard],
                        scale=scale[heard],
                        data=data,
                        length=np.array(voices.stems.shape[1:]),
                    )
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            self._sizes[chunk] = path.stat().st_size
            self.lanes[chunk] = lanes
            self.speaking[chunk] = dict(zip(voices.numbers, voices.speaking, strict=True))
            self._playhead = playhead
            self._drop()

    def stems(self, chunk: int) -> dict[StemKey, FloatArray] | None:
        """Read the stems of a chunk.

        Returns:
            Stem -> (channels, n) float32, without silent stems; None if the chunk is not stored.
        """
        with self._lock:
            try:
                with np.load(self._path(chunk), allow_pickle=False) as file:
                    scale = file["scale"].astype(np.float32) / np.float32(32767)
                    data = file["data"] * scale[:, None, None]
                    keys = [int(k) if k.isdecimal() else Stem(k) for k in file["keys"].tolist()]
                    return dict(zip(keys, data, strict=True))
            except FileNotFoundError:
                return None

    def __contains__(self, chunk: int) -> bool:
        return chunk in self._sizes

    def keep_near(self, playhead: int) -> None:
        """Set the chunk at the playhead; the chunks near it are kept."""
        self._playhead = playhead

    def close(self) -> None:
        """Remove everything."""
        with self._lock:
            shutil.rmtree(self.folder, ignore_errors=True)
            self._sizes.clear()

    def _path(self, chunk: int) -> Path:
        return self.folder / f"{int(chunk)}.npz"

    def _drop(self) -> None:
        while sum(self._sizes.values()) > MOST_BYTES and len(self._sizes) > 8:
            farthest = max(self._sizes, key=lambda chunk: abs(chunk - self._playhead))
            self._path(farthest).unlink(missing_ok=True)
            del self._sizes[farthest]


def make_lane(stem: FloatArray, frames: int = 25 * CHUNK_S) -> Lane:
    """Compute the timeline data of a stem.

    Args:
        stem: (channels, n) float32, a chunk.
        frames: number of frames of the chunk.
    """
    loud = np.abs(stem).max(axis=0, initial=0.0)
    edges = np.linspace(0, len(loud), frames + 1).astype(int)[:-1]
    peaks = np.maximum.reduceat(loud, edges) if len(loud) >= frames else np.zeros(frames)
    power = float(np.mean(np.square(stem, dtype=np.float64))) if stem.size else 0.0
    return Lane(peaks.astype(np.float32), round(10 * np.log10(power + 1e-12), 1))
