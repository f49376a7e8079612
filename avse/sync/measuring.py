"""Measure the A/V offset of a recording window by window; memory hardly grows with its length."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass

import av
import numpy as np
import numpy.typing as npt

from avse.dsp.stft import FRAME_RATE, HOP, HOPS_PER_VIDEO_FRAME, SAMPLE_RATE, VIDEO_RATE
from avse.faces.lips import AnyLips
from avse.inference.inputs import LipComponents
from avse.inference.networks import SeparationNetwork
from avse.media import AudioReader
from avse.models.spec import reach
from avse.scene.cache import SYNC, code_digest
from avse.scene.scene import Scene
from avse.sync.agreement import hear, slide
from avse.sync.certainty import REACH, judge
from avse.sync.drift import along, find_slope
from avse.sync.result import Drift, Offset, PersonOffset, Sync, WindowOffset, set_by_hand
from avse.sync.verifying import verify
from avse.types import FloatArray
from avse.utils.progress import Progress, no_progress
from avse.utils.schema import build, load_json

Curves = npt.NDArray[np.float64]

WINDOW_S = 5.0

_FORMAT = 2
"""Version of the cached measurement: raise it when `Sync` changes."""

_MARGIN_HOPS = REACH + 60
"""Hops of sound before and after a window: the largest delay, and the voice stream's context."""


@dataclass(frozen=True)
class Evidence:
    """The evidence of each person's lips for every delay; see `avse.sync.agreement`.

    Attributes:
        numbers: the people's numbers.
        edges: (windows, 2) first video frame of each window, and the frame after its last, at 25
            frames per second from the first sample of the sound.
        curves: (people, windows, 2 · REACH + 1) evidence in nats.
    """

    numbers: tuple[int, ...]
    edges: npt.NDArray[np.int64]
    curves: Curves


def measure(scene: Scene, network: SeparationNetwork, *, progress: Progress = no_progress) -> Sync:
    """Measure the A/V offset of a recording, or read it from the cache.

    If the user has set the offset (`Scene.offset_ms`), that offset is returned and nothing is
    measured.

    Args:
        scene: the recording, with its sound, and the people in it.
        network: see `avse.inference.networks`.
        progress: see `avse.utils.progress.Progress`.

    Raises:
        MediaError: the sound cannot be read.
    """
    if scene.offset_ms is not None:
        return set_by_hand(scene.offset_ms)
    if scene.kept is None:
        return _measure(scene, network, progress)
    facts = _facts(scene, network)
    payload = scene.kept.get(SYNC, **facts)
    if payload is not None:
        with suppress(ValueError):  # a cache entry that cannot be read is replaced below
            return build(Sync, load_json(bytes(payload)), "what was measured")
    found = _measure(scene, network, progress)
    scene.kept.put(SYNC, json.dumps(asdict(found)).encode("ascii"), **facts)
    return found


def _facts(scene: Scene, network: SeparationNetwork) -> dict[str, object]:
    """Everything that the result depends on, except the content of the file."""
    lips = hashlib.sha256()
    for person in scene.people:
        lips.update(f"person {person.number}".encode())
        for one in person.lips.stretches:
            lips.update(f"{one.first} {len(one.points)}".encode())
            lips.update(np.ascontiguousarray(one.points).data)
            lips.update(np.ascontiguousarray(one.confidence).data)
    return {
        "format": _FORMAT,
        "code": code_digest("sync", "inference", "models", "media", "dsp"),
        "container": scene.info.format,
        "track": scene.track,
        "part": [str(scene.part.start), str(scene.part.stop)],
        "lips": lips.hexdigest(),
        "weights": network.digest,
        # These change the last bits of the result.
        "runtime": network.runtime,
        "packages": [av.__version__, np.__version__],
    }


def _measure(scene: Scene, network: SeparationNetwork, progress: Progress) -> Sync:
    part, total = scene.part, scene.length_s
    lips = {person.number: person.lips for person in scene.people}
    with AudioReader(
        scene.info.path,
        track=scene.track,
        rate_hz=SAMPLE_RATE,
        mono=True,
        start=part.start,
        stop=part.stop,
    ) as reader:
        sound = (block.samples[0] for block in reader)
        evidence = gather(network, lips, sound, lambda done_s: progress("sync", done_s, total))
    found = conclude(evidence)
    return verify(network, list(lips.values()), scene.sound, found)


def gather(
    network: SeparationNetwork,
    lips: Mapping[int, AnyLips],
    sound: Iterator[FloatArray],
    progress: Callable[[float], None] = lambda done_s: None,
) -> Evidence:
    """Compute the evidence of each person's lips, window by window.

    Args:
        network: see `avse.inference.networks`.
        lips: each person's lips by number; frame 0 is at the first sample of the sound.
        sound: blocks (n,) float32 of the downmix, 16 kHz.
        progress: called with the seconds done.
    """
    faces = [_Lips(network, LipComponents(network.projection, one)) for one in lips.values()]
    first = min(face.lips.first for face in faces)
    last = max(face.lips.stop for face in faces)
    edges, curves = [], []
    for begin, end, hop, heard in windows(sound, first, last):
        voice = hear(network, heard)
        voice -= voice.mean(axis=1, keepdims=True) if voice.size else 0
        edges.append((begin, end))
        curves.append([face.curve(begin, end, voice, hop) for face in faces])
        progress(max(0.0, end / VIDEO_RATE))
    shape = (len(edges), len(faces), 2 * REACH + 1)
    gain = network.gain
    found = gain * np.asarray(curves, np.float64).reshape(shape).transpose(1, 0, 2)
    return Evidence(tuple(lips), np.asarray(edges, np.int64).reshape(-1, 2), found)


