"""Voices are enrolled with what the person says elsewhere, and the network is told of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from avse.data.clips import MemoryClips
from avse.dsp.stft import SAMPLE_RATE
from avse.errors import UsageError
from avse.models.network import AVSENet
from avse.models.spec import VoiceprintSpec
from avse.models.voiceprint import VoiceprintNet
from avse.models.weights import load, save
from avse.training.compute import Compute
from avse.training.contrastive import fit_components
from avse.training.data import Corpora
from avse.training.enrolment import LEAST, LONGEST, UsedSpeech, draw_enrolments, elsewhere
from avse.training.mixing import Mixer
from avse.training.queries import Enroller, QueryBuilder
from avse.training.recipe import LipVariation, QuerySettings, StageSettings
from avse.training.recipe_file import read_recipe
from avse.training.recipe_runner import run_recipe
from avse.training.run_folder import averaged
from avse.training.separation_stage import SeparationStage
from avse.training.stages import make_stage
from avse.training.talking_mixtures import FaceSettings, TalkingMixer
from tests.conftest import TINY, randomise

from .conftest import SHORT, MemorySounds

CPU = Compute(torch.device("cpu"))
TOLD = dataclasses.replace(TINY, enrolment=128)


def ramp(clip: int) -> np.ndarray:  # type: ignore[type-arg]
    """Six seconds of which every sample tells its place, and three."""
    seconds = 6 if clip == 0 else 3
    return np.arange(1, seconds * SAMPLE_RATE + 1, dtype=np.float32) + 1e6 * clip


def test_the_longest_rest_of_a_clip() -> None:
    used = UsedSpeech()
    assert used.left(0, 100) == (0, 100)
    used.add(0, 30, 50)
    used.add(0, 40, 60)
    assert used.left(0, 100) == (60, 100)
    used.add(0, 60, 100)
    assert used.left(0, 100) == (0, 30)
    used.add(0, 0, 30)
    assert used.left(0, 100) == (0, 0)
    assert used.left(1, 7) == (0, 7)


def test_a_voice_is_never_enrolled_with_what_is_mixed() -> None:
    used = UsedSpeech()
    used.add(0, 2 * SAMPLE_RATE, 5 * SAMPLE_RATE)
    for seed in range(20):
        x = elsewhere(np.random.default_rng(seed), [0], used, ramp)
        assert x is not None
        assert LEAST <= len(x) <= 2 * SAMPLE_RATE
        # Its level is changed; what lies between two samples tells where they were.
        assert x[0] / (x[1] - x[0]) + len(x) < 2 * SAMPLE_RATE + 10
        more = elsewhere(np.random.default_rng(seed), [0, 1], used, ramp)
        assert more is not None
        assert LEAST <= len(more) <= LONGEST
    used.add(0, 0, 3 * SAMPLE_RATE // 2)
    used.add(0, 5 * SAMPLE_RATE, 5 * SAMPLE_RATE + 10)
    assert elsewhere(np.random.default_rng(0), [0], used, ramp) is None


@pytest.mark.parametrize("speech", [True, False])
def test_mixtures_stay_the_same_when_voices_are_enrolled(
    speech: bool, sounds: MemorySounds, clips: MemoryClips
) -> None:
    def draw(enrolled: float):  # type: ignore[no-untyped-def]
        rng = np.random.default_rng(2)
        if speech:
            return Mixer(sounds, sounds, SHORT, enrolled=enrolled).draw(rng, 8)
        faces = FaceSettings(absent=0.5)
        return TalkingMixer(clips, sounds, SHORT, faces, enrolled=enrolled).draw(rng, 8).batch

    without, some = draw(0.0), draw(1.0)
    assert without.enrolment is None
    assert torch.equal(without.sources, some.sources)
    assert torch.equal(some.enrolment, draw(1.0).enrolment)
    assert some.enrolment.shape == (8, 3, LONGEST)
    known = some.enrolment.abs().amax(dim=-1) > 0
    assert known.any()
    assert not known.all()
    assert (draw(1e-9).enrolment == 0).all()


def test_company_is_quieter_than_the_voice() -> None:
    rng = np.random.default_rng(0)
    sources = np.zeros((1, 3, 100), np.float32)
    sources[0, 1] = rng.standard_normal(100)
    quiet, loud = 0, 0

    class One:
        mixture, voice, clips, used = 0, 0, (1,), UsedSpeech()

    for seed in range(30):
        x = draw_enrolments(np.random.default_rng(seed), 1.0, sources, [One()], ramp)[0, 0]  # type: ignore[list-item]
        x = x[x != 0]
        rough = float(np.std(np.diff(x, 2))) / 2.4
        quiet, loud = quiet + (rough < 0.002), loud + (0.01 < rough < 0.06)
    assert quiet + loud == 30
    assert 5 < loud < 20


def test_voiceprints_are_as_large_as_their_width_and_unknown_ones_nothing() -> None:
    enroller = Enroller(VoiceprintNet(VoiceprintSpec()), 3.0)
    sounds = torch.randn(3, LONGEST, generator=torch.Generator().manual_seed(0))
    sounds[1] = 0
    sounds[2, LEAST:] = 0
    found = enroller(sounds, np.random.default_rng(0))
    assert found.shape == (3, 128)
    torch.testing.assert_close(found.square().mean(dim=1), torch.tensor([1.0, 0.0, 1.0]))
    nobody = enroller(0 * sounds, np.random.default_rng(0))
    assert not nobody.any()


def test_onlookers_and_most_voices_stay_unknown(sounds: MemorySounds, clips: MemoryClips) -> None:
    network = AVSENet(TOLD).eval()
    fit_components(network, clips.clips)
    how = QuerySettings(still=1.0, late=0)
    query_builder = QueryBuilder(
        network, None, how, LipVariation(), CPU, Enroller(VoiceprintNet(VoiceprintSpec()))
    )
    mixer = TalkingMixer(clips, sounds, SHORT, FaceSettings(), enrolled=0.5)
    talking = mixer.draw(np.random.default_rng(0), 12)
    with torch.no_grad():
        queries = query_builder.faces(talking, np.random.default_rng(1))
    assert queries.enrolment is not None
    known = queries.enrolment.any(dim=1)
    sound = talking.batch.enrolment
    assert sound is not None
    onlooker = queries.voice == talking.faces.shape[1]
    assert onlooker.sum() == 12
    assert not known[onlooker].any()
    owner, voice = queries.owner[~onlooker], queries.voice[~onlooker]
    assert torch.equal(known[~onlooker], sound[owner, voice].any(dim=1))


@pytest.mark.parametrize("kind", ["joint", "phase", "wave"])
def test_stages_learn_what_voices_are_worth(kind: str, corpora: Corpora, tmp_path: Path) -> None:
    network = AVSENet(TOLD)
    fit_components(network, list(corpora.faces.clips))  # type: ignore[attr-defined]
    settings = StageSettings(
        kind, faces=4, speech=4, mix=SHORT, query=QuerySettings(absent=0.3, still=0.5, enrolled=0.8)
    )
    stage = make_stage(network, settings, corpora, tmp_path, CPU)
    assert isinstance(stage, SeparationStage)
    stage.module.train()
    losses = stage.losses(stage.source.draw(np.random.default_rng(0)), np.random.default_rng(0))
    losses["loss"].backward()  # type: ignore[no-untyped-call]
    assert "gain_enrolled" in losses
    assert network.fusion.enrol is not None
    gradient = network.fusion.enrol.weight.grad
    if kind == "phase":
        assert gradient is None
    else:
        assert gradient is not None
        assert gradient.any()


@pytest.fixture
def corpora(sounds: MemorySounds, clips: MemoryClips) -> Corpora:
    return Corpora(clips, {"pack": clips}, sounds, sounds)


def test_voiceprints_have_to_be_as_wide_as_the_network_expects(
    corpora: Corpora, tmp_path: Path
) -> None:
    network = AVSENet(dataclasses.replace(TINY, enrolment=64))
    settings = StageSettings("joint", mix=SHORT, query=QuerySettings(enrolled=0.5))
    with pytest.raises(UsageError, match="128 wide, not 64"):
        make_stage(network, settings, corpora, tmp_path, CPU)


def test_weights_without_enrolment_can_be_started_from(recipe: Path, tmp_path: Path) -> None:
    read = read_recipe(recipe)
    first = randomise(AVSENet(read.network))
    save(first, tmp_path / "first.safetensors")
    network = dataclasses.replace(read.network, enrolment=128)
    stage = dataclasses.replace(
        read.stages[1], start=str(tmp_path / "first.safetensors"), query=QuerySettings(enrolled=0.5)
    )
    told = dataclasses.replace(read, network=network, stages=(stage,))
    run_recipe(told, tmp_path / "run", CPU)
    state = averaged(tmp_path / "run/joint/last.pt")
    assert state["fusion.enrol.weight"].shape == (10, 2 * 129)
    assert state["fusion.enrol.weight"].any()
    # The other way round nothing is thrown away silently.
    wider = AVSENet(network)
    wider.load_state_dict(state)
    save(wider, tmp_path / "wider.safetensors")
    assert load(str(tmp_path / "wider.safetensors")).spec == network
    back = dataclasses.replace(
        stage, start=str(tmp_path / "wider.safetensors"), query=QuerySettings()
    )
    with pytest.raises(UsageError, match="another network"):
        run_recipe(dataclasses.replace(read, stages=(back,)), tmp_path / "back", CPU)


def test_recipes_that_cannot_enrol_are_refused(recipe: Path) -> None:
    read = read_recipe(recipe)
    stages = (dataclasses.replace(read.stages[1], query=QuerySettings(enrolled=0.5)),)
    with pytest.raises(UsageError, match="no input for them") as caught:
        dataclasses.replace(read, stages=stages)
    assert "enrolment = 128" in caught.value.hint
