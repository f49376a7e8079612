"""Draw mixtures of talking faces: clips joined to length, augmented and mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from avse.data.clips import SAMPLES_PER_FRAME, ClipSet, Sounds, TalkingClip
from avse.dsp.stft import BINS
from avse.faces.lips import motion_scale
from avse.training.enrolment import Talker, UsedSpeech, draw_enrolments
from avse.training.mixing import Batch, MixSettings, degrade, set_level, smooth_tilt
from avse.training.rooms import draw_room, reverberate
from avse.types import FloatArray

BORROWED = 0.6
"""Probability that a person who is alone in their corpus is mixed with people of another one.
Mixtures of two sentences by one person only would teach the network to ignore the voice."""


@dataclass(frozen=True)
class FaceSettings:
    """Augmentation of faces.

    Attributes:
        jitter: largest shift between sound and lips, in video frames.
        absent: probability that one of the faces has no voice in the mixture.
        lost: probability that a face's lips are unseen for a stretch.
        lost_share: longest such stretch, as a share of the mixture.
    """

    jitter: int = 1
    absent: float = 0.0
    lost: float = 0.15
    lost_share: float = 0.5


@dataclass
class TalkingBatch:
    """Mixtures of visible speakers.

    Attributes:
        batch: the sound; see `Batch`.
        lips: (batch, voices, frames, points, 3), minus each clip's median.
        seen: (batch, voices, frames).
        faces: (batch, voices), 1 where there is a face, speaking or not.
    """

    batch: Batch
    lips: Tensor
    seen: Tensor
    faces: Tensor


MEASURED = 40
"""Number of clips of a person from which the motion scale is estimated."""


def usual_scale(clips: Sequence[TalkingClip]) -> float:
    """Factor that normalises a person's lip motion, as separation does."""
    moved, seen = (np.concatenate([getattr(c, k) for c in clips]) for k in ("lips", "seen"))
    return motion_scale(moved, seen > 0)