def conclude(evidence: Evidence) -> Sync:
    """Estimate the offset of the whole, of each person and of each window, and the drift."""
    together = evidence.curves.sum(axis=0)
    seconds = evidence.edges / VIDEO_RATE
    middles = seconds.mean(axis=1)
    slope = find_slope(together, middles)
    middle = float((middles[0] + middles[-1]) / 2) if len(middles) else 0.0
    shifts = slope * (middles - middle) / (1000 / FRAME_RATE)
    whole = judge(along(together, shifts))
    people = tuple(
        PersonOffset(number, judge(along(curves, shifts)))
        for number, curves in zip(evidence.numbers, evidence.curves, strict=True)
    )
    over_time = tuple(
        WindowOffset(float(begin), float(end), judge(curve))
        for (begin, end), curve in zip(seconds, together, strict=True)
    )
    return Sync(whole, people, over_time, _drift(whole, slope, middle, seconds))


def _drift(whole: Offset, slope: float, middle_s: float, seconds: Curves) -> Drift | None:
    if not slope or whole.offset_ms is None:
        return None
    begin, end = (
        whole.offset_ms + slope * (at - middle_s) for at in (seconds.min(), seconds.max())
    )
    return Drift(60 * slope, float(begin), float(end), middle_s)


@dataclass(frozen=True)
class _Lips:
    """One person's lips, as input of the visual stream."""

    network: SeparationNetwork
    lips: LipComponents

    def curve(self, begin: int, end: int, voice: FloatArray, hop: int) -> Curves:
        """Evidence of the frames begin..end for every delay, not yet times the gain.

        Args:
            begin, end: video frames of the recording.
            voice: (embedding, hops) voice embeddings, with mean 0.
            hop: the hop of the recording that `voice` begins with.

        Returns:
            (2 · REACH + 1,) evidence in nats, divided by the gain of the voice stream.
        """
        low, high = max(begin, self.lips.first), min(end, self.lips.stop)
        there = self.lips.window(low, max(0, high - low))[1] > 0
        if not there.any():
            return np.zeros(2 * REACH + 1)
        lips = self._embedding(low, high)
        lips = lips - lips[:, there].mean(axis=1, keepdims=True)
        totals, _ = slide(
            lips,
            voice,
            there,
            range(-REACH, REACH + 1),
            step=HOPS_PER_VIDEO_FRAME,
            start=HOPS_PER_VIDEO_FRAME * low - hop,
        )
        return totals

    def _embedding(self, low: int, high: int) -> FloatArray:
        """Lip embeddings of the frames low..high, (embedding, high - low), computed in context."""
        spec = self.network.spec
        around = reach(spec.visual_kernels, spec.visual_dilations) + 1
        start, stop = max(self.lips.first, low - around), min(self.lips.stop, high + around)
        embedded = self.network.lip_embedding(*self.lips.window(start, stop - start))
        return embedded[:, low - start : high - start]


def windows(
    sound: Iterator[FloatArray], first: int, last: int
) -> Iterator[tuple[int, int, int, FloatArray]]:
    """Cut a recording into windows of `WINDOW_S`, each with its sound and a margin on both sides.

    Args:
        sound: blocks (n,) float32, 16 kHz.
        first, last: the video frames between which windows lie, at 25 frames per second from the
            first sample of the sound.

    Yields:
        The first video frame of a window, the frame after its last, the hop at which its sound
        begins, and (samples,) of sound. Windows without sound are left out.
    """
    step = round(WINDOW_S * VIDEO_RATE)
    held: FloatArray = np.zeros(0, np.float32)
    origin = 0  # index of held[0] in the recording
    ended = False
    for begin in range(first, last, step):
        end = min(begin + step, last)
        low = max(0, HOPS_PER_VIDEO_FRAME * begin - _MARGIN_HOPS)
        high = HOPS_PER_VIDEO_FRAME * end + _MARGIN_HOPS
        parts: list[FloatArray] = [held]
        length = origin + len(held)
        while length < high * HOP and not ended:
            block = next(sound, None)
            ended = block is None
            if block is not None:
                parts.append(block)
                length += len(block)
        held = np.concatenate(parts)
        surplus = min(len(held), max(0, low * HOP - origin))
        held, origin = held[surplus:], origin + surplus
        heard = held[: max(0, high * HOP - origin)]
        if len(heard) and high > 0:
            yield begin, end, origin // HOP, heard
