"""Build queries: mixtures with target speakers, given by real lips or by cues made from sound.

Half of a batch of the separating stages are mixtures of talking clips, in which the lips choose
the target voice. The other half are mixtures of audio-only speech, which has many more voices;
there the lip embeddings are made from the sound (see `avse.training.cues`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from avse.dsp.stft import HOPS_PER_VIDEO_FRAME, stft
from avse.models.embeddings import voice_embedding
from avse.models.network import AVSENet
from avse.models.voiceprint import VoiceprintNet, enrolment, pooled
from avse.training.compute import Compute
from avse.training.cues import PseudoLipBank
from avse.training.device_mixing import ResidentMixer, ResidentTalkingMixer
from avse.training.lip_augmentation import on, varied
from avse.training.mixing import Batch, Mixer, smooth_tilt
from avse.training.recipe import LipVariation, QuerySettings
from avse.training.talking_mixtures import TalkingBatch, TalkingMixer


@dataclass
class Queries:
    """Mixtures and their target speakers.

    Attributes:
        batch: the mixtures.
        owner: (queries,) index of the mixture.
        voice: (queries,) index of the voice in it; the number of voices for an absent one.
        lips: (queries, embedding, frames).
        seen: (queries, frames).
        group: (queries,) equal for faces in one picture, whose masks compete; below twice the
            number of queries.
        enrolment: (queries, width), see `avse.models.voiceprint.enrolment`; None if nobody is
            known.
    """

    batch: Batch
    owner: Tensor
    voice: Tensor
    lips: Tensor
    seen: Tensor
    group: Tensor
    enrolment: Tensor | None = None


def joined(first: Queries, second: Queries) -> Queries:
    """One batch out of two."""
    a, b = first.batch, second.batch
    batch = Batch(
        torch.cat([a.sources, b.sources]),
        torch.cat([a.present, b.present]),
        _both(a.tilt, b.tilt),
    )
    return Queries(
        batch,
        torch.cat([first.owner, second.owner + len(a.sources)]),
        torch.cat([first.voice, second.voice]),
        torch.cat([first.lips, second.lips]),
        torch.cat([first.seen, second.seen]),
        torch.cat([first.group, second.group + 2 * len(first.group)]),
        _both(first.enrolment, second.enrolment),
    )


def _both(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    return None if first is None or second is None else torch.cat([first, second])


@dataclass(frozen=True)
class MixtureSource:
    """Draws mixtures of talking faces and of speech, so many of each; either may be left out."""

    talking: TalkingMixer | ResidentTalkingMixer | None
    speech: Mixer | ResidentMixer | None
    faces: int
    voices: int

    def draw(self, rng: np.random.Generator) -> tuple[TalkingBatch | None, Batch | None]:
        """Draw a batch of each."""
        talking = self.talking.draw(rng, self.faces) if self.talking and self.faces else None
        speech = self.speech.draw(rng, self.voices) if self.speech and self.voices else None
        return talking, speech


class Enroller:
    """Computes voiceprints of enrolled voices.

    Args:
        voiceprint: frozen voiceprint network.
        tilt_db: spread of the frequency response that each sound is given.
    """

    def __init__(self, voiceprint: VoiceprintNet, tilt_db: float = 0.0) -> None:
        self.voiceprint, self.tilt_db = voiceprint.eval().requires_grad_(False), tilt_db

    @torch.no_grad()
    def __call__(self, sounds: Tensor, rng: np.random.Generator) -> Tensor:
        """(n, samples), 0 for voices without enrolment -> (n, width), see `Queries`."""
        out = torch.zeros(len(sounds), self.voiceprint.spec.size, device=sounds.device)
        known = sounds.abs().amax(dim=-1) > 0
        count = int(known.sum())
        if not count:
            return out
        spectrum = stft(sounds[known])[..., :-1].abs()
        tilt = torch.from_numpy(smooth_tilt(rng, count, self.tilt_db)).to(sounds.device)
        power = spectrum.square().mean(dim=1)
        energy = power.reshape(count, -1, HOPS_PER_VIDEO_FRAME).mean(dim=-1)
        loud = (energy > 1e-3 * energy.amax(dim=-1, keepdim=True)).float()
        out[known] = enrolment(pooled(self.voiceprint(spectrum * tilt[..., None]), loud))
        return out


class QueryBuilder:
    """Turns mixtures into queries.

    Args:
        network: its visual stream embeds the lips; gradients reach it if they are enabled.
        bank: makes cues for audio-only speech; None if there is none.
        how: see `QuerySettings`.
        variation: of real lips.
        compute: where.
        enroller: makes voiceprints of enrolled voices; None if the network takes none.
    """

    def __init__(
        self,
        network: AVSENet,
        bank: PseudoLipBank | None,
        how: QuerySettings,
        variation: LipVariation,
        compute: Compute,
        enroller: Enroller | None = None,
    ) -> None:
        self.network, self.bank, self.how = network, bank, how
        self.variation, self.compute, self.enroller = variation, compute, enroller

    def faces(self, talking: TalkingBatch, rng: np.random.Generator) -> Queries:
        """Query every face of every mixture, with augmented lips."""
        owner, voice = talking.faces.nonzero(as_tuple=True)
        seen = talking.seen[owner, voice]
        points = talking.lips[owner, voice]
        components = varied(self.network.visual, points, seen, self.variation, rng)
        components, seen = self.out_of_step(components, seen, rng)
        lips = self.watch(components, seen)
        known = self.enrolment(talking.batch, owner, voice, rng)
        queries = Queries(talking.batch, owner, voice, lips, seen, owner, known)
        return self.with_onlookers(queries, rng)

    def speech(self, speech: Batch, rng: np.random.Generator) -> Queries:
        """Query every voice of every mixture, and at random an absent one."""
        assert self.bank is not None, "speech without a picture needs a bank of cues"
        how, device = self.how, speech.sources.device
        owner, voice = speech.present.nonzero(as_tuple=True)
        with torch.no_grad():
            embedded = voice_embedding(self.network, speech.sources[owner, voice])
            cues = self.bank.cues(embedded, rng)
        known = self.enrolment(speech, owner, voice, rng)
        size, most = speech.present.shape
        absent = rng.random(len(owner)) < how.absent
        if absent.any():
            # The cue of a voice is used for a mixture without that voice: the target is silence.
            stranger = torch.from_numpy(np.flatnonzero(absent)).to(device)
            asked = (owner[stranger] + 1) % size
            owner, voice = torch.cat([owner, asked]), torch.cat([voice, most + 0 * asked])
            cues = torch.cat([cues, cues[stranger]])
            known = None if known is None else torch.cat([known, known[stranger]])
        count, frames = len(owner), cues.shape[-1]
        time = np.arange(frames)
        begin = rng.integers(0, frames, (count, 1))
        longest = max(6, int(how.lost_share * frames))
        end = begin + rng.integers(5, longest, (count, 1))
        lost = (rng.random((count, 1)) < how.lost) & (time >= begin) & (time < end)
        cues, _ = self.out_of_step(cues, cues[:, 0], rng)
        seen = on(cues, ~lost)
        queries = Queries(speech, owner, voice, cues * seen[:, None], seen, owner, known)
        return self.with_onlookers(queries, rng)

    def enrolment(
        self, batch: Batch, owner: Tensor, voice: Tensor, rng: np.random.Generator
    ) -> Tensor | None:
        """Voiceprints of voices of some mixtures; see `Queries`."""
        if self.enroller is None or batch.enrolment is None:
            return None
        return self.enroller(batch.enrolment[owner, voice], rng)

    def out_of_step(
        self, cues: Tensor, seen: Tensor, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Shift some cues in time against their voices, cyclically.

        Args:
            cues: (n, channels, frames).
            seen: (n, frames).
            rng: generator for all choices.
        """
        how, (count, _, frames) = self.how, cues.shape
        late = rng.integers(-how.most_late, how.most_late + 1, (count, 1))
        late = late * (rng.random((count, 1)) < how.late)
        moved = torch.from_numpy((np.arange(frames) - late) % frames).to(cues.device)
        return cues.gather(-1, moved[:, None].expand_as(cues)), seen.gather(-1, moved)

    def watch(self, components: Tensor, seen: Tensor) -> Tensor:
        """(n, components, frames), (n, frames) -> (n, embedding, frames)."""
        with self.compute.autocast():
            lips: Tensor = self.network.visual(components, seen)
        return lips.float()

    def with_onlookers(self, queries: Queries, rng: np.random.Generator) -> Queries:
        """Add some still, silent faces; then group the faces of one picture."""
        frames, device = queries.lips.shape[-1], queries.lips.device
        size, most = queries.batch.present.shape
        looked_on = torch.from_numpy(np.flatnonzero(rng.random(size) < self.how.still)).to(device)
        if len(looked_on):
            count = len(looked_on)
            shape = (count, self.network.spec.lip_components, frames)
            noise = on(queries.lips, rng.uniform(0, 0.15, (count, 1, 1)))
            seen = torch.ones(count, frames, device=device)
            lips = self.watch(noise * torch.randn(shape, device=device), seen)
            known = queries.enrolment
            queries = Queries(
                queries.batch,
                torch.cat([queries.owner, looked_on]),
                torch.cat([queries.voice, torch.full((count,), most, device=device)]),
                torch.cat([queries.lips, lips]),
                torch.cat([queries.seen, seen]),
                queries.group,
                None
                if known is None
                else torch.cat([known, known.new_zeros(count, known.shape[1])]),
            )
        return dataclasses.replace(queries, group=pictures(queries.owner, rng, self.how.alone))


def pictures(owner: Tensor, rng: np.random.Generator, alone: float) -> Tensor:
    """Groups of faces whose masks compete: those of a mixture, or at random one face alone."""
    single = torch.from_numpy(rng.random(len(owner)) < alone).to(owner.device)
    # There are no more mixtures than queries, so the numbers from there on are free.
    return torch.where(single, len(owner) + torch.arange(len(owner), device=owner.device), owner)