class TalkingMixer:
    """Draws mixtures of talking clips, joined to the length of a mixture person by person.

    Args:
        clips: talking faces.
        noise: or None.
        settings: distribution of the mixtures.
        faces: augmentation of the faces.
        enrolled: probability that a voice is known from elsewhere.
    """

    def __init__(
        self,
        clips: ClipSet,
        noise: Sounds | None,
        settings: MixSettings,
        faces: FaceSettings,
        *,
        enrolled: float = 0.0,
    ) -> None:
        self.clips, self.noise, self.enrolled = clips, noise, enrolled
        self.settings, self.faces = settings, faces
        self.people = clips.people()
        self.scale: dict[int, float] = {}
        frames = []
        for corpus in sorted(self.people):
            for theirs in self.people[corpus].values():
                some = theirs[:: -(-len(theirs) // MEASURED)]
                scale = usual_scale([clips.clip(n) for n in some])
                self.scale |= dict.fromkeys(theirs, scale)
            frames.append(sum(clips.row(n).frames for p in self.people[corpus].values() for n in p))
        self.corpora = sorted(self.people)
        self.weights = np.sqrt(frames) / np.sqrt(frames).sum()

    def talk(
        self, rng: np.random.Generator, clips: Sequence[int], used: UsedSpeech | None = None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Draw one person from their clips: (samples,), (frames, points, 3) and (frames,) seen.

        `used` records which parts of the clips were used.
        """
        frames = self.settings.samples // SAMPLES_PER_FRAME
        sound, lips, seen, count = [], [], [], 0
        taken = []
        while count < frames + 2:
            place = clips[rng.integers(len(clips))]
            clip = self.clips.clip(place)
            late = int(rng.integers(-self.faces.jitter, self.faces.jitter + 1))
            x, points, there = clip.audio, clip.lips, clip.seen
            if late > 0:
                x, points, there = x[late * SAMPLES_PER_FRAME :], points[:-late], there[:-late]
            elif late < 0:
                x, points, there = x[: late * SAMPLES_PER_FRAME], points[-late:], there[-late:]
            stretch = np.float32(self.scale[place] * np.exp(rng.normal(0, 0.15)))
            sound.append(set_level(x, 0.1))
            lips.append(points * stretch)
            seen.append(there)
            taken.append((place, max(late, 0), count, len(there)))
            count += len(there)
        begin = int(rng.integers(0, count - frames + 1))
        if used is not None:
            for place, skipped, at, length in taken:
                first, last = max(begin - at, 0), min(begin + frames - at, length)
                if last > first:
                    first, last = ((skipped + n) * SAMPLES_PER_FRAME for n in (first, last))
                    used.add(place, first, last)
        here = slice(begin, begin + frames)
        samples = slice(begin * SAMPLES_PER_FRAME, (begin + frames) * SAMPLES_PER_FRAME)
        points, there = np.concatenate(lips)[here].copy(), np.concatenate(seen)[here].copy()
        if rng.random() < self.faces.lost:
            gone = int(rng.integers(0, frames))
            longest = max(6, int(self.faces.lost_share * frames))
            there[gone : gone + int(rng.integers(5, longest))] = 0
        return np.concatenate(sound)[samples].copy(), points, there

    def draw(self, rng: np.random.Generator, size: int) -> TalkingBatch:
        """Draw a batch."""
        cfg = self.settings
        most, frames = len(cfg.voices), cfg.samples // SAMPLES_PER_FRAME
        sources = np.zeros((size, most + 1, cfg.samples), np.float32)
        lips = np.zeros((size, most, frames, 43, 3), np.float32)
        seen = np.zeros((size, most, frames), np.float32)
        faces = np.zeros((size, most), np.float32)
        present = np.zeros((size, most), np.float32)
        tilt = np.ones((size, most + 1, BINS), np.float32)
        talkers = []
        for b in range(size):
            people = self.people[self.corpora[rng.choice(len(self.corpora), p=self.weights)]]
            if len(people) == 1 and rng.random() < BORROWED:
                people = {**people, **self.people[self.corpora[rng.choice(len(self.corpora))]]}
            names = list(people)
            count = 1 + int(rng.choice(most, p=cfg.voices))
            # One person alone can still be mixed with another sentence of their own.
            chosen = rng.choice(len(names), count, replace=count > len(names))
            silent = (
                int(rng.integers(count)) if count > 1 and rng.random() < self.faces.absent else -1
            )
            room, used = None, UsedSpeech()
            for v, who in enumerate(chosen):
                theirs = people[names[int(who)]]
                x, lips[b, v], seen[b, v] = self.talk(rng, theirs, used)
                talkers.append(Talker(b, v, theirs, used))
                faces[b, v] = 1
                if v == silent:
                    if rng.random() < 0.5:
                        lips[b, v] = lips[b, v, :1] + rng.normal(0, 0.003, lips[b, v].shape)
                    continue
                if rng.random() < cfg.room_probability:
                    room = room or draw_room(rng, cfg.rooms)
                    x = reverberate(x, room(rng))
                gain_db = rng.uniform(-cfg.spread_db, cfg.spread_db) / 2
                sources[b, v] = x * np.float32(10 ** (gain_db / 20))
                present[b, v] = 1
            if self.noise is not None and rng.random() < cfg.noise_probability:
                clip = self.noise.clips[rng.integers(len(self.noise.clips))]
                x = np.resize(self.noise.audio(clip), cfg.samples)
                snr_db = rng.uniform(0 if count > 1 else cfg.snr_db[0], cfg.snr_db[1])
                sources[b, -1] = set_level(x, 0.1 * 10 ** (-snr_db / 20))
            degrade(rng, sources[b], cfg)
            tilt[b] = smooth_tilt(rng, most + 1, cfg.tilt_db)
        enrolment = None
        if self.enrolled:
            (own,) = rng.spawn(1)  # what else is drawn is the same with and without
            enrolment = torch.from_numpy(
                draw_enrolments(
                    own, self.enrolled, sources, talkers, lambda n: self.clips.clip(n).audio
                )
            )
        sound = Batch(
            torch.from_numpy(sources), torch.from_numpy(present), torch.from_numpy(tilt), enrolment
        )
        return TalkingBatch(
            sound, torch.from_numpy(lips), torch.from_numpy(seen), torch.from_numpy(faces)
        )
