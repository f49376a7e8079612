"""Mask estimation: run the network over a recording, window by window.

The network takes a mono 16 kHz downmix and gives masks on a grid of 10 ms and 25 Hz. Masks,
not sounds, are crossfaded between windows; `avse.inference.mask_applier` applies them to the
recording. A person who has been off-screen for a while gets no mask: without lip input the
network leaks a little of every speaker into that mask, at the expense of the other masks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from avse.dsp.overlap_add import OverlapAdder, StreamingSTFT, WindowPlan, crossfade
from avse.dsp.stft import BINS, HOP, HOPS_PER_VIDEO_FRAME, VIDEO_RATE, WINDOW
from avse.faces.lips import AnyLips
from avse.inference.activity_features import COUNT, find_cues
from avse.inference.inputs import LipComponents
from avse.inference.networks import GPUMemoryError, SeparationNetwork
from avse.inference.offscreen import (
    OffscreenFeatures,
    OffscreenNetworks,
    Traces,
    offscreen_features,
)
from avse.models.presence import REACH, presence
from avse.types import ComplexArray, FloatArray


@dataclass(frozen=True)
class MaskBlock:
    """Masks of consecutive frames.

    Attributes:
        first: index of the first frame, 100 per second from the start of the track; a multiple
            of 4.
        masks: (people, bins, frames) complex64, of all people in the picture.
        cues: (people, cues, video frames), voice activity features of the video frames that begin
            in this block; see `avse.inference.activity_features`.
        traces: shares and voiceprints of off-screen speech; None if they were not computed.
    """

    first: int
    masks: ComplexArray
    cues: FloatArray
    traces: Traces | None = None


@dataclass(frozen=True)
class Window:
    """Outputs of the networks for one window.

    Attributes:
        masks: (people, bins, frames).
        cues: (people, cues, video frames).
        offscreen: features of off-screen speech; None if they were not computed.
    """

    masks: ComplexArray
    cues: FloatArray
    offscreen: OffscreenFeatures | None

    def followed_by(self, late: Window) -> Window:
        """Join two blocks."""
        offscreen = None
        if self.offscreen is not None and late.offscreen is not None:
            offscreen = self.offscreen.followed_by(late.offscreen)
        return Window(
            np.concatenate([self.masks, late.masks], axis=-1),
            np.concatenate([self.cues, late.cues], axis=-1),
            offscreen,
        )


class Adders:
    """Crossfades windows and returns what is final.

    Args:
        begin: video frame of the first window.
    """

    def __init__(self, begin: int = 0) -> None:
        hops = HOPS_PER_VIDEO_FRAME * begin
        self.masks, self.cues = OverlapAdder(hops), OverlapAdder(begin)
        self.shares, self.prints = OverlapAdder(hops), OverlapAdder(begin)

    def add(self, first: int, window: Window, step: int) -> None:
        """Add a window that begins at video frame `first`; the next begins `step` frames later."""
        hops = HOPS_PER_VIDEO_FRAME
        masks = np.stack([window.masks.real, window.masks.imag], axis=1)
        _add(self.masks, hops * first, masks, hops * step)
        _add(self.cues, first, window.cues, step)
        if window.offscreen is not None:
            _add(self.shares, hops * first, window.offscreen.shares, hops * step)
            _add(self.prints, first, window.offscreen.prints, step)

    def ready(self, until: int) -> Iterator[MaskBlock]:
        """Yield the final block that ends at mask frame `until`; nothing if there is none."""
        first, video = self.masks.done, -(-until // HOPS_PER_VIDEO_FRAME)
        taken, cues = self.masks.take(until), self.cues.take(video)
        shares, prints = self.shares.take(until), self.prints.take(video)
        if taken is not None and cues is not None:
            masks = np.asarray(taken[:, 0] + 1j * taken[:, 1], np.complex64)
            traces = None if shares is None or prints is None else Traces(shares, prints)
            yield MaskBlock(first, masks, cues, traces)


def _add(adder: OverlapAdder, start: int, chunk: FloatArray, step: int) -> None:
    """Add the part of a window that was not returned yet."""
    fade = crossfade(chunk.shape[-1], min(step, chunk.shape[-1]))
    begin = max(0, adder.done - start)
    adder.add(start + begin, chunk[..., begin:], fade[begin:])


class MaskEstimator:
    """Runs the network over a recording in windows.

    Args:
        network: see `avse.inference.networks`.
        lips: lips of all people in the picture, on the grid whose frame 0 is the first sample of
            the sound.
        window_s: length of a window in seconds.
        overlap: share of a window that overlaps with the next one.
        offscreen: networks for off-screen speech, or None.

    Attributes:
        plan: positions of the windows, in video frames.
        voices: (people, size) voiceprints, 0 for unknown voices; None if no voice is known. See
            `avse.inference.enrolment`.
        follows: whether to separate off-screen people whose voices are known.
        halved: number of windows that did not fit in the memory of the GPU and were halved.
    """

    def __init__(
        self,
        network: SeparationNetwork,
        lips: Sequence[AnyLips],
        *,
        window_s: float,
        overlap: float,
        offscreen: OffscreenNetworks | None = None,
    ) -> None:
        self.network, self.offscreen = network, offscreen
        length = max(1, round(window_s * VIDEO_RATE))
        step = max(1, round(length * (1 - overlap)))
        self.plan = WindowPlan(length, step)
        self.set_lips(lips)
        self.halved = 0
        self.voices: FloatArray | None = None
        self.follows = True

    def set_lips(self, lips: Sequence[AnyLips]) -> None:
        """Replace the lips of all people; later windows use them.

        Args:
            lips: lips of the same people in the same order.
        """
        self.people = [LipComponents(self.network.projection, one) for one in lips]

    def presence(self, start: int, frames: int) -> FloatArray:
        """Visibility of each person, 0..1: (people, frames) from video frame `start` on."""
        out = np.zeros((len(self.people), frames), np.float32)
        for p, person in enumerate(self.people):
            _, near = person.window(start - REACH, frames + 2 * REACH)
            if near.any():
                out[p] = presence(near)[REACH:-REACH]
        return out

    def taking_part(self, start: int, frames: int) -> FloatArray:
        """Weight of each person in the network, 0..1: as `presence`, but 1 for known voices.

        The network separates a known voice without lips too.
        """
        there = self.presence(start, frames)
        if self.voices is not None and self.follows:
            there[self.voices.any(axis=1)] = 1
        return there

    def loses_sight(self, frames: int) -> bool:
        """Whether a person goes off-screen for a while in the first `frames` video frames.

        People whose lips are never visible do not count: their voices cannot be known.
        """
        step = 60 * VIDEO_RATE
        ever = [any(there.any() for _, _, there in one.stretches) for one in self.people]
        return any(
            bool((self.presence(start, min(step, frames - start))[ever] < 1).any())
            for start in range(0, frames, step)
        )

    def lips(self, start: int, frames: int) -> tuple[FloatArray, FloatArray]:
        """Lips (people, components, frames) and visibility (people, frames) from `start` on."""
        count = self.network.spec.lip_components
        components = np.zeros((len(self.people), count, frames), np.float32)
        seen = np.zeros((len(self.people), frames), np.float32)
        for p, person in enumerate(self.people):
            components[p], seen[p] = person.window(start, frames)
        return components, seen

    def masks(self, sound: Iterable[FloatArray], begin: int = 0) -> Iterator[MaskBlock]:
        """Estimate masks, window by window.

        Args:
            sound: blocks (1, n) of the mono 16 kHz downmix, from `audio_begin(begin)` on.
            begin: first video frame. Windows lie as in a run from 0 if it is a multiple of
                `plan.step`.

        Yields:
            Contiguous blocks from video frame `begin` to the end of the sound.
        """
        forward, adders = StreamingSTFT(1, WINDOW, HOP), Adders(begin)
        hops, plan = HOPS_PER_VIDEO_FRAME, self.plan
        surplus = hops * (begin - audio_begin(begin))  # STFT frames that touch what was not read
        kept: ComplexArray = np.zeros((BINS, 0), np.complex64)
        origin = start = begin

        def estimate(first: int, last: int) -> None:
            """Add the window of video frames first..last."""
            part = kept[:, hops * (first - origin) : hops * (last - origin)]
            missing = hops * (last - first) - part.shape[-1]
            window = self.estimate(np.pad(part, ((0, 0), (0, missing))), first)
            adders.add(first, window, plan.step)

        def push(spectrum: ComplexArray) -> None:
            nonlocal kept, surplus
            kept = np.concatenate([kept, spectrum[:, surplus:]], axis=-1)
            surplus -= min(surplus, spectrum.shape[-1])

        for block in sound:
            push(forward.push(block)[0])
            while plan.certain(start, origin + kept.shape[-1] // hops):
                estimate(start, start + plan.length)
                start += plan.step
                yield from adders.ready(hops * start)
                # The last window may be moved back by less than a step: keep that much.
                old = max(0, start - plan.step - origin)
                kept, origin = kept[:, hops * old :], origin + old
        push(forward.finish()[0])
        if forward.samples == 0 or kept.shape[-1] == 0:
            return
        frames = hops * origin + kept.shape[-1]
        total = -(-frames // hops)
        estimate(max(origin, min(start, total - plan.length)), total)
        yield from adders.ready(frames)

    def estimate(self, spectrum: ComplexArray, start: int) -> Window:
        """Masks and features of one window, which is halved while it does not fit in GPU memory.

        Args:
            spectrum: (bins, frames) of the mixture; the number of frames is a multiple of 4.
            start: the first video frame.
        """
        frames = spectrum.shape[-1] // HOPS_PER_VIDEO_FRAME
        try:
            return self._estimate(spectrum, start, frames)
        except GPUMemoryError:
            if frames < 2 * VIDEO_RATE:
                raise
            self.halved += 1
            half = frames // 2
            cut = half * HOPS_PER_VIDEO_FRAME
            early = self.estimate(spectrum[:, :cut], start)
            return early.followed_by(self.estimate(spectrum[:, cut:], start + half))

    def _estimate(self, mixture: ComplexArray, start: int, frames: int) -> Window:
        """As `estimate`, without halving; the network runs for the people with weight in the
        window."""
        there = self.taking_part(start, frames)
        active = np.flatnonzero(there.any(axis=1))
        masks = np.zeros((len(there), *mixture.shape), np.complex64)
        cues = np.zeros((len(there), COUNT, frames), np.float32)
        if len(active):
            components, seen = (part[active] for part in self.lips(start, frames))
            known = None if self.voices is None else self.voices[active]
            found = self.network.estimate(mixture, components, seen, there[active], known)
            masks[active] = found.masks
            cues[active] = find_cues(self.network, mixture, components, seen, found)
        features = None
        if self.offscreen is not None:
            features = offscreen_features(self.offscreen, mixture, masks)
        return Window(masks, cues, features)


def audio_begin(begin: int) -> int:
    """The first video frame whose sound is needed for masks from `begin` on.

    The first frames of an STFT contain the padding in front of its first sample.
    """
    return max(0, begin - 1)
