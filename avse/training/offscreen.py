"""Stage "offscreen": train off-screen separation on top of a frozen network.

The mixtures are those of the separating stages, except that some speakers are off-screen, and that
there are crowds: several voices at once, or recordings of them. The network separates the visible
speakers; `OffscreenNet` learns to divide the residual.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product

import numpy as np
import torch
from torch import Tensor

from avse.data.clips import Sounds
from avse.dsp.stft import HOPS_PER_VIDEO_FRAME, stft
from avse.models.network import AVSENet, Spectrum, level
from avse.models.offscreen import OffscreenNet
from avse.models.presence import presence
from avse.models.spec import OFFSCREEN_PARTS
from avse.training.compute import Compute, moved
from avse.training.cues import PseudoLipBank
from avse.training.loop import Losses
from avse.training.losses import compressed_loss, mask_error, power, projected_sdr, snr_loss
from avse.training.mixing import Batch, set_level, smooth_tilt
from avse.training.queries import MixtureSource, Queries, QueryBuilder, joined
from avse.training.recipe import LipVariation, OffscreenSettings, QuerySettings
from avse.training.rooms import draw_room, reverberate
from avse.training.talking_mixtures import TalkingBatch
from avse.types import FloatArray

QUIET, QUIET_ENOUGH = 0.15, 1e-2
"""Weight of the loss of absent sources, and the power relative to the mixture's, -20 dB, below
which the loss stops falling. Most sources are absent most of the time; with a higher weight,
training first learns to output silence everywhere, and for long."""

THERE = 1e-4
"""Share of the mixture's energy from which a source counts as present."""

FEWEST, MOST = 5, 8
"""Number of voices in a synthetic crowd."""

SEED = 97


@dataclass
class Scenes:
    """Mixtures with off-screen sources.

    Attributes:
        batch: speakers, visible or off-screen, and noise.
        hidden: (batch, voices), 1 for off-screen speakers.
        crowd: (batch, samples).
        tilt: (batch, bins), the crowd's frequency response.
    """

    batch: TalkingBatch | Batch
    hidden: Tensor
    crowd: Tensor
    tilt: Tensor


class SceneSource:
    """Draws mixtures with off-screen speakers and crowds.

    Args:
        mixtures: draws the mixtures of speakers.
        speech: voices of which crowds are made.
        crowds: recordings of crowds, or None.
        settings: probabilities.
        samples: length of a mixture.
    """

    def __init__(
        self,
        mixtures: MixtureSource,
        speech: Sounds,
        crowds: Sounds | None,
        settings: OffscreenSettings,
        samples: int,
    ) -> None:
        self.mixtures, self.speech, self.crowds = mixtures, speech, crowds
        self.settings, self.samples = settings, samples

    def draw(self, rng: np.random.Generator) -> tuple[Scenes | None, Scenes | None]:
        """Draw mixtures of talking faces, and of speech with made cues."""
        talking, speech = self.mixtures.draw(rng)
        return (
            None if talking is None else self.scenes(rng, talking, talking.faces),
            None if speech is None else self.scenes(rng, speech, speech.present),
        )

    def scenes(
        self, rng: np.random.Generator, batch: TalkingBatch | Batch, people: Tensor
    ) -> Scenes:
        """Hide some people, and add crowds."""
        size = len(people)
        hidden = (rng.random(people.shape) < self.settings.hidden) * people.numpy()
        crowd = np.zeros((size, self.samples), np.float32)
        for b in np.flatnonzero(rng.random(size) < self.settings.crowd):
            crowd[b] = self.crowd(rng)
        tilt = smooth_tilt(rng, size, self.settings.tilt_db)
        return Scenes(
            batch,
            torch.from_numpy(np.asarray(hidden, np.float32)),
            torch.from_numpy(crowd),
            torch.from_numpy(tilt),
        )

    def crowd(self, rng: np.random.Generator) -> FloatArray:
        """(samples,) of several voices at once: recorded, or added up."""
        level_db = rng.uniform(*self.settings.crowd_db)
        if self.crowds is not None and rng.random() < self.settings.recorded:
            out = piece(rng, self.crowds, self.samples)
        else:
            out = np.zeros(self.samples, np.float32)
            room = draw_room(rng, "tail") if rng.random() < 0.5 else None
            for _ in range(int(rng.integers(FEWEST, MOST + 1))):
                x = set_level(piece(rng, self.speech, self.samples), 0.1)
                x = x * np.float32(10 ** (rng.uniform(-6, 0) / 20))
                out += x if room is None else reverberate(x, room(rng))
        return set_level(out, 0.1 * 10 ** (level_db / 20))


def piece(rng: np.random.Generator, sounds: Sounds, samples: int) -> FloatArray:
    """(samples,) from one or several sounds, joined and cut anywhere."""
    parts: list[FloatArray] = []
    have = 0
    while have < samples:
        x = sounds.audio(sounds.clips[rng.integers(len(sounds.clips))])
        if len(x) > samples:
            begin = int(rng.integers(0, len(x) - samples + 1))
            x = x[begin : begin + samples]
        parts.append(x)
        have += len(x)
    joined_up = np.concatenate(parts)
    begin = int(rng.integers(0, have - samples + 1))
    return joined_up[begin : begin + samples]


