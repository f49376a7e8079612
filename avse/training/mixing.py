"""Draw mixtures on the fly, reproducibly from a seed.

All voices of a mixture come from one corpus, so that microphone, codec and room never identify the
target voice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from avse.data.clips import AudioClip, Sounds
from avse.dsp.stft import BINS, SAMPLE_RATE, stft
from avse.errors import UsageError
from avse.training.degradation import CODECS, change_speed, overload, through_codec
from avse.training.enrolment import Talker, UsedSpeech, draw_enrolments
from avse.training.rooms import KINDS, draw_room, reverberate
from avse.types import FloatArray

NARROW = 0.1
"""Probability that a mixture is band-limited."""


@dataclass(frozen=True)
class MixSettings:
    """How mixtures are drawn."""

    seconds: float = 3.2
    voices: tuple[float, ...] = (0.2, 0.6, 0.2)
    """Probabilities of one, two and three voices."""
    spread_db: float = 5.0
    """Largest difference in level between voices, in dB, in either direction."""
    noise_probability: float = 0.5
    snr_db: tuple[float, float] = (-5.0, 20.0)
    room_probability: float = 0.25
    rooms: str = "tail"
    """Method of simulating rooms: "tail", or "image" (see `avse.training.rooms`)."""
    speed_probability: float = 0.0
    """Probability of changing the speed and pitch of an audio-only voice by up to a tenth."""
    clipping_probability: float = 0.0
    codec_probability: float = 0.0
    """Probability of clipping the mixture, and of encoding it as MP3, AAC or Opus."""
    babble_probability: float = 0.0
    """Probability that the noise is babble of several corpus voices; needs `mixing = "device"`."""
    tilt_db: float = 5.0
    compression_probability: float = 0.3
    fluent: float = 0.5
    """Probability that a voice of several clips has almost no pauses between them."""

    def __post_init__(self) -> None:
        if self.rooms not in KINDS:
            raise UsageError(f"rooms cannot be {self.rooms!r}", f"choose from: {', '.join(KINDS)}")
        if not 0.1 <= self.seconds <= 60:
            raise UsageError(f"seconds cannot be {self.seconds:g}", "choose 0.1 to 60")
        shares = self.voices
        if not 1 <= len(shares) <= 16 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
            raise UsageError(
                f"voices cannot be {list(shares)[:16]}",
                "give the probability of one, two, ... voices; together they are 1",
            )

    @property
    def samples(self) -> int:
        """Length of a mixture in samples."""
        return round(self.seconds * SAMPLE_RATE)


@dataclass
class Batch:
    """Mixtures and their sources.

    Attributes:
        sources: (batch, voices + 1, samples); absent voices are 0, and the last source is noise.
        present: (batch, voices), 1 for a present voice.
        tilt: (batch, voices + 1, bins), a smooth random frequency response for each source; None
            if it is applied already.
        enrolment: (batch, voices, samples), enrolment sounds, 0 for voices without one; None if no
            voice has one. See `avse.training.enrolment`.
    """

    sources: Tensor
    present: Tensor
    tilt: Tensor | None
    enrolment: Tensor | None = None

    def spectra(self) -> Tensor:
        """(batch, voices + 1, bins, frames), complex, the frequency responses applied."""
        spectra = stft(self.sources)[..., :-1]
        return spectra if self.tilt is None else spectra * self.tilt[..., None]


def set_level(x: FloatArray, rms: float) -> FloatArray:
    """Scale to a root mean square over the loud part (samples above a hundredth of the peak)."""
    peak = float(np.abs(x).max(initial=0.0))
    if peak == 0:
        return x
    loud = x[np.abs(x) > 0.01 * peak]
    now = float(np.sqrt(np.mean(np.square(loud, dtype=np.float64)))) if len(loud) else 0.0
    return (x * np.float32(rms / now)) if now > 0 else x


def compress(x: FloatArray, strength: float) -> FloatArray:
    """Compress the dynamics, as in broadcast: the gain is the level of 20 ms to the power
    -`strength`.

    Args:
        x: (samples,).
        strength: 0 leaves the signal unchanged, 1 gives every moment the same level.
    """
    step = SAMPLE_RATE // 50
    pieces = np.pad(x, (0, -len(x) % step)).reshape(-1, step)
    level = np.sqrt(np.mean(pieces**2, axis=1))
    level = np.maximum(level, 0.03 * level.max(initial=1e-6))
    level = np.maximum(level, np.convolve(level, [0.25, 0.5, 0.25], "same"))
    at = (np.arange(len(level)) + 0.5) * step
    gain = np.interp(np.arange(len(x)), at, level**-strength)
    return (x * gain).astype(np.float32)


def smooth_tilt(rng: np.random.Generator, sources: int, spread_db: float) -> FloatArray:
    """Smooth random frequency responses: (sources, bins), linear gain."""
    grid = np.linspace(0, np.pi, BINS)
    shape = np.stack([np.cos(k * grid) for k in (1, 2, 3)])
    amount = rng.normal(0, spread_db / 2, (sources, 3)) / np.array([1, 1.5, 2])
    response = 10 ** (amount @ shape / 20)
    if rng.random() < NARROW:
        # One band limit for all sources: 3.5 to 7.5 kHz, as telephones and codecs have.
        response[:, int(rng.uniform(3500, 7500) / (SAMPLE_RATE / 2) * BINS) :] *= 1e-3
    return np.asarray(response, np.float32)


def degrade(rng: np.random.Generator, sources: FloatArray, settings: MixSettings) -> None:
    """Clip the mixture or encode it with a codec; the distortion is added to the noise source.

    Args:
        rng: generator for all choices.
        sources: (voices + 1, samples), changed in place: the last is noise.
        settings: probabilities of both.
    """
    clipped = settings.clipping_probability and rng.random() < settings.clipping_probability
    coded = settings.codec_probability and rng.random() < settings.codec_probability
    if not clipped and not coded:
        return
    mixture = sources.sum(axis=0)
    heard = mixture
    if clipped:
        heard = overload(heard, float(10 ** rng.uniform(-3, -1.5)))
    if coded:
        heard = through_codec(heard, int(rng.integers(len(CODECS))), float(rng.random()))
    sources[-1] += heard - mixture


class Mixer:
    """Draws mixtures of voices and noise.

    Args:
        speech: voices.
        noise: noises (corpus and person are ignored), or None.
        settings: distribution of the mixtures.
        enrolled: probability that a voice is known from elsewhere.
    """

    def __init__(
        self,
        speech: Sounds,
        noise: Sounds | None,
        settings: MixSettings,
        *,
        enrolled: float = 0.0,
    ) -> None:
        self.speech, self.noise, self.settings = speech, noise, settings
        self.enrolled = enrolled
        self.people: dict[str, dict[str, list[AudioClip]]] = {}
        for clip in speech.clips:
            self.people.setdefault(clip.corpus, {}).setdefault(clip.person, []).append(clip)
        # Draw corpora by the square root of their size, so that small ones occur often too.
        self.corpora = sorted(self.people)
        hours = np.array(
            [sum(c.samples for p in self.people[k].values() for c in p) for k in self.corpora]
        )
        self.weights = np.sqrt(hours) / np.sqrt(hours).sum()

    def voice(
        self, rng: np.random.Generator, clips: list[AudioClip], used: UsedSpeech
    ) -> FloatArray:
        """(samples,) of one person, joined from several clips with pauses where they are short.

        Args:
            rng: decides which.
            clips: of the person.
            used: records which parts of the clips were used.
        """
        length = self.settings.samples
        out = np.zeros(length, np.float32)
        pause_s = 0.03 if rng.random() < self.settings.fluent else 0.25
        at = -int(rng.integers(0, SAMPLE_RATE // 2)) if rng.random() < 0.5 else 0
        if rng.random() < 0.3:
            at = int(rng.integers(0, length // 3))
        speed = self.settings.speed_probability
        factor = rng.uniform(0.9, 1.1) if speed and rng.random() < speed else 1.0
        used.speed = factor
        for _ in range(8):
            clip = clips[rng.integers(len(clips))]
            x, begin = self.speech.audio(clip), 0
            if len(x) > length:
                begin = int(rng.integers(0, len(x) - length))
                x = x[begin : begin + length]
            used.add(clip.offset, begin, begin + len(x))
            if factor != 1:
                x = change_speed(x, factor)
            x = set_level(x, 0.1)
            if at < 0:
                x, at = x[-at:], 0
            part = x[: length - at]
            out[at : at + len(part)] = part
            at += len(x) + int(rng.exponential(pause_s) * SAMPLE_RATE)
            if at >= length or rng.random() < 0.1:
                break
        return out

    def background(self, rng: np.random.Generator) -> FloatArray:
        """(samples,) of noise."""
        assert self.noise is not None
        length = self.settings.samples
        clip = self.noise.clips[rng.integers(len(self.noise.clips))]
        x = self.noise.audio(clip)
        if len(x) < length:
            x = np.tile(x, -(-length // max(1, len(x))))
        begin = int(rng.integers(0, len(x) - length + 1))
        return x[begin : begin + length]

    def draw(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw a batch."""
        cfg = self.settings
        most = len(cfg.voices)
        sources = np.zeros((size, most + 1, cfg.samples), np.float32)
        present = np.zeros((size, most), np.float32)
        tilt = np.ones((size, most + 1, BINS), np.float32)
        talkers = []
        for b in range(size):
            corpus = self.corpora[rng.choice(len(self.corpora), p=self.weights)]
            people = self.people[corpus]
            names = list(people)
            count = min(1 + int(rng.choice(most, p=cfg.voices)), len(names))
            inside = rng.random() < cfg.room_probability
            room = draw_room(rng, cfg.rooms) if inside else None
            for v, name in enumerate(rng.choice(len(names), count, replace=False)):
                used, theirs = UsedSpeech(), people[names[int(name)]]
                x = self.voice(rng, theirs, used)
                talkers.append(Talker(b, v, [clip.offset for clip in theirs], used))
                if rng.random() < cfg.compression_probability:
                    x = set_level(compress(x, rng.uniform(0.2, 0.8)), 0.1)
                if room is not None:
                    x = reverberate(x, room(rng))
                gain_db = rng.uniform(-cfg.spread_db, cfg.spread_db) / 2
                sources[b, v] = x * np.float32(10 ** (gain_db / 20))
                present[b, v] = 1
            chance = cfg.noise_probability if count > 1 else 0.5 + cfg.noise_probability / 2
            if self.noise is not None and rng.random() < chance:
                snr_db = rng.uniform(*cfg.snr_db) if count == 1 else rng.uniform(0, cfg.snr_db[1])
                sources[b, -1] = set_level(self.background(rng), 0.1 * 10 ** (-snr_db / 20))
            degrade(rng, sources[b], cfg)
            tilt[b] = smooth_tilt(rng, most + 1, cfg.tilt_db)
        return Batch(
            torch.from_numpy(sources),
            torch.from_numpy(present),
            torch.from_numpy(tilt),
            self.enrolment(rng, sources, talkers),
        )

    def enrolment(
        self, rng: np.random.Generator, sources: FloatArray, talkers: Sequence[Talker]
    ) -> Tensor | None:
        """See `Batch`; what else is drawn is the same with and without."""
        if not self.enrolled:
            return None
        (own,) = rng.spawn(1)
        clips = self.speech.clips
        drawn = draw_enrolments(
            own, self.enrolled, sources, talkers, lambda n: self.speech.audio(clips[n])
        )
        return torch.from_numpy(drawn)
