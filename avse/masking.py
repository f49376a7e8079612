"""Pass 2, the sound: windows through the network, masks put together, masks laid on the original.

The network hears a mono 16 kHz downmix and answers with masks on a 10 ms × 25 Hz grid. Masks, not
sounds, are faded from window to window; they are then laid on an STFT of every channel at the
recording's own rate, whose grid is the same for any rate that is a multiple of 100 Hz and is
interpolated to otherwise. So stereo, 48 kHz and the exact length survive, and a mask of ones gives
the recording back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from avse.activity.cues import find_cues
from avse.faces.lips import LipSequence, liveliness, motion
from avse.models.network import AVSENet
from avse.overlap import (
    OverlapAdder,
    StreamingISTFT,
    StreamingSTFT,
    WindowPlan,
    crossfade,
)
from avse.stft import (
    BINS,
    FRAME_RATE,
    HOP,
    HOPS_PER_VIDEO_FRAME,
    HOPS_PER_WINDOW,
    SAMPLE_RATE,
    VIDEO_RATE,
    WINDOW,
)

FloatArray = npt.NDArray[np.float32]
ComplexArray = npt.NDArray[np.complex64]

TOP_BAND = slice(BINS - 1 - 40, BINS - 1)
"""Bins of 7 to 8 kHz: what lies above 8 kHz follows their mean."""


@dataclass(frozen=True)
class MaskBlock:
    """Masks of consecutive frames.

    Attributes:
        first: index of the first frame, 100 a second from the start of the track; a multiple of 4.
        masks: (people, bins, frames) complex64.
        cues: (people, cues, video frames), whether each speaks, for the video frames that begin in
            this block; see `avse.activity.cues`.
    """

    first: int
    masks: ComplexArray
    cues: FloatArray


def lip_components(network: AVSENet, lips: LipSequence) -> tuple[FloatArray, FloatArray]:
    """What the visual stream is fed of a whole recording: a few MB an hour.

    Args:
        network: on its device.
        lips: of one person.

    Returns:
        (components, frames) and (frames,) 1 where the lips were seen, else 0.
    """
    seen = lips.seen
    moved = motion(lips.points, seen)
    moved = moved * np.float32(liveliness(moved, seen))
    visual = network.visual
    with torch.inference_mode():
        projected = visual.project(
            torch.from_numpy(moved)[None].to(visual.mean.device),
            torch.from_numpy(seen.astype(np.float32))[None].to(visual.mean.device),
        )
    return projected[0].cpu().numpy(), seen.astype(np.float32)


class Masker:
    """Runs the network over a recording in windows.

    Args:
        network: in evaluation mode, on its device.
        lips: of everybody in the picture, on the grid whose frame 0 is the first sample of the
            sound.
        wanted: indices into `lips` of those whose masks are asked for; the others compete.
        window_s: length of a window.
        overlap: share of it that the next window hears too.
    """

    def __init__(
        self,
        network: AVSENet,
        lips: Sequence[LipSequence],
        wanted: Sequence[int],
        *,
        window_s: float,
        overlap: float,
    ) -> None:
        self.network, self.wanted = network, list(wanted)
        self.device = next(network.parameters()).device
        length = max(1, round(window_s * VIDEO_RATE))
        step = max(1, round(length * (1 - overlap)))
        self.plan = WindowPlan(length, step)
        self.first = [sequence.first for sequence in lips]
        self.components = [lip_components(network, sequence) for sequence in lips]
        self.halved = 0

    def lips(self, start: int, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(1, people, components, frames) and (1, people, frames) from video frame `start` on."""
        count = self.network.spec.lip_components
        components = np.zeros((1, len(self.components), count, frames), np.float32)
        seen = np.zeros((1, len(self.components), frames), np.float32)
        for p, (first, (moved, there)) in enumerate(zip(self.first, self.components, strict=True)):
            low, high = max(start, first), min(start + frames, first + len(there))
            if high > low:
                here, from_ = slice(low - start, high - start), slice(low - first, high - first)
                components[0, p, :, here] = moved[:, from_]
                seen[0, p, here] = there[from_]
        return torch.from_numpy(components).to(self.device), torch.from_numpy(seen).to(self.device)

    def masks(self, sound: Iterable[FloatArray]) -> Iterator[MaskBlock]:
        """Listen.

        Args:
            sound: blocks (1, n) of the mono 16 kHz downmix.

        Yields:
            Blocks that join without a gap; in all samples // 160 + 1 frames.
        """
        forward, adder, cue_adder = StreamingSTFT(1, WINDOW, HOP), OverlapAdder(), OverlapAdder()
        hops, plan = HOPS_PER_VIDEO_FRAME, self.plan
        kept: ComplexArray = np.zeros((BINS, 0), np.complex64)
        origin = start = 0

        def hear(first: int, last: int) -> None:
            """Answer for the video frames first..last, leaving alone what was given out."""
            part = kept[:, hops * (first - origin) : hops * (last - origin)]
            missing = hops * (last - first) - part.shape[-1]
            masks, cues = self.answer(np.pad(part, ((0, 0), (0, missing))), first)
            _add(adder, hops * first, masks, hops * plan.step)
            _add(cue_adder, first, cues, plan.step)

        def ready(until: int) -> Iterator[MaskBlock]:
            first = adder.done
            taken, cues = adder.take(until), cue_adder.take(-(-until // hops))
            if taken is not None and cues is not None:
                masks = np.asarray(taken[:, 0] + 1j * taken[:, 1], np.complex64)
                yield MaskBlock(first, masks, cues)

        for block in sound:
            kept = np.concatenate([kept, forward.push(block)[0]], axis=-1)
            while plan.certain(start, origin + kept.shape[-1] // hops):
                hear(start, start + plan.length)
                start += plan.step
                yield from ready(hops * start)
                # The last window may be moved back by less than a step: keep that much.
                surplus = max(0, start - plan.step - origin)
                kept, origin = kept[:, hops * surplus :], origin + surplus
        kept = np.concatenate([kept, forward.finish()[0]], axis=-1)
        frames = hops * origin + kept.shape[-1]
        if forward.samples == 0:
            return
        total = -(-frames // hops)
        hear(max(0, min(start, total - plan.length)), total)
        yield from ready(frames)

    @torch.inference_mode()
    def answer(self, spectrum: ComplexArray, start: int) -> tuple[FloatArray, FloatArray]:
        """The network's masks for one window, and its cues about who speaks.

        Args:
            spectrum: (bins, frames) of the mixture, frames a multiple of 4.
            start: its first video frame.

        Returns:
            (wanted, 2, bins, frames): real and imaginary part; (wanted, cues, video frames).
        """
        frames = spectrum.shape[-1] // HOPS_PER_VIDEO_FRAME
        try:
            components, seen = self.lips(start, frames)
            mixture = torch.from_numpy(spectrum)[None].to(self.device)
            answer = self.network(mixture, components, seen)
            told = find_cues(self.network, mixture[0], components[0], seen[0], answer)[self.wanted]
            mask = answer.complex_mask()[0, self.wanted]
            return torch.stack([mask.real, mask.imag], dim=1).cpu().numpy(), told.cpu().numpy()
        except torch.cuda.OutOfMemoryError:
            if frames < 2 * VIDEO_RATE:
                raise
            torch.cuda.empty_cache()
            self.halved += 1
            half = frames // 2
            cut = half * HOPS_PER_VIDEO_FRAME
            early = self.answer(spectrum[:, :cut], start)
            late = self.answer(spectrum[:, cut:], start + half)
            return (
                np.concatenate([early[0], late[0]], axis=-1),
                np.concatenate([early[1], late[1]], axis=-1),
            )


def _add(adder: OverlapAdder, start: int, chunk: FloatArray, step: int) -> None:
    """Add the part of a window that was not given out yet."""
    fade = crossfade(chunk.shape[-1], min(step, chunk.shape[-1]))
    begin = max(0, adder.done - start)
    adder.add(start + begin, chunk[..., begin:], fade[begin:])


@dataclass(frozen=True)
class Grid:
    """The STFT grid at a sample rate, next to the 10 ms × 25 Hz grid of the masks."""

    rate_hz: int

    @property
    def hop(self) -> int:
        """Samples between frames."""
        return max(1, round(self.rate_hz / FRAME_RATE))

    @property
    def window(self) -> int:
        """Samples of a frame."""
        return HOPS_PER_WINDOW * self.hop

    def frame_position(self, frame: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Where a frame lies on the mask's time axis, in frames of 10 ms."""
        return frame * (self.hop * FRAME_RATE / self.rate_hz)

    def bins(self, masks: ComplexArray) -> ComplexArray:
        """(..., BINS, frames) masks to (..., window // 2 + 1, frames)."""
        count = self.window // 2 + 1
        position = np.arange(count) * (self.rate_hz / self.window) / (SAMPLE_RATE / WINDOW)
        low = np.clip(np.floor(position + 1e-9).astype(int), 0, BINS - 2)
        share = np.clip(position - low, 0, 1).astype(np.float32)[:, None]
        out = masks[..., low, :] * (1 - share) + masks[..., low + 1, :] * share
        above = position > BINS - 1 + 1e-9
        if above.any():
            out[..., above, :] = np.abs(masks[..., TOP_BAND, :]).mean(axis=-2, keepdims=True)
        return np.asarray(out, np.complex64)


class MaskPlayer:
    """Lays masks on a recording at its own rate and channels, in step, piece by piece.

    Args:
        rate_hz: of the recording.
        channels: of the recording.
        people: how many masks there are.
    """

    def __init__(self, rate_hz: int, channels: int, people: int) -> None:
        self.grid = Grid(rate_hz)
        self.channels, self.people = channels, people
        self.forward = StreamingSTFT(channels, self.grid.window, self.grid.hop)
        self.back = StreamingISTFT(people * channels, self.grid.window, self.grid.hop)
        self.masks: ComplexArray = np.zeros((people, BINS, 0), np.complex64)
        self.mask_first = 0
        self.spectra: ComplexArray = np.zeros(
            (channels, self.grid.window // 2 + 1, 0), np.complex64
        )
        self.frame = 0

    def push_sound(self, samples: FloatArray) -> None:
        """(channels, n) of the recording."""
        self.spectra = np.concatenate([self.spectra, self.forward.push(samples)], axis=-1)

    def push_masks(self, block: MaskBlock) -> None:
        """The next masks."""
        self.masks = np.concatenate([self.masks, block.masks], axis=-1)

    def wants_sound(self) -> bool:
        """Whether there are masks for which the sound is still missing."""
        return self.spectra.shape[-1] == 0 or self._ready() == self.spectra.shape[-1]

    def play(self) -> FloatArray:
        """(people, channels, n): what can be computed by now."""
        return self._shape(self.back.push(self._masked(self._ready())))

    def finish(self) -> FloatArray:
        """(people, channels, n): the rest, up to the length of the recording."""
        if self.forward.samples == 0:
            return np.zeros((self.people, self.channels, 0), np.float32)
        self.spectra = np.concatenate([self.spectra, self.forward.finish()], axis=-1)
        parts = [self.back.push(self._masked(self.spectra.shape[-1]))]
        parts.append(self.back.finish(self.forward.samples))
        return self._shape(np.concatenate(parts, axis=-1))

    def _shape(self, samples: FloatArray) -> FloatArray:
        return samples.reshape(self.people, self.channels, -1)

    def _ready(self) -> int:
        """How many of the waiting frames have all the masks they need."""
        last = self.mask_first + self.masks.shape[-1] - 1
        count = self.spectra.shape[-1]
        positions = self.grid.frame_position(np.arange(self.frame, self.frame + count))
        return int(np.searchsorted(positions, last + 1e-9, side="right"))

    def _masked(self, count: int) -> ComplexArray:
        """(people × channels, bins, count)."""
        part, self.spectra = self.spectra[..., :count], self.spectra[..., count:]
        bins = self.grid.window // 2 + 1
        if count == 0:
            return np.zeros((self.people * self.channels, bins, 0), np.complex64)
        position = self.grid.frame_position(np.arange(self.frame, self.frame + count))
        self.frame += count
        last = self.masks.shape[-1] - 1
        low = np.clip(np.floor(position + 1e-9).astype(int) - self.mask_first, 0, last)
        share = np.clip(position - self.mask_first - low, 0, 1).astype(np.float32)
        high = np.minimum(low + 1, last)
        masks = self.masks[..., low] * (1 - share) + self.masks[..., high] * share
        drop = max(0, int(low[-1]) - 1)
        self.masks, self.mask_first = self.masks[..., drop:], self.mask_first + drop
        out = self.grid.bins(masks.astype(np.complex64))[:, None] * part[None]
        return np.asarray(out.reshape(self.people * self.channels, bins, count), np.complex64)
