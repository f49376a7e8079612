"""A recording that is divided into chunks of four seconds: its description, and its sound."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from avse.dsp.stft import VIDEO_RATE
from avse.faces.people import People
from avse.inference.engine import Block
from avse.inference.mask_estimator import MaskBlock
from avse.inference.sound import FileSound
from avse.inference.voice_activity import speaking
from avse.media import AudioStream, MediaInfo, VideoStream
from avse.page.store import CHUNK_S, VoiceChunk
from avse.scene.scene import Scene
from avse.types import FloatArray

FRAMES = CHUNK_S * VIDEO_RATE
"""Video frames of a chunk, 25 a second."""


@dataclass(frozen=True)
class Recording:
    """The description of a file, which is known before analysis.

    Attributes:
        path: the file.
        info, video, audio: the file's streams, and the picture and the sound track in use.
        origin: time of the first sample of the sound on the container's clock, in seconds.
        duration_s: duration in seconds.
        notes: messages for the user about the file.
    """

    path: Path
    info: MediaInfo
    video: VideoStream
    audio: AudioStream
    origin: Fraction
    duration_s: float
    notes: tuple[str, ...]

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return max(1, math.ceil(self.duration_s / CHUNK_S - 1e-6))

    @property
    def sound_start_s(self) -> float:
        """Playing time of the first sample of the sound, in seconds."""
        return float(self.origin - self.info.start)

    def first_sample(self, chunk: int) -> int:
        """Index of the sample at which a chunk begins; negative before the sound."""
        rate = self.audio.sample_rate
        lead = round((self.origin - self.info.start) * rate)
        last = round(self.duration_s * rate)
        return min(chunk * CHUNK_S * rate, last) - lead

    def first_frame(self, chunk: int) -> int:
        """The last video frame at or before the begin of a chunk.

        Frames count from the first sample of the sound, 25 per second; negative before the sound.
        """
        return math.floor((chunk * CHUNK_S - self.sound_start_s) * VIDEO_RATE)

    def chunk_at(self, frame: int) -> int:
        """The chunk in which a video frame lies."""
        chunk = int((frame / VIDEO_RATE + self.sound_start_s) // CHUNK_S)
        return min(max(0, chunk), self.chunks - 1)

    @property
    def sound(self) -> FileSound:
        """The sound track."""
        return self.scene(People((), 0, 0)).sound

    def scene(self, people: People) -> Scene:
        """A scene of this recording with people."""
        return Scene(self.info, self.video, self.audio, people, self.origin, self.notes)


class PacedSound:
    """The sound of a recording, whose reading can wait for lips.

    Attributes:
        check: called before a block is read, with the video frame at its end; it may wait.
        frames_left: number of video frames to read; None for all.
    """

    def __init__(self, sound: FileSound) -> None:
        self.sound = sound
        self.rate_hz, self.channels, self.frames = sound.rate_hz, sound.channels, sound.frames
        self.check: Callable[[int], None] = lambda frame: None
        self.frames_left: int | None = None

    def original(self, begin: int) -> Iterator[FloatArray]:
        """See `avse.inference.sound.Sound`."""
        blocks = self.sound.original(begin)
        return blocks if self.frames_left is None else self._first(blocks, self.rate_hz)

    def downmix(self, begin: int) -> Iterator[FloatArray]:
        """See `avse.inference.sound.Sound`."""
        blocks = self.sound.downmix(begin)
        if self.frames_left is not None:
            yield from self._first(blocks, 16_000, begin)
            return
        position = 0
        with contextlib.closing(blocks):  # type: ignore[type-var]
            for block in blocks:
                position += block.shape[-1]
                self.check(begin + (position - 1) * VIDEO_RATE // 16_000)
                yield block

    def _first(
        self, blocks: Iterator[FloatArray], rate_hz: int, begin: int | None = None
    ) -> Iterator[FloatArray]:
        """Sound of the first `frames_left` video frames, and of a downmix one frame before them."""
        assert self.frames_left is not None
        frames = self.frames_left + (1 if begin else 0)
        return first_seconds(blocks, frames / VIDEO_RATE, rate_hz)


class LaterSound:
    """The sound of a recording from the video frame `begin` on."""

    def __init__(self, sound: FileSound, begin: int) -> None:
        self.sound, self.begin = sound, begin
        self.rate_hz, self.channels = sound.rate_hz, sound.channels
        self.frames = max(0, sound.frames - begin)

    def original(self, begin: int) -> Iterator[FloatArray]:
        """See `avse.inference.sound.Sound`."""
        return self.sound.original(self.begin + begin)

    def downmix(self, begin: int) -> Iterator[FloatArray]:
        """See `avse.inference.sound.Sound`."""
        return self.sound.downmix(self.begin + begin)


def first_seconds(
    blocks: Iterator[FloatArray], seconds: float, rate_hz: int = 16_000
) -> Iterator[FloatArray]:
    """Yield the first seconds of sound.

    Args:
        blocks: (channels, n) each.
        seconds: the length.
        rate_hz: sample rate of the blocks.
    """
    left = round(seconds * rate_hz)
    with contextlib.closing(blocks):  # type: ignore[type-var]
        for block in blocks:
            yield block[..., :left]
            left -= block.shape[-1]
            if left <= 0:
                return


class Collector:
    """Divides the output of a run into chunks.

    Args:
        recording: the recording.
        first: the first chunk.
        numbers: the people's numbers, in the order of the stems.
        sound: of the recording.

    Attributes:
        chunk: the chunk that is being filled.
        lips_of: the people whose lips the run has got last.
    """

    def __init__(
        self, recording: Recording, first: int, numbers: Sequence[int], sound: FileSound
    ) -> None:
        self.recording, self.chunk, self.numbers = recording, first, tuple(numbers)
        self.channels = sound.channels
        self.lips_of: People | None = None
        self._stems: list[FloatArray] = []
        self._start: int | None = None
        self._ready: dict[int, VoiceChunk] = {}
        self._speaking: dict[int, FloatArray] = {}

    def watch(self, block: MaskBlock) -> None:
        """Store the voice activity of a block of masks."""
        probability = speaking(block.cues)
        first = block.first // 4
        for n in range(probability.shape[-1]):
            self._speaking[first + n] = probability[:, n]

    def push(self, block: Block) -> Iterator[int]:
        """Add a block, and yield the numbers of the chunks that are complete."""
        if self._start is None:
            self._start = block.start
        self._stems.append(block.stems)
        end = block.start + block.stems.shape[-1]
        while self.chunk < self.recording.chunks:
            stop = self.recording.first_sample(self.chunk + 1)
            if end < stop or stop <= self.recording.first_sample(self.chunk):
                return
            yield self._cut()

    def finish(self, chunks: int) -> Iterator[int]:
        """Complete chunks after the end of the sound, and yield their numbers.

        Args:
            chunks: maximum number of chunks.
        """
        for _ in range(chunks):
            if self.chunk < self.recording.chunks:
                yield self._cut()

    def take(self, chunk: int) -> VoiceChunk:
        """Take a chunk whose number `push` or `finish` has yielded."""
        return self._ready.pop(chunk)

    def _cut(self) -> int:
        """Complete the chunk that is being filled, and return its number."""
        chunk, recording = self.chunk, self.recording
        begin, stop = recording.first_sample(chunk), recording.first_sample(chunk + 1)
        count = len(self.numbers) + 1
        out = np.zeros((count, self.channels, max(0, stop - begin)), np.float32)
        empty = np.zeros((count, self.channels, 0), np.float32)
        whole = np.concatenate([empty, *self._stems], axis=-1)
        start = begin if self._start is None else self._start
        low, high = max(begin, start), min(stop, start + whole.shape[-1])
        if high > low:
            out[..., low - begin : high - begin] = whole[..., low - start : high - start]
        self._stems = [whole[..., max(0, stop - start) :]]
        self._start = max(start, stop)
        frame = recording.first_frame(chunk)
        nothing = np.full(len(self.numbers), np.nan, np.float32)
        spoken = np.stack([self._speaking.get(frame + n, nothing) for n in range(FRAMES)], axis=-1)
        self._speaking = {n: p for n, p in self._speaking.items() if n >= frame + FRAMES}
        self._ready[chunk] = VoiceChunk(self.numbers, out, spoken)
        self.chunk += 1
        return chunk
