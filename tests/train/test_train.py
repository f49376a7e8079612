"""Training is seeded, resumable to the bit, and its losses mean what they say."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from avse.models.network import AVSENet
from avse.stft import BINS, SAMPLE_RATE
from avse.train.clips import SAMPLES_PER_FRAME, TalkingClip, TalkingPack, principal_components
from avse.train.cues import fit_cues
from avse.train.joint import JointStage, projected_sdr, speaking
from avse.train.loop import Loop, LoopSettings, learning_rate
from avse.train.losses import SOFT, compressed_loss, mask_error, snr_loss
from avse.train.matching import LipsStage, delay, fit_components
from avse.train.mixing import Mixer, MixSettings, Pack, compress, held_out
from avse.train.talking import FaceSettings, TalkingMixer
from tests.conftest import TINY

SHORT = MixSettings(seconds=0.8, noise_probability=1.0, room_probability=0.5)


def sound(rng: np.random.Generator, seconds: float) -> np.ndarray:  # type: ignore[type-arg]
    """A buzz that comes and goes: something with pitch and pauses."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = rng.uniform(90, 250)
    buzz = sum(np.sin(2 * np.pi * k * pitch * time) / k for k in range(1, 12))
    wave = np.clip(np.sin(2 * np.pi * rng.uniform(1, 3) * time), 0, 1)
    return np.asarray(0.2 * buzz * wave, np.float32)


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    rng = np.random.default_rng(0)
    index, offset, parts = [], 0, []
    for n in range(40):
        x = (32767 * np.clip(sound(rng, rng.uniform(0.3, 2)), -1, 1)).astype(np.int16)
        index.append(("corpus", f"person{n // 2}", offset, len(x)))
        parts.append(x)
        offset += len(x)
    (tmp_path / "speech.i16").write_bytes(np.concatenate(parts).tobytes())
    (tmp_path / "speech.json").write_text(json.dumps(index))
    return Pack(tmp_path / "speech")


@pytest.fixture
def clips() -> list[TalkingClip]:
    rng = np.random.default_rng(1)
    out = []
    for n in range(12):
        x = sound(rng, 1.2)
        frames = len(x) // SAMPLES_PER_FRAME
        loud = np.abs(x[: frames * SAMPLES_PER_FRAME]).reshape(frames, -1).mean(axis=1)
        shape = np.random.default_rng(5).standard_normal((43, 3))
        lips = loud[:, None, None] * shape + 0.002 * rng.standard_normal((frames, 43, 3))
        lips = (lips - np.median(lips, axis=0)).astype(np.float32)
        cut = x[: frames * SAMPLES_PER_FRAME]
        out.append(
            TalkingClip("corpus", str(n), f"p{n // 2}", cut, lips, np.ones(frames, np.float32))
        )
    return out


def test_the_same_seed_draws_the_same_mixtures(pack: Pack) -> None:
    mixer = Mixer(pack, pack, SHORT)
    one, again = (mixer.draw(np.random.default_rng(3), 4) for _ in range(2))
    other = mixer.draw(np.random.default_rng(4), 4)
    assert torch.equal(one.sources, again.sources)
    assert torch.equal(one.tilt, again.tilt)
    assert not torch.equal(one.sources, other.sources)
    assert one.sources.shape == (4, 4, SHORT.samples)
    assert one.tilt.shape == (4, 4, BINS)
    # A voice is there exactly where it is said to be.
    assert torch.equal(one.sources[:, :-1].abs().amax(-1) > 0, one.present > 0)


def test_people_are_held_out_whole(pack: Pack) -> None:
    inside = {f"{c.corpus}/{c.person}" for c in pack.clips if not held_out(c.person, 0.5)}
    outside = {f"{c.corpus}/{c.person}" for c in pack.clips if held_out(c.person, 0.5)}
    assert inside
    assert outside
    assert not inside & outside
    share = np.mean([held_out(f"corpus/{n}", 0.05) for n in range(5000)])
    assert 0.03 < share < 0.07


