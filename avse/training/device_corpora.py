"""Keep corpora in the memory of the training device, and read voices from them.

A GPU consumes mixtures far faster than processes on the CPU can draw and send them. Ten hours of
speech take 1.2 GB as 16-bit samples, so whole corpora fit beside the network, and a batch is
gathered by one kernel. `avse.training.device_mixing` makes mixtures of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from avse.data.clips import Sounds
from avse.dsp.stft import SAMPLE_RATE
from avse.training.mixing import MixSettings
from avse.types import FloatArray

PIECES = 5
"""Maximum number of clips that are joined to one voice of a mixture."""

SLOW, FAST = 0.88, 1.14
"""Range of the speeds of voices, and of lips with them."""

LOUD = 0.1
"""Target root mean square of the loud part of every clip."""

_RUN_UP = SAMPLE_RATE // 2


@dataclass(frozen=True)
class ClipIndex:
    """Contiguous index of the clips of each person and the people of each corpus.

    Attributes:
        begin: (clips,) first sample of each clip in the corpus's tensor of samples.
        length: (clips,) in samples.
        gain: (clips,) factor that normalises the level of a clip.
        first_clip, clips: (people,) each person's first clip and number of clips.
        first_person, people: (corpora,) each corpus's first person and number of people.
        weights: (corpora,) probability of each.
    """

    begin: Tensor
    length: Tensor
    gain: Tensor
    first_clip: Tensor
    clips: Tensor
    first_person: Tensor
    people: Tensor
    weights: Tensor


def index_clips(
    names: Sequence[tuple[str, str]],
    lengths: Sequence[int],
    gains: Sequence[float],
    device: torch.device,
) -> ClipIndex:
    """Index clips that are sorted by (corpus, person).

    Args:
        names: corpus and person of each clip.
        lengths: of each clip in samples.
        gains: of each clip.
        device: where the index lives.
    """
    people = list(dict.fromkeys(names))
    corpora = list(dict.fromkeys(corpus for corpus, _ in people))
    number = {name: n for n, name in enumerate(people)}
    owner = np.array([number[name] for name in names])
    clips = np.bincount(owner, minlength=len(people))
    crowd = np.array([sum(c == corpus for c, _ in people) for corpus in corpora])
    samples = np.array(
        [
            sum(n for n, name in zip(lengths, names, strict=True) if name[0] == corpus)
            for corpus in corpora
        ]
    )
    begin = np.concatenate([[0], np.cumsum(lengths)[:-1]])

    def whole(values: object) -> Tensor:
        return torch.as_tensor(np.asarray(values, np.int64), device=device)

    def real(values: object) -> Tensor:
        return torch.as_tensor(np.asarray(values, np.float32), device=device)

    return ClipIndex(
        whole(begin),
        whole(lengths),
        real(gains),
        whole(np.cumsum(clips) - clips),
        whole(clips),
        whole(np.cumsum(crowd) - crowd),
        whole(crowd),
        real(np.sqrt(samples) / np.sqrt(samples).sum()),
    )


def loudness_gain(samples: npt.NDArray[np.int16]) -> float:
    """Gain that normalises the level of the loud part of (samples,) int16."""
    x = samples.astype(np.float32) / 32768
    peak = float(np.abs(x).max(initial=0.0))
    loud = x[np.abs(x) > 0.01 * peak]
    return LOUD / float(np.sqrt(np.mean(np.square(loud)))) if len(loud) else 0.0


def quantised(sound: FloatArray) -> npt.NDArray[np.int16]:
    """(samples,) float32 in -1..1 as int16."""
    return np.asarray(np.clip(np.round(sound * 32767), -32768, 32767), np.int16)


class DeviceRandom:
    """Random numbers on the device, seeded from a step's generator."""

    def __init__(self, rng: np.random.Generator, device: torch.device) -> None:
        self.device = device
        self.generator = torch.Generator(device)
        self.generator.manual_seed(int(rng.integers(2**62)))

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Real numbers in low..high."""
        x = torch.rand(shape, generator=self.generator, device=self.device)
        return low + (high - low) * x

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers."""
        return torch.randn(shape, generator=self.generator, device=self.device)

    def below(self, limit: Tensor) -> Tensor:
        """Integers in 0..limit - 1, 0 where the limit is 0."""
        share = self.uniform(*limit.shape)
        return torch.minimum((share * limit).long(), (limit.long() - 1).clamp_min(0))

    def choose(self, weights: Tensor, count: int) -> Tensor:
        """(count,) indices drawn by (n,) weights, with replacement."""
        return torch.multinomial(weights, count, replacement=True, generator=self.generator)

    def distinct(self, limit: Tensor, count: int) -> Tensor:
        """(n, count) integers below (n,) limits, different in each row where the limit allows."""
        chosen = limit.new_zeros(len(limit), 0)
        for k in range(count):
            new = self.below((limit - k).clamp_min(1))
            for earlier in chosen.sort(dim=1).values.unbind(dim=1):
                new = new + (new >= earlier)
            chosen = torch.cat([chosen, (new % limit)[:, None]], dim=1)
        return chosen


@dataclass(frozen=True)
class Pieces:
    """The stretches of clips that make up a voice; all fields but speed are (n, pieces).

    Attributes:
        begin, size: first sample of each clip in the corpus, and its samples.
        gain: factor that normalises its level.
        at: sample of the voice at which the piece starts; may be negative.
        lasts: samples of the voice that it fills; 0 for none.
        skipped: samples of the clip, at the speed of the voice, before the piece.
        shift: samples by which the sound of the clip is early.
        speed: (n, 1).
    """

    begin: Tensor
    size: Tensor
    gain: Tensor
    at: Tensor
    lasts: Tensor
    skipped: Tensor
    shift: Tensor
    speed: Tensor


