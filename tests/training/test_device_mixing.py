"""Mixtures drawn on the device: the same for the same seed, voices and lips in step."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from avse.data.clips import SAMPLES_PER_FRAME, MemoryClips
from avse.errors import UsageError
from avse.models.network import AVSENet
from avse.training.compute import Compute
from avse.training.data import Corpora
from avse.training.device_corpora import DeviceRandom, Pieces, ResidentSounds, join
from avse.training.device_mixing import ResidentMixer, ResidentTalkingMixer
from avse.training.mixing import MixSettings
from avse.training.recipe import DEVICE, StageSettings
from avse.training.stages import make_stage
from avse.training.talking_mixtures import FaceSettings
from tests.conftest import TINY

from .conftest import SHORT, MemorySounds

CPU = torch.device("cpu")
EVERYTHING = dataclasses.replace(
    SHORT, speed_probability=0.5, clipping_probability=0.3, babble_probability=0.3
)
CLEAN = MixSettings(
    seconds=0.8, voices=(0.0, 1.0), noise_probability=0, room_probability=0, tilt_db=0
)


def mixer(sounds: MemorySounds, settings: MixSettings) -> ResidentMixer:
    resident = ResidentSounds(sounds, CPU)
    return ResidentMixer(resident, resident, settings, CPU)


def test_the_same_seed_draws_the_same_mixtures(sounds: MemorySounds, clips: MemoryClips) -> None:
    voices = mixer(sounds, EVERYTHING)
    faces = ResidentTalkingMixer(clips, voices, FaceSettings(absent=0.5, lost=0.5), CPU)
    for draw in (voices.draw, lambda rng, size: faces.draw(rng, size).batch):
        one, same, other = (draw(np.random.default_rng(seed), 6).sources for seed in (1, 1, 2))
        assert torch.isfinite(one).all()
        torch.testing.assert_close(one, same)
        assert not torch.equal(one, other)


def test_a_voice_is_never_enrolled_with_what_is_mixed() -> None:
    rng = np.random.default_rng(0)
    noises = [
        (f"p{n // 2}", rng.standard_normal(n).astype(np.float32))
        for n in range(30_000, 90_000, 7_500)
    ]
    sounds = MemorySounds([(f"p{n // 2}", x) for n, (_, x) in enumerate(noises)])
    settings = dataclasses.replace(CLEAN, compression_probability=0, fluent=1.0)
    voices = ResidentMixer(ResidentSounds(sounds, CPU), None, settings, CPU, enrolled=1.0)
    batch = voices.draw(np.random.default_rng(0), 16)
    plain = ResidentMixer(ResidentSounds(sounds, CPU), None, settings, CPU)
    assert torch.equal(plain.draw(np.random.default_rng(0), 16).sources, batch.sources)
    assert batch.enrolment is not None

    def likeness(x: torch.Tensor, y: torch.Tensor) -> float:
        """The largest correlation of two sounds at any offset."""
        size = len(x) + len(y)
        both = torch.fft.irfft(torch.fft.rfft(x, size) * torch.fft.rfft(y, size).conj(), size)
        return float(both.abs().amax() / (x.norm() * y.norm()))

    known = 0
    for sources, enrolments in zip(batch.sources, batch.enrolment, strict=True):
        for voice in range(2):
            enrolment = enrolments[voice]
            if not enrolment.any():
                continue
            known += 1
            assert likeness(enrolment, sources[voice]) < 0.1
            assert max(likeness(enrolment, torch.from_numpy(x)) for x in sounds.sounds) > 0.2
    assert known > 16


def test_absent_voices_are_silent_and_present_ones_are_not(
    sounds: MemorySounds, clips: MemoryClips
) -> None:
    voices = mixer(sounds, EVERYTHING)
    faces = ResidentTalkingMixer(clips, voices, FaceSettings(absent=0.5), CPU)
    batch = faces.draw(np.random.default_rng(3), 12).batch
    loud = batch.sources[:, :-1].abs().amax(dim=-1) > 0
    assert torch.equal(loud & (batch.present == 0), torch.zeros_like(loud))
    assert (batch.present == 0).any()
    batch = voices.draw(np.random.default_rng(3), 12)
    assert torch.equal(batch.sources[:, :-1].abs().amax(dim=-1) > 1e-5, batch.present == 1)


@pytest.mark.parametrize("speed", [0.0, 1.0])
def test_lips_and_voice_stay_in_step_at_any_speed(
    speed: float, sounds: MemorySounds, clips: MemoryClips
) -> None:
    settings = dataclasses.replace(CLEAN, speed_probability=speed)
    faces = ResidentTalkingMixer(
        clips, mixer(sounds, settings), FaceSettings(jitter=0, lost=0), CPU
    )
    random = DeviceRandom(np.random.default_rng(0), CPU)
    sound, lips, seen, _ = faces.talk(random, faces.speakers(random, 16, 1).flatten())
    assert seen.min() == 1
    loud = sound.reshape(len(sound), -1, SAMPLES_PER_FRAME).abs().mean(dim=-1)
    # The lips of these clips are their loudness times a fixed shape.
    shape = torch.from_numpy(np.random.default_rng(5).standard_normal(129)).float()
    opening = lips @ shape
    for voice, mouth in zip(loud, opening, strict=True):
        if voice.std() < 1e-3:
            continue
        found = [
            float(torch.corrcoef(torch.stack([voice, mouth.roll(lag)]))[0, 1])
            for lag in range(-3, 4)
        ]
        assert int(np.argmax(found)) == 3
        assert found[3] > 0.8


def test_speakers_of_a_mixture_differ(sounds: MemorySounds) -> None:
    resident = ResidentSounds(sounds, CPU)
    chosen = resident.speakers(DeviceRandom(np.random.default_rng(1), CPU), 200, 3)
    assert all(len(set(row)) == 3 for row in chosen.tolist())
    assert len(set(chosen.flatten().tolist())) == 20  # everybody is drawn


def test_pieces_are_read_where_they_lie() -> None:
    samples = torch.arange(100, dtype=torch.int16)
    whole = torch.tensor

    def pieces(speed: float) -> Pieces:
        return Pieces(
            begin=whole([[10, 50]]), size=whole([[20, 20]]), gain=torch.full((1, 2), 32768.0),
            at=whole([[-2, 6]]), lasts=whole([[6, 3]]), skipped=whole([[1, 0]]),
            shift=whole([[0, 2]]), speed=torch.full((1, 1), speed),
        )  # fmt: skip

    found = join(samples, 12, pieces(1.0))[0].tolist()
    assert found == [13, 14, 15, 16, 0, 0, 52, 53, 54, 0, 0, 0]
    found = join(samples, 12, pieces(1.5))[0].tolist()
    assert found[:4] == [14.5, 16, 17.5, 19]


def test_codecs_are_refused(sounds: MemorySounds) -> None:
    with pytest.raises(UsageError, match="codecs"):
        mixer(sounds, dataclasses.replace(SHORT, codec_probability=0.1))


def test_a_stage_learns_from_them(
    sounds: MemorySounds, clips: MemoryClips, tmp_path: object
) -> None:
    network = AVSENet(dataclasses.replace(TINY, convolution="dense", phase_features=True))
    settings = StageSettings("phase", faces=3, speech=3, mix=EVERYTHING, train=("fusion", "phase"))
    stage = make_stage(
        network, settings, Corpora(clips, {}, sounds, sounds), tmp_path, Compute(CPU), DEVICE
    )
    rng = np.random.default_rng(0)
    loss = stage.losses(stage.source.draw(rng), rng)["loss"]
    loss.backward()
    for part in (network.fusion.mask, network.phase.residual):
        assert part.weight.grad.abs().sum() > 0
