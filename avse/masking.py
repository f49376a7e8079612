"""Pass 2, the sound: windows through the network, masks put together.

The network hears a mono 16 kHz downmix and answers with masks on a 10 ms × 25 Hz grid. Masks, not
sounds, are faded from window to window; `avse.playing` lays them on the recording. Who has been out
of sight for a while is not asked for: without lips the network gives a bit of everybody, which the
others are then short of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from avse.activity.cues import COUNT, find_cues
from avse.faces.lips import AnyLips, Lips, liveliness, motion
from avse.models.network import AVSENet
from avse.models.presence import REACH, presence
from avse.offscreen.listening import Heard, Offscreen, Traces
from avse.overlap import OverlapAdder, StreamingSTFT, WindowPlan, crossfade
from avse.stft import BINS, HOP, HOPS_PER_VIDEO_FRAME, VIDEO_RATE, WINDOW

FloatArray = npt.NDArray[np.float32]
ComplexArray = npt.NDArray[np.complex64]


@dataclass(frozen=True)
class MaskBlock:
    """Masks of consecutive frames.

    Attributes:
        first: index of the first frame, 100 a second from the start of the track; a multiple of 4.
        masks: (people, bins, frames) complex64; of everybody in the picture.
        cues: (people, cues, video frames), whether each speaks, for the video frames that begin in
            this block; see `avse.activity.cues`.
        traces: what was heard of people out of sight; None if nobody listened for it.
    """

    first: int
    masks: ComplexArray
    cues: FloatArray
    traces: Traces | None = None


class LipComponents:
    """What the visual stream is fed of one person's lips: a few MB for an hour in sight.

    Args:
        network: on its device.
        lips: of the person.

    Attributes:
        first, stop: video frames from the first with lips to the one after the last.
    """

    def __init__(self, network: AVSENet, lips: AnyLips) -> None:
        self.first, self.stop = lips.first, lips.stop
        self.size = network.spec.lip_components
        self.stretches: list[tuple[int, FloatArray, FloatArray]] = []
        _, points, _ = Lips(lips.stretches).sightings()
        there = np.ones(len(points), np.bool_)
        moved = motion(points, there)
        moved = moved * np.float32(liveliness(moved, there))
        device, done = network.visual.mean.device, 0
        for one in lips.stretches:
            seen = one.seen
            count = int(np.count_nonzero(seen))
            inputs = torch.from_numpy(moved[done : done + count])[None].to(device)
            with torch.inference_mode():
                found = network.visual.project(inputs, torch.ones(1, count, device=device))[0]
            components = np.zeros((self.size, len(seen)), np.float32)
            components[:, seen] = found.cpu().numpy()
            self.stretches.append((one.first, components, seen.astype(np.float32)))
            done += count

    def window(self, start: int, frames: int) -> tuple[FloatArray, FloatArray]:
        """(components, frames), and (frames,) 1 where the lips were seen, else 0.

        Args:
            start: video frame; beyond both ends the lips are unseen.
            frames: how many.
        """
        out, seen = np.zeros((self.size, frames), np.float32), np.zeros(frames, np.float32)
        for first, components, there in self.stretches:
            low, high = max(start, first), min(start + frames, first + len(there))
            if high > low:
                out[:, low - start : high - start] = components[:, low - first : high - first]
                seen[low - start : high - start] = there[low - first : high - first]
        return out, seen


@dataclass(frozen=True)
class Window:
    """What was heard in one window.

    Attributes:
        masks: (people, 2, bins, frames), real and imaginary part.
        cues: (people, cues, video frames).
        heard: of people out of sight; None if nobody listened for it.
    """

    masks: Tensor
    cues: Tensor
    heard: Heard | None

    def followed_by(self, late: Window) -> Window:
        """The two as one."""
        heard = None
        if self.heard is not None and late.heard is not None:
            heard = self.heard.followed_by(late.heard)
        return Window(
            torch.cat([self.masks, late.masks], dim=-1),
            torch.cat([self.cues, late.cues], dim=-1),
            heard,
        )


class Adders:
    """Fades windows into one another and gives out what is final."""

    def __init__(self) -> None:
        self.masks, self.cues = OverlapAdder(), OverlapAdder()
        self.shares, self.prints = OverlapAdder(), OverlapAdder()

    def add(self, first: int, window: Window, step: int) -> None:
        """A window from video frame `first` on, of which the next begins `step` frames later."""
        hops = HOPS_PER_VIDEO_FRAME
        _add(self.masks, hops * first, window.masks, hops * step)
        _add(self.cues, first, window.cues, step)
        if window.heard is not None:
            _add(self.shares, hops * first, window.heard.shares, hops * step)
            _add(self.prints, first, window.heard.prints, step)

    def ready(self, until: int) -> Iterator[MaskBlock]:
        """The next block, up to mask frame `until`, if there is any."""
        first, video = self.masks.done, -(-until // HOPS_PER_VIDEO_FRAME)
        taken, cues = self.masks.take(until), self.cues.take(video)
        shares, prints = self.shares.take(until), self.prints.take(video)
        if taken is not None and cues is not None:
            masks = np.asarray(taken[:, 0] + 1j * taken[:, 1], np.complex64)
            traces = None if shares is None or prints is None else Traces(shares, prints)
            yield MaskBlock(first, masks, cues, traces)


def _add(adder: OverlapAdder, start: int, chunk: Tensor, step: int) -> None:
    """Add the part of a window that was not given out yet."""
    fade = crossfade(chunk.shape[-1], min(step, chunk.shape[-1]))
    begin = max(0, adder.done - start)
    adder.add(start + begin, chunk[..., begin:].cpu().numpy(), fade[begin:])


class Masker:
    """Runs the network over a recording in windows.

    Args:
        network: in evaluation mode, on its device.
        lips: of everybody in the picture, on the grid whose frame 0 is the first sample of the
            sound.
        window_s: length of a window.
        overlap: share of it that the next window hears too.
        offscreen: who listens for people out of sight; None if nobody does.
    """

    def __init__(
        self,
        network: AVSENet,
        lips: Sequence[AnyLips],
        *,
        window_s: float,
        overlap: float,
        offscreen: Offscreen | None = None,
    ) -> None:
        self.network, self.offscreen = network, offscreen
        self.device = next(network.parameters()).device
        length = max(1, round(window_s * VIDEO_RATE))
        step = max(1, round(length * (1 - overlap)))
        self.plan = WindowPlan(length, step)
        self.people = [LipComponents(network, one) for one in lips]
        self.halved = 0

    def presence(self, start: int, frames: int) -> FloatArray:
        """How far each takes part: (people, frames) from video frame `start` on."""
        out = np.zeros((len(self.people), frames), np.float32)
        for p, person in enumerate(self.people):
            _, near = person.window(start - REACH, frames + 2 * REACH)
            if near.any():
                out[p] = presence(near)[REACH:-REACH]
        return out

    def loses_sight(self, frames: int) -> bool:
        """Whether somebody is out of sight in the first `frames` video frames, for a while.

        Whose lips are never seen has no voice that could be carried on.
        """
        step = 60 * VIDEO_RATE
        ever = [any(there.any() for _, _, there in one.stretches) for one in self.people]
        return any(
            bool((self.presence(start, min(step, frames - start))[ever] < 1).any())
            for start in range(0, frames, step)
        )

    def lips(self, start: int, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(1, people, components, frames) and (1, people, frames) from video frame `start` on."""
        count = self.network.spec.lip_components
        components = np.zeros((1, len(self.people), count, frames), np.float32)
        seen = np.zeros((1, len(self.people), frames), np.float32)
        for p, person in enumerate(self.people):
            components[0, p], seen[0, p] = person.window(start, frames)
        return torch.from_numpy(components).to(self.device), torch.from_numpy(seen).to(self.device)

    def masks(self, sound: Iterable[FloatArray]) -> Iterator[MaskBlock]:
        """Listen.

        Args:
            sound: blocks (1, n) of the mono 16 kHz downmix.

        Yields:
            Blocks that join without a gap; in all samples // 160 + 1 frames.
        """
        forward, adders = StreamingSTFT(1, WINDOW, HOP), Adders()
        hops, plan = HOPS_PER_VIDEO_FRAME, self.plan
        kept: ComplexArray = np.zeros((BINS, 0), np.complex64)
        origin = start = 0

        def hear(first: int, last: int) -> None:
            """Answer for the video frames first..last, leaving alone what was given out."""
            part = kept[:, hops * (first - origin) : hops * (last - origin)]
            missing = hops * (last - first) - part.shape[-1]
            adders.add(first, self.answer(np.pad(part, ((0, 0), (0, missing))), first), plan.step)

        for block in sound:
            kept = np.concatenate([kept, forward.push(block)[0]], axis=-1)
            while plan.certain(start, origin + kept.shape[-1] // hops):
                hear(start, start + plan.length)
                start += plan.step
                yield from adders.ready(hops * start)
                # The last window may be moved back by less than a step: keep that much.
                surplus = max(0, start - plan.step - origin)
                kept, origin = kept[:, hops * surplus :], origin + surplus
        kept = np.concatenate([kept, forward.finish()[0]], axis=-1)
        frames = hops * origin + kept.shape[-1]
        if forward.samples == 0:
            return
        total = -(-frames // hops)
        hear(max(0, min(start, total - plan.length)), total)
        yield from adders.ready(frames)

    def answer(self, spectrum: ComplexArray, start: int) -> Window:
        """What is heard in one window.

        Args:
            spectrum: (bins, frames) of the mixture, frames a multiple of 4.
            start: its first video frame.
        """
        frames = spectrum.shape[-1] // HOPS_PER_VIDEO_FRAME
        try:
            return self._asked(spectrum, start, frames)
        except torch.cuda.OutOfMemoryError:
            if frames < 2 * VIDEO_RATE:
                raise
            torch.cuda.empty_cache()
            self.halved += 1
            half = frames // 2
            cut = half * HOPS_PER_VIDEO_FRAME
            early = self.answer(spectrum[:, :cut], start)
            return early.followed_by(self.answer(spectrum[:, cut:], start + half))

    @torch.inference_mode()
    def _asked(self, spectrum: ComplexArray, start: int, frames: int) -> Window:
        """As `answer`: those who are there are asked for."""
        there = self.presence(start, frames)
        asked = np.flatnonzero(there.any(axis=1))
        people = len(there)
        mixture = torch.from_numpy(spectrum).to(self.device)
        mask = torch.zeros((people, *mixture.shape), dtype=mixture.dtype, device=self.device)
        cues = torch.zeros((people, COUNT, frames), device=self.device)
        if len(asked):
            components, seen = (part[:, asked] for part in self.lips(start, frames))
            present = torch.from_numpy(there[asked])[None].to(self.device)
            answer = self.network(mixture[None], components, seen, present)
            mask[asked] = answer.complex_mask()[0]
            cues[asked] = find_cues(self.network, mixture, components[0], seen[0], answer)
        heard = None if self.offscreen is None else self.offscreen.listen(mixture, mask)
        return Window(torch.stack([mask.real, mask.imag], dim=1), cues, heard)
