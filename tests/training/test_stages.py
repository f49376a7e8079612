"""Every stage takes a step, trains what it says, and validates on held-out people."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from avse.data.clips import MemoryClips
from avse.dsp.stft import BINS
from avse.models.network import AVSENet
from avse.models.spec import AVSESpec
from avse.training.audio_only import AudioOnlyNet, AudioOnlyStage, VoicesSource, assigned, best_gain
from avse.training.compute import Compute
from avse.training.contrastive import ContrastiveStage, fit_components
from avse.training.cues import fit_cues
from avse.training.data import Corpora
from avse.training.lip_augmentation import varied
from avse.training.mixing import Mixer
from avse.training.queries import MixtureSource, QueryBuilder
from avse.training.recipe import (
    TRAINED_PARTS,
    LipVariation,
    OffscreenSettings,
    QuerySettings,
    StageSettings,
)
from avse.training.separation_stage import SeparationStage
from avse.training.stages import make_stage
from avse.training.talking_mixtures import FaceSettings, TalkingMixer
from avse.training.validating import Validator
from avse.training.voiceprints import equal_error_rate
from tests.conftest import TINY

from .conftest import SHORT, MemorySounds

CPU = Compute(torch.device("cpu"))
COMPLEX = dataclasses.replace(TINY, mask="complex", conditioning="once", others=False)


@pytest.fixture
def corpora(sounds: MemorySounds, clips: MemoryClips) -> Corpora:
    return Corpora(clips, {"pack": clips}, sounds, sounds)


@pytest.mark.parametrize("spec", [TINY, COMPLEX], ids=["default", "switched"])
@pytest.mark.parametrize("kind", ["lips", "joint", "phase", "wave", "audio-only"])
def test_every_stage_trains_what_it_says(kind, spec: AVSESpec, corpora, tmp_path) -> None:  # type: ignore[no-untyped-def]
    if kind == "phase" and spec.mask == "complex":
        pytest.skip("complex masks have no phase head")
    network = AVSENet(spec)
    fit_components(network, corpora.faces.clips)
    settings = StageSettings(
        kind, faces=3, speech=3, talkers=4, mix=SHORT, validate_mixtures=8,
        face=FaceSettings(absent=0.5), query=QuerySettings(absent=0.3, still=0.5),
    )  # fmt: skip
    stage = make_stage(network, settings, corpora, tmp_path, CPU)
    stage.module.train()
    drawn = stage.source.draw(np.random.default_rng(0))
    losses = stage.losses(drawn, np.random.default_rng(0))
    losses["loss"].backward()  # type: ignore[no-untyped-call]
    assert all(torch.isfinite(value).all() for value in losses.values())
    for name, parameter in network.named_parameters():
        part = name.partition(".")[0]
        unused = kind == "audio-only" and name.startswith(("fusion.activity", "fusion.mask"))
        if part in TRAINED_PARTS[kind] and not unused:
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
        else:
            assert parameter.grad is None, name
    stage.module.eval()
    with torch.no_grad():
        figures = stage.validate()
    expected = {
        "lips": {"wrong_pack"},
        "audio-only": {"gain_pack"},
    }.get(kind, {"gain_pack", "worse_pack", "wrong_pack", "silent_db_pack"})
    assert set(figures) == expected
    assert all(np.isfinite(value) for value in figures.values())


@pytest.mark.parametrize("kind", ["offscreen", "voiceprint"])
def test_what_is_out_of_sight_is_learnt_beside_the_network(kind, corpora, tmp_path) -> None:  # type: ignore[no-untyped-def]
    network = AVSENet(TINY)
    fit_components(network, corpora.faces.clips)
    corpora = dataclasses.replace(corpora, crowds=corpora.noise, held_out_speech=corpora.speech)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    settings = StageSettings(
        kind, faces=3, speech=3, talkers=4, mix=SHORT, validate_mixtures=4,
        face=FaceSettings(absent=0.5, lost=1.0),
        query=QuerySettings(absent=0.3, still=0.5, alone=0.9),
        offscreen=OffscreenSettings(hidden=0.6, crowd=0.7),
    )  # fmt: skip
    stage = make_stage(network, settings, corpora, tmp_path, CPU)
    stage.module.train()
    for seed in range(4):  # in some batches nobody is in sight, in others everybody
        drawn = stage.source.draw(np.random.default_rng(seed))
        losses = stage.losses(drawn, np.random.default_rng(seed))
        assert all(torch.isfinite(value).all() for value in losses.values())
    losses["loss"].backward()  # type: ignore[no-untyped-call]
    for name, parameter in stage.module.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    stage.module.eval()
    with torch.no_grad():
        figures = stage.validate()
    assert figures
    assert all(np.isfinite(value) for value in figures.values())


def test_what_is_left_is_all_that_the_visible_are_not_given(corpora, tmp_path) -> None:  # type: ignore[no-untyped-def]
    network = AVSENet(TINY).eval()
    fit_components(network, corpora.faces.clips)
    settings = StageSettings(
        "offscreen", faces=4, speech=2, mix=SHORT, query=QuerySettings(still=0),
        offscreen=OffscreenSettings(hidden=1.0, crowd=0),
    )  # fmt: skip
    stage = make_stage(network, settings, corpora, tmp_path, CPU)
    drawn = stage.source.draw(np.random.default_rng(0))
    mixture, left, targets = stage.heard(drawn, np.random.default_rng(0))
    # Nobody is in sight: all is left, and it is narrators and noise.
    torch.testing.assert_close(left, mixture)
    torch.testing.assert_close(targets.sum(dim=1), left, atol=1e-5, rtol=1e-4)
    assert (targets[:, 1] == 0).all()
    assert (targets[:, 0].abs().sum(dim=(-2, -1)) > 0).any()


@pytest.mark.parametrize(("same", "different", "expected"), [
    ([0.9, 0.8], [0.1, 0.2, 0.3], 0.0),
    ([0.1, 0.2], [0.8, 0.9], 1.0),
    ([0.2, 0.8], [0.1, 0.9], 0.5),
])  # fmt: skip
def test_the_equal_error_rate(same: list[float], different: list[float], expected: float) -> None:
    found = equal_error_rate(np.array(same, np.float32), np.array(different, np.float32))
    assert found == pytest.approx(expected)


def test_without_speech_there_are_no_cues(clips: MemoryClips, tmp_path) -> None:  # type: ignore[no-untyped-def]
    network = AVSENet(TINY)
    fit_components(network, clips.clips)
    settings = StageSettings("joint", faces=2, speech=0, mix=SHORT)
    stage = make_stage(network, settings, Corpora(clips, {}, None, None), tmp_path, CPU)
    losses = stage.losses(stage.source.draw(np.random.default_rng(0)), np.random.default_rng(0))
    assert "gain_faces" in losses or "silent_db" in losses
    assert "gain_speech" not in losses
    assert not (tmp_path / "cues.pt").exists()


def test_a_part_can_be_frozen(corpora: Corpora, tmp_path) -> None:  # type: ignore[no-untyped-def]
    network = AVSENet(TINY)
    fit_components(network, corpora.faces.clips)  # type: ignore[attr-defined]
    settings = StageSettings("joint", train=("fusion",), faces=2, speech=2, mix=SHORT)
    stage = make_stage(network, settings, corpora, tmp_path, CPU)
    network.train()
    statistics = network.audio.norm.running_mean.clone()  # type: ignore[union-attr]
    losses = stage.losses(stage.source.draw(np.random.default_rng(0)), np.random.default_rng(0))
    losses["loss"].backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None for p in network.audio.parameters())
    assert any(p.grad is not None for p in network.fusion.parameters())
    # What is frozen gathers no statistics either.
    assert torch.equal(network.audio.norm.running_mean, statistics)


def test_onlookers_are_silent_and_compete(clips: MemoryClips, sounds: MemorySounds) -> None:
    network = AVSENet(TINY).eval()
    fit_components(network, clips.clips)
    bank, scale = fit_cues(network, clips.clips)
    assert scale.shape == (TINY.embedding, 1)
    query_builder = QueryBuilder(network, bank, QuerySettings(), LipVariation(), CPU)
    mixer = Mixer(sounds, None, SHORT)
    stage = SeparationStage(network, MixtureSource(None, mixer, 0, 3), bank)
    speech = mixer.draw(np.random.default_rng(0), 40)
    with torch.no_grad():
        queries = query_builder.speech(speech, np.random.default_rng(1))
        figures, results = stage.figures(queries, 0)
    silent = queries.voice == speech.present.shape[1]
    assert 0 < silent.sum() < 20
    assert not results["there"][silent].any()
    assert results["there"][~silent].all()
    assert "silent_db" in figures
    # Each looks on at a mixture in which somebody talks, mostly in the same picture.
    for n in silent.nonzero()[:, 0].tolist():
        assert ((queries.owner == queries.owner[n]) & ~silent).any()


def test_lips_are_varied_by_talker_and_not_at_all_if_so_wished(clips: MemoryClips) -> None:
    network = AVSENet(TINY)
    fit_components(network, clips.clips)
    points = torch.from_numpy(np.stack([clips.clip(n).lips for n in range(3)]))
    seen = torch.ones(points.shape[:2])
    plain = network.visual.project(points, seen)

    def vary(**how: float) -> torch.Tensor:
        nothing = {"noise": 0.0, "distortion": 0.0, "drift": 0.0, "amplitude": 0.0}
        torch.manual_seed(0)
        rng = np.random.default_rng(0)
        return varied(network.visual, points, seen, LipVariation(**{**nothing, **how}), rng)

    torch.testing.assert_close(vary(), plain)
    for name in ("noise", "distortion", "drift", "amplitude"):
        assert not torch.allclose(vary(**{name: 0.25}), plain), name
    louder = vary(amplitude=0.25) / plain
    torch.testing.assert_close(louder.amax(dim=-1), louder.amin(dim=-1), rtol=1e-3, atol=1e-3)


def test_an_audio_only_network_is_not_given_the_order() -> None:
    generator = torch.Generator().manual_seed(0)
    voices = torch.randn(2, 3, BINS, 8, dtype=torch.complex64, generator=generator)
    voices[0, 2] = 0  # two talk, one output is to be silent
    mixture = voices.sum(dim=1)
    masks = torch.rand(2, 3, BINS, 8, generator=generator)
    loss, gain = assigned(masks, mixture, voices)
    turned, same = assigned(masks, mixture, voices[:, [2, 0, 1]])
    torch.testing.assert_close(loss, turned)
    torch.testing.assert_close(gain, same)
    ideal = (voices.abs() / mixture.abs()[:, None]).clamp(max=1)
    better, more = assigned(ideal[:, [1, 2, 0]], mixture, voices)
    assert better < loss
    assert more > gain + 3


def test_audio_only_masks_and_the_residual_share_every_bin(
    sounds: MemorySounds, clips: MemoryClips
) -> None:
    ears = AudioOnlyNet(AVSENet(TINY), 3).eval()
    masks = ears(torch.rand(2, BINS, 8))
    assert masks.shape == (2, 3, BINS, 8)
    assert (masks.sum(dim=1) < 1).all()
    source = VoicesSource(Mixer(sounds, None, SHORT), 2)
    stage = AudioOnlyStage(ears, source, {"pack": clips}, seconds=0.8, count=4)
    with torch.no_grad():
        assert set(stage.validate()) == {"gain_pack"}


def test_the_best_assignment_counts() -> None:
    rng = np.random.default_rng(0)
    voices = rng.standard_normal((2, 4000))
    noisy = voices + 0.1 * rng.standard_normal(voices.shape)
    gain = best_gain(np.stack([0 * voices[0], noisy[1], noisy[0]]), voices, voices.sum(axis=0))
    assert gain == pytest.approx(20, abs=1)


def test_validation_tells_a_perfect_network_from_one_that_does_nothing(clips: MemoryClips) -> None:
    validator = Validator({"pack": clips}, seconds=0.8, count=8, compute=CPU)
    network = AVSENet(TINY).eval()
    fit_components(network, clips.clips)
    with torch.no_grad():
        network.fusion.mask.weight.zero_()
        network.fusion.mask.bias.zero_()
    figures = validator.figures(network)
    # Both faces get a third of everything.
    assert figures["gain_pack"] == pytest.approx(0, abs=0.05)
    assert figures["wrong_pack"] == pytest.approx(0.5, abs=0.01)
    assert figures["silent_db_pack"] == pytest.approx(20 * np.log10(1 / 3), abs=0.3)
    assert validator.figures(network) == figures


def test_lips_and_voices_find_each_other(clips: MemoryClips) -> None:
    torch.manual_seed(0)
    network = AVSENet(TINY)
    fit_components(network, clips.clips)
    mixer = TalkingMixer(clips, None, SHORT, FaceSettings(lost=0))
    stage = ContrastiveStage(network, mixer, {"pack": mixer}, size=6)
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    losses = []
    for step in range(40):
        torch.manual_seed(step)
        drawn = stage.source.draw(np.random.default_rng(step))
        loss = stage.losses(drawn, np.random.default_rng(step))["loss"]
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def test_lips_out_of_step_are_moved_whole() -> None:
    network = AVSENet(TINY)
    how = QuerySettings(late=1.0, most_late=3)
    query_builder = QueryBuilder(network, None, how, LipVariation(), CPU)
    frames = torch.arange(20.0)
    cues = torch.stack([frames, 100 + frames]).expand(64, 2, 20)
    moved, seen = query_builder.out_of_step(cues, frames.expand(64, 20), np.random.default_rng(0))
    late = (moved[:, 0, 10] - 10).long()
    assert set((-late).tolist()) == set(range(-3, 4))
    for row, shift in zip(range(64), late.tolist(), strict=True):
        assert torch.equal(moved[row], cues[row].roll(-shift, dims=-1))
        assert torch.equal(seen[row], frames.roll(-shift))
    same, _ = QueryBuilder(network, None, QuerySettings(late=0.0), LipVariation(), CPU).out_of_step(
        cues, frames.expand(64, 20), np.random.default_rng(0)
    )
    assert torch.equal(same, cues)
