"""Stage "joint": everything together, on talking faces and on speech without a picture.

Half of a batch are mixtures of talking clips, in which the lips decide whose voice is wanted. The
other half are mixtures of audio-only speech, whose many more voices teach separation; there the
lips are made from the sound (see `avse.train.cues`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from avse.models.network import AVSENet, compete, level
from avse.stft import SAMPLE_RATE, VIDEO_RATE, stft
from avse.train.cues import CueBank, voice_embedding
from avse.train.loop import Losses
from avse.train.losses import compressed_loss, mask_error, snr_loss
from avse.train.mixing import Batch, Mixer
from avse.train.talking import TalkingBatch, TalkingMixer

DRIFT = 7
"""Half the length, in video frames, over which slow errors of the lips are smoothed."""

ALONE = 0.2
"""Probability that a face competes with nobody, as when the others are out of sight."""

LOST = 0.2
"""Probability that a stretch of a made cue is unseen."""

LATE = 0.3
"""Probability that a made cue is out of step with its voice."""

MOST_LATE = 4
"""Video frames by which it then is, at most, either way."""

STILL = 0.1
"""Probability that a silent face with still lips looks on."""


@dataclass
class Queries:
    """Mixtures, and whom to find in them.

    Attributes:
        batch: the mixtures.
        owner: (queries,) which mixture each is about.
        voice: (queries,) which of its voices; the number of voices for one that is not in it.
        lips: (queries, embedding, frames).
        seen: (queries, frames).
        group: (queries,) whose faces are in one picture and compete; below twice the number
            of queries.
    """

    batch: Batch
    owner: Tensor
    voice: Tensor
    lips: Tensor
    seen: Tensor
    group: Tensor


def joined(first: Queries, second: Queries) -> Queries:
    """One batch out of two."""
    a, b = first.batch, second.batch
    batch = Batch(
        torch.cat([a.sources, b.sources]),
        torch.cat([a.present, b.present]),
        torch.cat([a.tilt, b.tilt]),
    )
    return Queries(
        batch,
        torch.cat([first.owner, second.owner + len(a.sources)]),
        torch.cat([first.voice, second.voice]),
        torch.cat([first.lips, second.lips]),
        torch.cat([first.seen, second.seen]),
        torch.cat([first.group, second.group + 2 * len(first.group)]),
    )


def pictures(owner: Tensor, rng: np.random.Generator) -> Tensor:
    """Groups of faces that compete: those of a mixture, but now and then one is alone in sight."""
    alone = torch.from_numpy(rng.random(len(owner)) < ALONE)
    # There are no more mixtures than queries, so the numbers from there on are free.
    return torch.where(alone, len(owner) + torch.arange(len(owner)), owner)


def speaking(source: Tensor) -> Tensor:
    """(n, samples) to (n, video frames): 1 where a voice is within 30 dB of its loudest."""
    pieces = source.reshape(len(source), -1, SAMPLE_RATE // VIDEO_RATE)
    power = pieces.square().mean(dim=-1)
    loudest = power.amax(dim=-1, keepdim=True)
    active: Tensor = (power > 1e-3 * loudest) & (loudest > 1e-7)
    return active.float()


class JointStage:
    """Draws both kinds of mixtures and computes the losses of everything but the embeddings.

    Args:
        network: its visual and voice streams are expected not to require gradients.
        speech: mixtures without a picture.
        talking: mixtures of people in view.
        validation: the same, of held-out people.
        bank: makes cues for speech without a picture.
        sizes: mixtures of each kind in a batch.
        phase: turn the phase by the predicted residual.
        absent: probability that a voice's cue is also asked of a mixture that the voice is not in.
    """

    def __init__(
        self,
        network: AVSENet,
        speech: Mixer,
        talking: TalkingMixer,
        validation: TalkingMixer,
        bank: CueBank,
        sizes: tuple[int, int],
        *,
        phase: bool = False,
        absent: float = 0.0,
    ) -> None:
        self.network, self.speech, self.talking = network, speech, talking
        self.validation, self.bank, self.sizes, self.phase = validation, bank, sizes, phase
        self.absent = absent

    def step(self, rng: np.random.Generator) -> Losses:
        """One training step's losses."""
        for part in self.network.children():
            # What is not trained does not drop channels or gather statistics either.
            if not any(parameter.requires_grad for parameter in part.parameters()):
                part.eval()
        talking = self.queries_of_faces(self.talking.draw(rng, self.sizes[1]), rng)
        speech = self.queries_of_speech(self.speech.draw(rng, self.sizes[0]), rng)
        return self.losses(joined(talking, speech), self.sizes[1])[0]

    @torch.no_grad()
    def queries_of_faces(
        self, talking: TalkingBatch, rng: np.random.Generator | None = None
    ) -> Queries:
        """Every face of every mixture; lips are varied if `rng` is given."""
        owner, voice = talking.faces.nonzero(as_tuple=True)
        seen = talking.seen[owner, voice]
        components = self.network.visual.project(talking.lips[owner, voice], seen)
        if rng is not None:
            components = components + 0.1 * torch.randn_like(components) + drift(components, rng)
        lips = self.network.visual(components, seen)
        queries = Queries(talking.batch, owner, voice, lips, seen, owner)
        return queries if rng is None else self.with_onlookers(queries, rng)

    @torch.no_grad()
    def queries_of_speech(self, speech: Batch, rng: np.random.Generator) -> Queries:
        """Every voice of every mixture, and now and then one that is not in it."""
        owner, voice = speech.present.nonzero(as_tuple=True)
        embedded = voice_embedding(self.network, speech.sources[owner, voice])
        cues = self.bank.cues(embedded, rng)
        size, most = speech.present.shape
        absent = rng.random(len(owner)) < self.absent
        if absent.any():
            # The cue of a voice of some mixture, asked of another one: the answer is silence.
            stranger = torch.from_numpy(np.flatnonzero(absent))
            asked = (owner[stranger] + 1) % size
            owner, voice = torch.cat([owner, asked]), torch.cat([voice, most + 0 * asked])
            cues = torch.cat([cues, cues[stranger]])
        frames = cues.shape[-1]
        seen = torch.ones(len(owner), frames)
        for n in np.flatnonzero(rng.random(len(owner)) < LOST):
            begin = int(rng.integers(0, frames))
            seen[n, begin : begin + int(rng.integers(5, frames // 2))] = 0
        for n in np.flatnonzero(rng.random(len(owner)) < LATE):
            cues[n] = cues[n].roll(int(rng.integers(-MOST_LATE, MOST_LATE + 1)), dims=-1)
        queries = Queries(speech, owner, voice, cues * seen[:, None], seen, owner)
        return self.with_onlookers(queries, rng)

    def with_onlookers(self, queries: Queries, rng: np.random.Generator) -> Queries:
        """The same and some faces that keep still; then who is in one picture."""
        frames = queries.lips.shape[-1]
        size, most = queries.batch.present.shape
        looked_on = torch.from_numpy(np.flatnonzero(rng.random(size) < STILL))
        if len(looked_on):
            count = len(looked_on)
            shape = (count, self.network.spec.lip_components, frames)
            noise = torch.from_numpy(rng.uniform(0, 0.15, (count, 1, 1)).astype(np.float32))
            seen = torch.ones(count, frames)
            lips = self.network.visual(noise * torch.randn(shape), seen)
            queries = Queries(
                queries.batch,
                torch.cat([queries.owner, looked_on]),
                torch.cat([queries.voice, torch.full((count,), most)]),
                torch.cat([queries.lips, lips]),
                torch.cat([queries.seen, seen]),
                queries.group,
            )
        return dataclasses.replace(queries, group=pictures(queries.owner, rng))

    def losses(self, queries: Queries, faces: int) -> tuple[Losses, dict[str, Tensor]]:
        """Losses, and the result of every query; the first `faces` mixtures have real faces."""
        network, batch = self.network, queries.batch
        sources = stft(batch.sources)[..., :-1] * batch.tilt[..., None]
        mixture = sources.sum(dim=1)
        scale = level(mixture)
        sources, mixture = sources / scale[:, None], mixture / scale
        heard = network.audio(mixture.abs()).pick(queries.owner)
        claims, activity = network.fusion(heard, queries.lips, queries.seen, queries.group)
        mask = compete(claims, queries.group, 2 * len(queries.group))
        # One more source, of silence: what an absent voice should give.
        sources = functional.pad(sources, (0, 0, 0, 0, 0, 1))
        sound = functional.pad(batch.sources, (0, 0, 0, 1))
        place = torch.where(queries.voice < sound.shape[1] - 2, queries.voice, sound.shape[1] - 1)
        target, mixed = sources[queries.owner, place], mixture[queries.owner]
        energy = power(target)
        there = energy > 1e-6 * power(mixed)
        turned = mixed
        if self.phase:
            rotation = network.phase(mixed, mask)
            turned = torch.complex(rotation[:, 0], rotation[:, 1]) * mixed
        error = mask_error(mask, turned, target)
        loss = snr_loss(error, energy, power(mixed)) + compressed_loss(mask, mixed, target)
        active = functional.binary_cross_entropy_with_logits(
            activity, speaking(sound[queries.owner, place])
        )
        total = torch.where(there, loss, 0.3 * loss).mean() + active
        real = queries.owner < faces
        with torch.no_grad():
            gain = projected_sdr(mask * turned, target) - projected_sdr(mixed, target)
        figures = {"loss": total, "activity": active}
        for name, part in (("faces", real & there), ("speech", ~real & there)):
            if part.any():
                figures[f"gain_{name}"] = gain[part].mean()
        silent = ~there
        if silent.any():
            left = 10 * torch.log10(power(mask * mixed) / power(mixed) + 1e-6)
            figures["silent_db"] = left[silent].mean()
        return figures, {"gain": gain, "there": there}

    def validate(self) -> dict[str, float]:
        """Held-out people: gain in dB and share of worsened voices."""
        gains: list[float] = []
        for seed in range(6):
            talking = self.validation.draw(np.random.default_rng([98, seed]), 8)
            _, results = self.losses(self.queries_of_faces(talking), 8)
            gains += results["gain"][results["there"]].tolist()
        array = np.array(gains)
        return {
            "gain": round(float(array.mean()), 3),
            "worse": round(float((array < 0).mean()), 3),
        }


def drift(components: Tensor, rng: np.random.Generator) -> Tensor:
    """Slow errors of the lips, as heads that turn and light that changes bring them about.

    Args:
        components: (n, components, frames), whitened.
        rng: draws how large they are: up to the size of the motion itself, none for a third.
    """
    noise = functional.pad(torch.randn_like(components), (DRIFT, DRIFT), mode="reflect")
    slow = functional.avg_pool1d(noise, 2 * DRIFT + 1, stride=1) * (2 * DRIFT + 1) ** 0.5
    size = np.clip(rng.uniform(-0.5, 1.0, (len(components), 1, 1)), 0, None)
    out: Tensor = slow * torch.from_numpy(size.astype(np.float32))
    return out


def power(x: Tensor) -> Tensor:
    """Energy over bins and frames."""
    if x.is_complex():
        return (x.real.square() + x.imag.square()).sum(dim=(-2, -1))
    return x.square().sum(dim=(-2, -1))


def projected_sdr(estimate: Tensor, target: Tensor) -> Tensor:
    """SI-SDR in dB, computed on spectra: (n, bins, frames) complex -> (n,)."""
    along = (estimate * target.conj()).real.sum(dim=(-2, -1)).square() / power(target).clamp_min(
        1e-9
    )
    rest = (power(estimate) - along).clamp_min(1e-9)
    return 10 * torch.log10(along.clamp_min(1e-9) / rest)