def test_mask_error_is_the_energy_of_the_difference() -> None:
    generator = torch.Generator().manual_seed(0)
    mixture, target = torch.randn(2, 3, BINS, 8, dtype=torch.complex64, generator=generator)
    mask = torch.rand(3, BINS, 8, generator=generator)
    expected = (mask * mixture - target).abs().square().sum(dim=(-2, -1))
    torch.testing.assert_close(mask_error(mask, mixture, target), expected)


def test_losses_reward_the_voice_and_silence() -> None:
    generator = torch.Generator().manual_seed(0)
    target, rest = torch.randn(2, 1, BINS, 8, dtype=torch.complex64, generator=generator)
    mixture = target + rest
    energy, whole = (x.abs().square().sum(dim=(-2, -1)) for x in (target, mixture))
    perfect = snr_loss(torch.zeros(1), energy, whole)
    torch.testing.assert_close(perfect, torch.tensor([10 * np.log10(SOFT)]).float())
    assert snr_loss(energy, energy, whole).item() == pytest.approx(0, abs=0.01)
    quiet, loud = (snr_loss(g * whole, 0 * energy, whole) for g in (1e-3, 1.0))
    assert quiet < loud
    ideal = (target.abs() / mixture.abs()).clamp(0, 1)
    assert compressed_loss(ideal, mixture, target) < compressed_loss(
        0.5 * torch.ones_like(ideal), mixture, target
    )
    silence = torch.zeros_like(target)
    assert compressed_loss(0 * ideal, mixture, silence) < compressed_loss(ideal, mixture, silence)


def test_projected_sdr_ignores_gain() -> None:
    generator = torch.Generator().manual_seed(0)
    target, noise = torch.randn(2, 2, BINS, 8, dtype=torch.complex64, generator=generator)
    noisy = target + 0.1 * noise
    louder = projected_sdr(7 * noisy, target)
    torch.testing.assert_close(louder, projected_sdr(noisy, target), atol=1e-3, rtol=0)
    assert (projected_sdr(noisy, target) > 15).all()


