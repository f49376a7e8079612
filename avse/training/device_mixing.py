"""Draw mixtures on the training device, from corpora in its memory.

The mixtures follow the settings of `avse.training.mixing` and `avse.training.talking_mixtures`,
with these differences: levels are set over whole clips, talking faces change speed together with
their voices, frequency responses are already applied to the sources, and codecs are not simulated.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from avse.data.clips import SAMPLES_PER_FRAME, ClipSet
from avse.dsp.stft import SAMPLE_RATE
from avse.errors import UsageError
from avse.training.device_corpora import (
    FAST,
    LOUD,
    PIECES,
    SLOW,
    ClipIndex,
    DeviceRandom,
    Pieces,
    ResidentSounds,
    index_clips,
    joined_on,
    loudness_gain,
    quantised,
)
from avse.training.device_enrolment import draw_enrolments_on_device
from avse.training.mixing import NARROW, Batch, MixSettings
from avse.training.rooms import draw_room
from avse.training.talking_mixtures import (
    BORROWED,
    MEASURED,
    FaceSettings,
    TalkingBatch,
    usual_scale,
)

ROOMS, PLACES = 256, 4
"""Rooms that are simulated in advance, and speakers' places in each."""

BABBLE = 6
"""Voices of babble noise."""

PAUSING = 0.4
"""Probability that a talking face pauses between clips, for up to 20 video frames."""