class OffscreenStage:
    """Trains `OffscreenNet` to divide the residual.

    Args:
        network: frozen network that separates by lips.
        offscreen: trained in place.
        source: draws scenes.
        bank: makes cues for audio-only speech; None if none is drawn.
        held_out: draw scenes of held-out people, the same every time.
        validate_batches: how many each draws.
        query, variation: as in the separating stages.
        compute: where.
    """

    def __init__(
        self,
        network: AVSENet,
        offscreen: OffscreenNet,
        source: SceneSource,
        bank: PseudoLipBank | None,
        *,
        held_out: Sequence[SceneSource] = (),
        validate_batches: int = 2,
        query: QuerySettings,
        variation: LipVariation,
        compute: Compute,
    ) -> None:
        self.network, self.module = network.eval(), offscreen
        self.source, self.held_out, self.compute = source, held_out, compute
        self.validate_batches = validate_batches
        plain = dataclasses.replace(query, alone=0.0)
        self.query_builder = QueryBuilder(network, bank, plain, variation, compute)

    def losses(
        self, drawn: tuple[Scenes | None, Scenes | None], rng: np.random.Generator
    ) -> Losses:
        """Losses and metrics of a batch."""
        with torch.no_grad():
            mixture, left, targets = self.heard(drawn, rng)
        with self.compute.autocast():
            shares = self.module(mixture, left).float()
        total: Tensor = torch.zeros((), device=mixture.device)
        found: Losses = {}
        for n, kind in enumerate(OFFSCREEN_PARTS):
            share, target = shares[:, n], targets[:, n]
            there = power(target) > THERE * power(mixture)
            error = mask_error(share, left, target)
            loss = snr_loss(error, power(target) * there, power(mixture))
            loss = loss + compressed_loss(share, left, target)
            quiet = 10 * torch.log10(error.clamp_min(0) / power(mixture) + QUIET_ENOUGH)
            total = total + torch.where(there, loss, QUIET * quiet).mean()
            with torch.no_grad():
                if there.any():
                    gain = projected_sdr(share * left, target) - projected_sdr(mixture, target)
                    found[f"gain_{kind}"] = gain[there].mean()
                if not there.all():
                    level_db = 10 * torch.log10(power(share * left) / power(mixture) + 1e-6)
                    found[f"silent_{kind}_db"] = level_db[~there].mean()
        return {"loss": total, **found}

    def heard(
        self, drawn: tuple[Scenes | None, Scenes | None], rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The residual of the network for each mixture, and the sources of the residual.

        Returns:
            (n, bins, frames) mixtures; the same without the voices that were found by lips; and
            (n, len(OFFSCREEN_PARTS), bins, frames), which add up to that.
        """
        parts = [part for part in drawn if part is not None]
        batches = [p.batch.batch if isinstance(p.batch, TalkingBatch) else p.batch for p in parts]
        hidden = torch.cat([part.hidden for part in parts])
        spectra = torch.cat([b.spectra() for b in batches])
        crowd = stft(torch.cat([part.crowd for part in parts]))[..., :-1]
        crowd = crowd * torch.cat([part.tilt for part in parts])[..., None]
        mixture = spectra.sum(dim=1) + crowd
        scale = level(mixture)
        spectra, crowd, mixture = spectra / scale[:, None], crowd / scale, mixture / scale
        asked = reduce(joined, [self.asked(part, rng) for part in parts])
        # Mixtures without a visible speaker exist, so there may be more mixtures than faces.
        asked = dataclasses.replace(asked, group=asked.owner)
        there = torch.from_numpy(presence(asked.seen.cpu().numpy())).to(mixture.device)
        # Voices of off-screen speakers, and of visible ones while they are off-screen.
        unseen = hidden[..., None].expand(-1, -1, spectra.shape[-1]).clone()
        known = asked.voice < hidden.shape[1]
        away = 1 - there.repeat_interleave(HOPS_PER_VIDEO_FRAME, dim=-1)
        unseen[asked.owner[known], asked.voice[known]] = away[known]
        narrator = (spectra[:, :-1] * unseen[:, :, None]).sum(dim=1)
        left = mixture - self.found(asked, there, mixture)
        return mixture, left, torch.stack([narrator, crowd, left - narrator - crowd], dim=1)

    def asked(self, part: Scenes, rng: np.random.Generator) -> Queries:
        """Who is in sight."""
        batch = part.batch
        if isinstance(batch, TalkingBatch):
            seen = dataclasses.replace(batch, faces=batch.faces * (1 - part.hidden))
            return self.query_builder.faces(seen, rng)
        return self.query_builder.speech(
            dataclasses.replace(batch, present=batch.present * (1 - part.hidden)), rng
        )

    def found(self, asked: Queries, there: Tensor, mixture: Tensor) -> Tensor:
        """The sum of the voices that the network separates.

        Args:
            asked: of all mixtures.
            there: (queries, video frames), see `avse.models.presence`.
            mixture: (n, bins, frames).

        Returns:
            (n, bins, frames).
        """
        network, owner = self.network, asked.owner
        with self.compute.autocast():
            heard = network.audio(mixture.abs()).pick(owner)
            logits, _, fine = network.fusion(heard, asked.lips, asked.seen, asked.group)
        mask = network.masks(logits.float(), asked.group, len(mixture), there)
        voices = mask * mixture[owner]
        if network.phase is not None:
            with self.compute.autocast():
                turn = network.phase(Spectrum.of(mixture[owner]), mask, fine)
            voices = voices * torch.complex(turn[:, 0], turn[:, 1])
        return torch.zeros_like(mixture).index_add(0, owner, voices)

    def validate(self) -> dict[str, float]:
        """The same metrics on scenes of held-out people."""
        sums: dict[str, list[float]] = {}
        for source, n in product(self.held_out, range(self.validate_batches)):
            rng = np.random.default_rng([SEED, n])
            torch.manual_seed(n)
            drawn = moved(source.draw(rng), self.compute.device)
            for name, value in self.losses(drawn, rng).items():
                sums.setdefault(name, []).append(float(value))
        return {name: float(np.mean(values)) for name, values in sums.items()}