def join(samples: Tensor, length: int, pieces: Pieces) -> Tensor:
    """Read the pieces of voices, linearly interpolated.

    Args:
        samples: (all,), int16.
        length: of a voice.
        pieces: of n voices; they do not overlap.

    Returns:
        (n, length).
    """
    p = pieces
    time = torch.arange(length, device=samples.device)
    out = torch.zeros(len(p.begin), length, device=samples.device)
    for k in range(p.begin.shape[1]):
        here = time - p.at[:, k, None]
        size = p.size[:, k, None]
        place = (here + p.skipped[:, k, None]) * p.speed + p.shift[:, k, None]
        inside = (here >= 0) & (here < p.lasts[:, k, None]) & (place >= 0) & (place <= size - 1)
        whole = place.floor()
        at = p.begin[:, k, None] + torch.minimum(whole.long().clamp_min(0), size - 1)
        after = torch.minimum(at + 1, p.begin[:, k, None] + size - 1)
        read = torch.lerp(samples[at].float(), samples[after].float(), place - whole)
        out = out + torch.where(inside, p.gain[:, k, None] / 32768 * read, 0.0)
    return out


@functools.cache
def fused_join() -> Callable[[Tensor, int, Pieces], Tensor]:
    """`join` as one kernel, compiled on first use, for devices where kernel launches are the main
    cost."""
    compiled: Callable[[Tensor, int, Pieces], Tensor] = torch.compile(join, dynamic=True)
    return compiled


def joined_on(device: torch.device) -> Callable[[Tensor, int, Pieces], Tensor]:
    """`join`, or the compiled version where it is faster."""
    return fused_join() if device.type == "cuda" else join


class ResidentSounds:
    """Voices in the device's memory.

    Args:
        sounds: what to take.
        device: where.
    """

    def __init__(self, sounds: Sounds, device: torch.device) -> None:
        clips = sorted(sounds.clips, key=lambda clip: (clip.corpus, clip.person))
        audio = [quantised(sounds.audio(clip)) for clip in clips]
        self.device = device
        self.samples = torch.from_numpy(np.concatenate(audio)).to(device)
        self.index = index_clips(
            [(clip.corpus, clip.person) for clip in clips],
            [len(x) for x in audio],
            [loudness_gain(x) for x in audio],
            device,
        )
        self.shortest = int(min(len(x) for x in audio) / FAST)

    def speakers(self, random: DeviceRandom, mixtures: int, voices: int) -> Tensor:
        """(mixtures, voices) different people of one corpus in each mixture."""
        corpus = random.choose(self.index.weights, mixtures)
        chosen = random.distinct(self.index.people[corpus], voices)
        return self.index.first_person[corpus][:, None] + chosen

    def voices(
        self, random: DeviceRandom, speaker: Tensor, settings: MixSettings
    ) -> tuple[Tensor, Pieces]:
        """(n,) people -> (n, samples): clips of theirs, joined with pauses; and what was joined.

        Like `Mixer.voice`: some voices begin late, some end early, and half have almost no pauses.
        """
        index, count, length = self.index, len(speaker), settings.samples
        shape = (count, PIECES)
        clip = index.first_clip[speaker][:, None] + random.below(
            index.clips[speaker][:, None].expand(shape)
        )
        size = index.length[clip]
        quick = random.uniform(count, 1) < settings.speed_probability
        speed = torch.where(quick, random.uniform(count, 1, low=SLOW, high=FAST), 1.0)
        lasts = (size / speed).long()
        skipped = random.below((lasts - length).clamp_min(0))
        lasts = lasts.clamp_max(length)
        early = -random.uniform(count) * _RUN_UP * (random.uniform(count) < 0.5)
        late = random.uniform(count) * (length // 3)
        start = torch.where(random.uniform(count) < 0.3, late, early).long()
        pause_s = torch.where(random.uniform(count, 1) < settings.fluent, 0.03, 0.25)
        gaps = (-torch.log1p(-random.uniform(*shape)) * pause_s * SAMPLE_RATE).long()
        at = start[:, None] + (lasts + gaps).cumsum(dim=1) - (lasts + gaps)
        ends = torch.cat([torch.ones_like(speed), random.uniform(count, PIECES - 1)], dim=1) < 0.1
        lasts = lasts * (ends.cumsum(dim=1) == 0)
        pieces = Pieces(
            index.begin[clip], size, index.gain[clip], at, lasts, skipped, 0 * at, speed
        )
        return joined_on(self.device)(self.samples, length, pieces), pieces

    def background(self, random: DeviceRandom, count: int, samples: int) -> Tensor:
        """(count, samples) of noise clips at other speeds, repeated where they are short."""
        index = self.index
        clip = random.choose(index.length.float().sqrt(), count)
        size = index.length[clip]
        speed = random.uniform(count, 1, low=0.8, high=1.25)
        lasts = (size / speed[:, 0]).long()
        begun = random.below(lasts)
        repeats = -(-samples // max(1, self.shortest)) + 1
        at = torch.arange(min(repeats, PIECES), device=self.device) * lasts[:, None]
        none = torch.zeros_like(at)
        pieces = Pieces(
            index.begin[clip][:, None].expand_as(at),
            size[:, None].expand_as(at),
            index.gain[clip][:, None].expand_as(at),
            at - begun[:, None],
            lasts[:, None].expand_as(at),
            none,
            none,
            speed,
        )
        return joined_on(self.device)(self.samples, samples, pieces)