def test_learning_rate_rises_holds_and_falls() -> None:
    settings = LoopSettings(steps=1000, learning_rate=1.0, warmup=100, decay_share=0.2)
    rates = [learning_rate(n, settings) for n in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[500] == 1.0
    assert rates[-1] == pytest.approx(0.01)
    assert all(b <= a for a, b in itertools.pairwise(rates[800:]))


def test_a_run_that_was_stopped_ends_like_one_that_was_not(tmp_path: Path) -> None:
    def loop(folder: Path, steps: int) -> Loop:
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1)
        )

        def step(rng: np.random.Generator) -> dict[str, torch.Tensor]:
            x = torch.from_numpy(rng.standard_normal((16, 4)).astype(np.float32))
            return {"loss": (network(x) - x.sum(dim=1, keepdim=True)).square().mean()}

        # The schedule belongs to the whole run, so the short one is told of all its steps too.
        settings = LoopSettings(steps=steps, decay_share=1e-9, save_every=5, log_every=5, warmup=3)
        return Loop(network, folder, settings, step)

    whole = loop(tmp_path / "whole", 20)
    whole.run()
    loop(tmp_path / "parts", 10).run()
    parts = loop(tmp_path / "parts", 20)
    assert parts.step == 10
    parts.run()
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, parts.network.state_dict()[name]), name
        assert torch.equal(whole.average[name], parts.average[name]), name
    lines = [json.loads(line) for line in (tmp_path / "parts/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [5, 10, 15, 20]


def test_a_pack_of_clips_is_moved_by_its_delay(tmp_path: Path) -> None:
    frames = 10
    audio = np.repeat(np.arange(frames, dtype=np.int16), SAMPLES_PER_FRAME)
    points = np.broadcast_to(np.arange(frames)[:, None, None], (frames, 43, 3)).astype(np.float16)
    np.savez(tmp_path / "c.npz", audio=audio, points=points, seen=np.ones(frames, bool))
    row = {"corpus": "c", "name": "n", "person": "p", "n": frames, "frame": 0, "delay": 2}
    (tmp_path / "c.json").write_text(json.dumps([row]))
    (clip,) = TalkingPack(tmp_path / "c").clips
    assert len(clip.seen) == frames - 2
    # What was heard in frame 2 belongs to the lips of frame 0.
    assert clip.audio[0] * 32768 == 2
    assert np.median(clip.lips) == 0


def test_every_stage_takes_a_step_and_validates(pack: Pack, clips: list[TalkingClip]) -> None:
    torch.manual_seed(0)
    network = AVSENet(TINY)
    fit_components(network, clips)
    faces = TalkingMixer(clips, pack, SHORT, FaceSettings(absent=1.0))
    lips = LipsStage(network, faces, faces, size=4)
    losses = lips.step(np.random.default_rng(0))
    losses["loss"].backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(losses["loss"])
    network.eval()
    with torch.no_grad():
        assert 0 <= lips.validate()["wrong"] <= 1
    assert -3 <= delay(network, clips[0]) <= 3
    bank, scale = fit_cues(network, clips)
    assert scale.shape == (TINY.embedding, 1)
    joint = JointStage(network, Mixer(pack, pack, SHORT), faces, faces, bank, (3, 3), phase=True)
    network.train()
    losses = joint.step(np.random.default_rng(0))
    losses["loss"].backward()  # type: ignore[no-untyped-call]
    trained = [*network.audio.parameters(), *network.fusion.parameters()]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in trained)
    network.eval()
    with torch.no_grad():
        assert set(joint.validate()) == {"gain", "worse"}


def test_components_are_white(clips: list[TalkingClip]) -> None:
    mean, components, scale = principal_components(clips, 3)
    x = np.concatenate([clip.lips.reshape(-1, 129) for clip in clips])
    z = (x - mean) @ components.T / scale
    np.testing.assert_allclose(np.cov(z.T), np.eye(3), atol=0.1)


def test_speaking_is_where_the_voice_is() -> None:
    x = torch.zeros(1, 10 * SAMPLES_PER_FRAME)
    x[:, 3 * SAMPLES_PER_FRAME : 5 * SAMPLES_PER_FRAME] = 0.1
    assert speaking(x)[0].nonzero().flatten().tolist() == [3, 4]
    assert not speaking(0 * x).any()


def test_compression_evens_out_loudness() -> None:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    x = np.asarray(np.sin(2 * np.pi * 300 * time) * np.where(time < 0.5, 1.0, 0.1), np.float32)

    def step_db(y: np.ndarray) -> float:  # type: ignore[type-arg]
        half = len(y) // 2
        return float(10 * np.log10(np.mean(y[:half] ** 2) / np.mean(y[half:] ** 2)))

    assert step_db(compress(x, 0.0)) == pytest.approx(20, abs=0.1)
    assert step_db(compress(x, 0.5)) == pytest.approx(10, abs=1)
    assert not compress(np.zeros(100, np.float32), 0.5).any()


def test_onlookers_are_silent_and_compete(clips: list[TalkingClip], pack: Pack) -> None:
    network = AVSENet(TINY).eval()
    bank, _ = fit_cues(network, clips)
    faces = TalkingMixer(clips, None, SHORT, FaceSettings())
    stage = JointStage(network, Mixer(pack, None, SHORT), faces, faces, bank, (3, 3))
    speech = Mixer(pack, None, SHORT).draw(np.random.default_rng(0), 40)
    with torch.no_grad():
        queries = stage.queries_of_speech(speech, np.random.default_rng(1))
        figures, results = stage.losses(queries, 0)
    silent = queries.voice == speech.present.shape[1]
    assert 0 < silent.sum() < 20
    assert not results["there"][silent].any()
    assert results["there"][~silent].all()
    assert "silent_db" in figures
    # Each looks on at a mixture in which somebody talks, mostly in the same picture.
    for n in silent.nonzero()[:, 0].tolist():
        assert ((queries.owner == queries.owner[n]) & ~silent).any()
