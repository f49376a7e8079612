"""Validate the whole network on held-out people, with the metrics of `avse evaluate`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from avse.data.clips import ClipSet
from avse.dsp.stft import HOPS_PER_VIDEO_FRAME, SAMPLE_RATE, istft, stft
from avse.metrics import silent_level, wrong_speaker
from avse.metrics.si_sdr import si_sdr
from avse.models.network import AVSENet
from avse.training.compute import Compute, moved
from avse.training.mixing import MixSettings
from avse.training.talking_mixtures import FaceSettings, TalkingBatch, TalkingMixer

TWO = (0.0, 1.0)
"""Two voices, always."""

SILENT = 0.25
"""Share of the mixtures in which one of the two faces has no voice."""

SEED = 98
_AT_ONCE = 8


@dataclass(frozen=True)
class VoiceScore:
    """Scores of the estimate for one face; None for undefined scores.

    Attributes:
        mixture: number of its mixture, to group voices by.
        gain: SI-SDR improvement in dB over the mixture, if it has noise or another voice.
        wrong: 1 if the estimate is closer to another person's voice, else 0.
        silent_db: level of the estimate for a silent face, in dB relative to the mixture.
    """

    mixture: int
    gain: float | None = None
    wrong: float | None = None
    silent_db: float | None = None


class Validator:
    """The same mixtures of two held-out people of each pack, every time, without noise.

    Args:
        held_out: people by the name of their pack.
        seconds: length of a mixture.
        count: mixtures of each pack.
        compute: where.
    """

    def __init__(
        self, held_out: dict[str, ClipSet], *, seconds: float, count: int, compute: Compute
    ) -> None:
        self.compute, self.count = compute, count
        settings = MixSettings(
            seconds=seconds, voices=TWO, noise_probability=0, room_probability=0, tilt_db=0
        )
        both, one = FaceSettings(jitter=0, absent=0, lost=0), FaceSettings(0, 1.0, 0)
        self.mixers = {
            name: tuple(TalkingMixer(clips, None, settings, faces) for faces in (both, one))
            for name, clips in held_out.items()
        }

    def batches(self, name: str) -> list[TalkingBatch]:
        """The mixtures of a pack, a few at a time."""
        out = []
        silent = round(SILENT * self.count)
        for mixer, count in zip(self.mixers[name], (self.count - silent, silent), strict=True):
            for begin in range(0, count, _AT_ONCE):
                rng = np.random.default_rng([SEED, begin])
                out.append(mixer.draw(rng, min(_AT_ONCE, count - begin)))
        return out

    @torch.no_grad()
    def voices(self, network: AVSENet, name: str) -> list[VoiceScore]:
        """Score every face of a pack's mixtures."""
        scores: list[VoiceScore] = []
        mixture = 0
        for batch in self.batches(name):
            for estimates, sources in zip(
                answers(network, moved(batch, self.compute.device)).cpu(),
                batch.batch.sources,
                strict=True,
            ):
                scores += score_mixture(mixture, estimates, sources)
                mixture += 1
        return scores

    def figures(self, network: AVSENet) -> dict[str, float]:
        """For each pack.

        Returns:
            gain_PACK: mean SI-SDR improvement in dB; worse_PACK: share of voices made worse;
            wrong_PACK: share of estimates closer to the other person; silent_db_PACK: level of the
                estimate for a silent face, in dB relative to the mixture.
        """
        found: dict[str, float] = {}
        for name in self.mixers:
            scores = self.voices(network, name)
            gains = [s.gain for s in scores if s.gain is not None]
            for key, values in (
                ("gain", gains),
                ("worse", [float(gain < 0) for gain in gains]),
                ("wrong", [s.wrong for s in scores if s.wrong is not None]),
                ("silent_db", [s.silent_db for s in scores if s.silent_db is not None]),
            ):
                if values:
                    found[f"{key}_{name}"] = round(float(np.mean(values)), 3)
        return found


def answers(network: AVSENet, drawn: TalkingBatch, enrolment: Tensor | None = None) -> Tensor:
    """(batch, people, samples): the voice of each face, as `avse separate` would give it.

    Args:
        network: estimates the masks.
        drawn: the mixtures.
        enrolment: see `AVSENet.forward`.
    """
    sound = drawn.batch.sources.sum(dim=1)
    spectrum = stft(sound)[..., : HOPS_PER_VIDEO_FRAME * drawn.seen.shape[-1]]
    people = drawn.seen.shape[1]
    components = network.visual.project(drawn.lips.flatten(0, 1), drawn.seen.flatten(0, 1))
    components = components.reshape(-1, people, *components.shape[1:])
    answer = network(spectrum, components, drawn.seen, enrolment=enrolment)
    masked = answer.complex_mask() * spectrum[:, None]
    return istft(functional.pad(masked, (0, 1)), sound.shape[-1])


def score_mixture(mixture: int, estimates: Tensor, sources: Tensor) -> list[VoiceScore]:
    """Score the estimates for one mixture.

    Args:
        mixture: its number.
        estimates: (people, samples).
        sources: (people + 1, samples), the last being noise; 0 where nobody speaks.
    """
    mixed = sources.sum(dim=0).numpy()
    voices_and_noise = sources.numpy()
    voices = voices_and_noise[:-1]
    found = []
    for person, estimate in enumerate(estimates.numpy()):
        others = [v for n, v in enumerate(voices) if n != person and v.any()]
        if not voices[person].any():
            silence = silent_level(estimate, voices[person], mixed, SAMPLE_RATE).value
            found.append(VoiceScore(mixture, silent_db=silence))
            continue
        after, before = si_sdr(estimate, voices[person]), si_sdr(mixed, voices[person])
        mixed_up = bool(others) or voices_and_noise[-1].any()
        defined = mixed_up and after is not None and before is not None
        gain = after - before if defined else None  # type: ignore[operator]
        wrong = wrong_speaker(estimate, voices[person], others).value
        found.append(VoiceScore(mixture, gain, wrong))
    return found