class Acoustics:
    """Simulates acoustics and recording: rooms, frequency responses, loudness, clipping.

    Args:
        settings: probability of each effect.
        device: where.
    """

    def __init__(self, settings: MixSettings, device: torch.device) -> None:
        self.settings, self.device = settings, device
        self.size = 1 << (settings.samples + SAMPLE_RATE // 2).bit_length()
        frequency = torch.linspace(0, torch.pi, self.size // 2 + 1, device=device)
        self.shapes = torch.stack([torch.cos(k * frequency) for k in (1, 2, 3)])
        self.hertz = frequency / torch.pi * SAMPLE_RATE / 2
        self.rooms: Tensor | None = None
        if settings.room_probability:
            rng = np.random.default_rng(0)
            bank = torch.zeros(ROOMS, PLACES, SAMPLE_RATE // 2)
            for n in range(ROOMS):
                room = draw_room(rng, settings.rooms)
                for k in range(PLACES):
                    response = torch.from_numpy(room(rng))[: bank.shape[-1]]
                    bank[n, k, : len(response)] = response
            self.rooms = bank.to(device)

    def responses(self, random: DeviceRandom, mixtures: int, sources: int) -> Tensor:
        """Smooth random frequency responses: (mixtures, sources, frequencies)."""
        spread = self.settings.tilt_db / 2 / torch.tensor([1, 1.5, 2], device=self.device)
        amount = random.normal(mixtures, sources, 3) * spread
        response = torch.pow(10.0, amount @ self.shapes / 20)
        limit = random.uniform(mixtures, 1, 1, low=3500, high=7500)
        narrow = (random.uniform(mixtures, 1, 1) < NARROW) & (self.hertz > limit)
        return torch.where(narrow, 1e-3 * response, response)

    def apply(self, random: DeviceRandom, sources: Tensor) -> Tensor:
        """Filter (mixtures, sources, samples), the last source being noise, which has no room."""
        mixtures, count, samples = sources.shape
        spectrum = torch.fft.rfft(sources, self.size)
        spectrum = spectrum * self.responses(random, mixtures, count)
        inside = round(self.settings.room_probability * mixtures)
        if self.rooms is not None and inside:
            # The mixtures of a batch are exchangeable, so the first ones can be those in rooms.
            limit = torch.full((inside,), ROOMS, device=self.device)
            places = random.distinct(torch.full_like(limit, PLACES), min(PLACES, count - 1))
            room = self.rooms[random.below(limit)[:, None], places]
            heard = spectrum[:inside, : room.shape[1]] * torch.fft.rfft(room, self.size)
            spectrum[:inside, : room.shape[1]] = heard
        out: Tensor = torch.fft.irfft(spectrum, self.size)[..., :samples]
        return out

    def even_out(self, random: DeviceRandom, voices: Tensor) -> Tensor:
        """Compress the dynamics of some of (n, samples), as in broadcast (`mixing.compress`)."""
        count, length = voices.shape
        step = SAMPLE_RATE // 50
        level = functional.avg_pool1d(voices.square()[:, None], step, ceil_mode=True).sqrt()
        level = torch.maximum(level, 0.03 * level.amax(dim=-1, keepdim=True).clamp_min(1e-6))
        smooth = functional.avg_pool1d(functional.pad(level, (1, 1), mode="replicate"), 3, 1)
        level = torch.maximum(level, smooth)
        strength = random.uniform(count, 1, 1, low=0.2, high=0.8)
        strength = strength * (random.uniform(count, 1, 1) < self.settings.compression_probability)
        gain = functional.interpolate((level / LOUD).pow(-strength), length, mode="linear")
        return voices * gain[:, 0].clamp_max(30.0)

    def overload(self, random: DeviceRandom, sources: Tensor) -> Tensor:
        """Clip the peaks of some mixtures; the distortion is added to the noise source."""
        count = round(self.settings.clipping_probability * len(sources))
        if not count:
            return sources
        some = sources[-count:]
        mixture = some.sum(dim=1)
        limit = mixture.square().mean(dim=-1, keepdim=True).sqrt()
        limit = limit * random.uniform(count, 1, low=1.8, high=4.5)
        added = torch.maximum(torch.minimum(mixture, limit), -limit) - mixture
        some = torch.cat([some[:, :-1], some[:, -1:] + added[:, None]], dim=1)
        return torch.cat([sources[:-count], some])


class ResidentMixer:
    """Draws mixtures of voices and noise, like `Mixer`.

    Args:
        speech: voices.
        noise: or None.
        settings: distribution of the mixtures.
        device: where.
        enrolled: probability that a voice is known from elsewhere.

    Raises:
        UsageError: the settings ask for codecs.
    """

    def __init__(
        self,
        speech: ResidentSounds,
        noise: ResidentSounds | None,
        settings: MixSettings,
        device: torch.device,
        *,
        enrolled: float = 0.0,
    ) -> None:
        if settings.codec_probability:
            raise UsageError(
                "codecs cannot be simulated on the device",
                'set codec_probability = 0, or mixing = "workers"',
            )
        self.speech, self.noise, self.settings = speech, noise, settings
        self.device, self.enrolled = device, enrolled
        self.acoustics = Acoustics(settings, device)

    def draw(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw a batch; frequency responses are already applied."""
        cfg, random = self.settings, DeviceRandom(rng, self.device)
        most = len(cfg.voices)
        speaker = self.speech.speakers(random, size, most)
        voices, pieces = self.speech.voices(random, speaker.flatten(), cfg)
        voices = self.acoustics.even_out(random, voices).reshape(size, most, -1)
        count = 1 + random.choose(torch.tensor(cfg.voices, device=self.device), size)
        present = (torch.arange(most, device=self.device) < count[:, None]).float()
        sources = self.mixed(random, voices * present[..., None], count)
        # A voice may have been silent in the stretch that was drawn.
        present = present * (sources[:, :-1].abs().amax(dim=-1) > 1e-5)
        corpus = self.speech.samples, self.speech.index
        enrolment = self.enrolment(rng, corpus, speaker, pieces, sources)
        return Batch(sources, present, None, enrolment)

    def enrolment(
        self,
        rng: np.random.Generator,
        corpus: tuple[Tensor, ClipIndex],
        speaker: Tensor,
        pieces: Pieces,
        sources: Tensor,
    ) -> Tensor | None:
        """See `Batch`; what else is drawn is the same with and without."""
        if not self.enrolled:
            return None
        random = DeviceRandom(rng.spawn(1)[0], self.device)
        return draw_enrolments_on_device(random, self.enrolled, corpus, speaker, pieces, sources)

    def mixed(self, random: DeviceRandom, voices: Tensor, count: Tensor) -> Tensor:
        """(mixtures, voices, samples) at the usual level -> sources at levels of their own."""
        cfg = self.settings
        size, most, length = voices.shape
        gain_db = random.uniform(size, most, 1, low=-cfg.spread_db, high=cfg.spread_db) / 2
        voices = voices * torch.pow(10.0, gain_db / 20)
        noise = torch.zeros(size, 1, length, device=self.device)
        if self.noise is not None:
            alone = count == 1
            snr_db = random.uniform(size, low=cfg.snr_db[0], high=cfg.snr_db[1])
            milder = random.uniform(size, low=0.0, high=cfg.snr_db[1])
            snr_db = torch.where(alone, snr_db, milder)
            chance = torch.where(alone, 0.5 + cfg.noise_probability / 2, cfg.noise_probability)
            there = random.uniform(size) < chance
            background = self.noise.background(random, size, length)
            babble = round(cfg.babble_probability * size)
            if babble:
                speaker = self.speech.speakers(random, babble, BABBLE)
                crowd, _ = self.speech.voices(random, speaker.flatten(), cfg)
                background[:babble] = crowd.reshape(babble, BABBLE, -1).mean(dim=1) * BABBLE**0.5
                # Mixtures in rooms come first; which mixtures have babble must not follow them.
                background = background.roll(int(size * 0.6), dims=0)
            noise[:, 0] = background * (there * torch.pow(10.0, -snr_db / 20))[:, None]
        return self.acoustics.overload(
            random, self.acoustics.apply(random, torch.cat([voices, noise], dim=1))
        )


class ResidentTalkingMixer:
    """Draws mixtures of talking faces, like `TalkingMixer`.

    Args:
        clips: talking faces.
        mixer: its noise, acoustics and settings are used, and its voices for babble.
        faces: how faces are varied.
        device: where.
    """

    def __init__(
        self, clips: ClipSet, mixer: ResidentMixer, faces: FaceSettings, device: torch.device
    ) -> None:
        self.mixer, self.faces, self.device = mixer, faces, device
        self.settings = mixer.settings
        names, frames, gains, scales = [], [], [], []
        audio, lips, seen = [], [], []
        people = clips.people()
        for corpus in sorted(people):
            for person in sorted(people[corpus]):
                theirs = people[corpus][person]
                some = theirs[:: -(-len(theirs) // MEASURED)]
                scale = usual_scale([clips.clip(n) for n in some])
                for n in theirs:
                    clip = clips.clip(n)
                    length = min(len(clip.seen), len(clip.audio) // SAMPLES_PER_FRAME)
                    names.append((corpus, person))
                    frames.append(length)
                    audio.append(quantised(clip.audio[: length * SAMPLES_PER_FRAME]))
                    lips.append(clip.lips[:length].astype(np.float16))
                    seen.append(clip.seen[:length])
                    gains.append(loudness_gain(audio[-1]))
                    scales.append(scale)
        self.samples = torch.from_numpy(np.concatenate(audio)).to(device)
        self.lips = torch.from_numpy(np.concatenate(lips)).flatten(1).to(device)
        self.seen = torch.from_numpy(np.concatenate(seen)).to(device)
        self.scale = torch.tensor(scales, dtype=torch.float32, device=device)
        self.index = index_clips(names, [n * SAMPLES_PER_FRAME for n in frames], gains, device)

    def speakers(self, random: DeviceRandom, mixtures: int, voices: int) -> Tensor:
        """(mixtures, voices) people of one corpus in each; who is alone in theirs meets others."""
        index = self.index
        corpus = random.choose(index.weights, mixtures)
        chosen = index.first_person[corpus][:, None] + random.distinct(index.people[corpus], voices)
        anybody = random.below(torch.full_like(chosen, len(index.clips)))
        lonely = (index.people[corpus] < voices) & (random.uniform(mixtures) < BORROWED)
        chosen[:, 1:] = torch.where(lonely[:, None], anybody, chosen)[:, 1:]
        return chosen

    def talk(self, random: DeviceRandom, speaker: Tensor) -> tuple[Tensor, Tensor, Tensor, Pieces]:
        """(n,) people -> (n, samples), (n, frames, points × 3), (n, frames) seen, pieces."""
        index, cfg, count = self.index, self.settings, len(speaker)
        frames, shape = cfg.samples // SAMPLES_PER_FRAME, (count, PIECES)
        clip = index.first_clip[speaker][:, None] + random.below(
            index.clips[speaker][:, None].expand(shape)
        )
        length = index.length[clip] // SAMPLES_PER_FRAME
        quick = random.uniform(count, 1) < cfg.speed_probability
        speed = torch.where(quick, random.uniform(count, 1, low=SLOW, high=FAST), 1.0)
        lasts = (length / speed).long().clamp_min(1)
        skipped = random.below((lasts - frames).clamp_min(0))
        # A first clip that is shorter than the mixture may have begun before it.
        begun = random.below(lasts[:, 0] // 2) * (lasts[:, 0] <= frames)
        skipped[:, 0] += begun
        lasts = (lasts - skipped).clamp_max(frames)
        # In a pause the mouth rests: its motion is 0.
        rests = (20 * random.uniform(*shape) * (random.uniform(count, 1) < PAUSING)).long()
        at = (lasts + rests).cumsum(dim=1) - (lasts + rests)
        jitter = random.below(torch.full(shape, 2 * self.faces.jitter + 1, device=self.device))
        jitter = jitter - self.faces.jitter
        pieces = Pieces(
            index.begin[clip],
            index.length[clip],
            index.gain[clip],
            SAMPLES_PER_FRAME * at,
            SAMPLES_PER_FRAME * lasts,
            SAMPLES_PER_FRAME * skipped,
            SAMPLES_PER_FRAME * jitter,
            speed,
        )
        sound = joined_on(self.device)(self.samples, cfg.samples, pieces)
        tick = torch.arange(frames, device=self.device)
        # Which piece each video frame belongs to; the rest after a piece is part of it.
        piece = (tick[None, None] >= at[..., None]).sum(dim=1) - 1
        here = tick - at.gather(1, piece)
        talks = here < lasts.gather(1, piece)
        place = (here + skipped.gather(1, piece)) * speed
        first, last = index.begin[clip] // SAMPLES_PER_FRAME, length - 1
        first, last = first.gather(1, piece), last.gather(1, piece)
        before = first + torch.minimum(place.long().clamp_min(0), last)
        after = torch.minimum(before + 1, first + last)
        share = (place - place.floor())[..., None]
        lips = torch.lerp(self.lips[before].float(), self.lips[after].float(), share)
        stretch = self.scale[clip[:, :1]] * torch.exp(0.15 * random.normal(count, 1))
        lips = lips * (talks * stretch)[..., None]
        seen = torch.where(talks, self.seen[before] * self.seen[after], 1.0)
        begin = random.below(torch.full((count,), frames, device=self.device))
        longest = max(1, int(self.faces.lost_share * frames) - 5)
        gone = 5 + random.below(torch.full((count,), longest, device=self.device))
        hidden = (tick >= begin[:, None]) & (tick < (begin + gone)[:, None])
        hidden = hidden & (random.uniform(count, 1) < self.faces.lost)
        return sound, lips, seen * ~hidden, pieces

    def draw(self, rng: np.random.Generator, size: int) -> TalkingBatch:
        """Draw a batch; frequency responses are already applied."""
        cfg, random = self.settings, DeviceRandom(rng, self.device)
        most = len(cfg.voices)
        speaker = self.speakers(random, size, most)
        sound, lips, seen, pieces = self.talk(random, speaker.flatten())
        sound = sound.reshape(size, most, -1)
        lips = lips.reshape(size, most, -1, lips.shape[-1] // 3, 3)
        count = 1 + random.choose(torch.tensor(cfg.voices, device=self.device), size)
        numbers = torch.arange(most, device=self.device)
        faces = (numbers < count[:, None]).float()
        mute = (numbers == random.below(count)[:, None]) & (count[:, None] > 1)
        mute = mute & (random.uniform(size, 1) < self.faces.absent)
        present = faces * ~mute
        still = mute & (random.uniform(size, most) < 0.5)
        rest = lips[:, :, :1] + 0.003 * random.normal(*lips.shape)
        lips = torch.where(still[..., None, None, None], rest, lips)
        sources = self.mixer.mixed(random, sound * present[..., None], count)
        corpus = self.samples, self.index
        enrolment = self.mixer.enrolment(rng, corpus, speaker, pieces, sources)
        return TalkingBatch(
            Batch(sources, present, None, enrolment),
            lips * faces[..., None, None, None],
            seen.reshape(size, most, -1) * faces[..., None],
            faces,
        )
