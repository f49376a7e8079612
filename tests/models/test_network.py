"""What the network is supposed to depend on, and what not."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import torch
from torch import nn

from avse.dsp.stft import (
    BINS,
    FRAME_RATE,
    HOP,
    HOPS_PER_VIDEO_FRAME,
    SAMPLE_RATE,
    VIDEO_RATE,
    WINDOW,
    mel_filters,
)
from avse.errors import CorruptWeightsError
from avse.models.blocks import BatchNorm
from avse.models.network import (
    BOUND,
    AVSENet,
    Spectrum,
    compete,
    extended,
    others,
    receptive_field,
)
from avse.models.spec import PRESETS, AVSESpec
from tests.conftest import TINY, randomise


def ask(
    network: AVSENet, frames: int = 12, people: int = 2, seed: int = 1
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (1, BINS, HOPS_PER_VIDEO_FRAME * frames)
    spectrum = torch.complex(
        torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)
    )
    components = torch.randn((1, people, network.spec.lip_components, frames), generator=generator)
    return spectrum, components, torch.ones(1, people, frames)


def test_the_grid_is_derived() -> None:
    assert HOP * FRAME_RATE == SAMPLE_RATE
    assert FRAME_RATE == VIDEO_RATE * HOPS_PER_VIDEO_FRAME
    assert BINS == WINDOW // 2 + 1


@pytest.mark.parametrize("people", [1, 2, 3, 7])
def test_shapes_and_ranges(network: AVSENet, people: int) -> None:
    spectrum, components, seen = ask(network, people=people)
    answer = network(spectrum, components, seen)
    assert answer.mask.shape == (1, people, BINS, 48)
    assert answer.activity.shape == (1, people, 12)
    assert ((answer.mask >= 0) & (answer.mask <= 1)).all()
    # The phase is turned, never stretched.
    torch.testing.assert_close(answer.rotation.norm(dim=2), torch.ones(1, people, BINS, 48))
    torch.testing.assert_close(answer.complex_mask().abs(), answer.mask)


def test_faces_compete_for_what_is_heard(network: AVSENet) -> None:
    spectrum, components, seen = ask(network, people=3)
    everybody = network(spectrum, components, seen)
    assert (everybody.mask.sum(dim=1) <= 1 + 1e-5).all()
    claims = torch.randn(3, BINS, 4)
    shared = compete(claims, torch.zeros(3, dtype=torch.int64), 1)
    alone = compete(claims, torch.arange(3), 3)
    torch.testing.assert_close(alone, claims.sigmoid())
    assert (shared < alone).all()


def test_competition_is_softmax_with_nobody() -> None:
    claims = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0))
    masks = compete(claims, torch.tensor([1, 0, 1]), 2)
    torch.testing.assert_close(masks[1], torch.sigmoid(claims[1]))
    both = torch.stack([claims[0], claims[2], torch.zeros(4, 5)]).softmax(dim=0)
    torch.testing.assert_close(masks[[0, 2]], both[:2])
    assert torch.isfinite(compete(1e4 * claims, torch.tensor([0, 0, 0]), 1)).all()


def test_the_answer_depends_on_the_face_and_not_on_the_level(network: AVSENet) -> None:
    spectrum, components, seen = ask(network)
    answer = network(spectrum, components, seen)
    assert (answer.mask[:, 0] - answer.mask[:, 1]).abs().max() > 1e-4
    louder = network(100 * spectrum, components, seen)
    torch.testing.assert_close(louder.mask, answer.mask, atol=1e-4, rtol=1e-3)


def test_normalisation_is_that_of_pytorch_in_any_memory_layout() -> None:
    ours, theirs = BatchNorm(6), nn.BatchNorm1d(6)
    x = torch.randn(3, 20, 6, generator=torch.Generator().manual_seed(0)).transpose(1, 2)
    for training in (True, False):
        out = ours.train(training)(x)
        torch.testing.assert_close(out, theirs.train(training)(x.contiguous()))
        assert out.stride() == x.stride()


@pytest.mark.parametrize("change", [{}, {"convolution": "dense", "fine_dilations": (1, 3)}])
def test_receptive_field_is_what_it_says(change: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = randomise(AVSENet(dataclasses.replace(TINY, **change)))
    reach = receptive_field(network.spec)
    frames = 2 * reach + 9
    spectrum, components, seen = ask(network, frames=frames)
    middle = frames // 2

    def mask(spectrum: torch.Tensor, components: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            # Levels are taken over the whole window, which is not what is tested here.
            heard = network.audio(spectrum.abs()).pick(torch.tensor([0, 0]))
            lips = network.visual(components[0], seen[0])
            together = torch.tensor([0, 0])
            claims, _, fine = network.fusion(heard, lips, seen[0], together)
            answer = compete(claims, together, 1)
            rotation = network.phase(Spectrum.of(spectrum[[0, 0]]), answer, fine)
        here = slice(HOPS_PER_VIDEO_FRAME * middle, HOPS_PER_VIDEO_FRAME * (middle + 1))
        return (answer[:, None] * rotation)[..., here]

    before = mask(spectrum, components)
    far, lips = spectrum.clone(), components.clone()
    beyond = middle + reach + 1
    far[..., HOPS_PER_VIDEO_FRAME * beyond :] += 3
    lips[..., beyond:] += 3
    torch.testing.assert_close(mask(far, lips), before)
    near = spectrum.clone()
    near[..., HOPS_PER_VIDEO_FRAME * (middle + 2) :] += 3
    assert (mask(near, components) - before).abs().max() > 0
    lips = components.clone()
    lips[..., middle + 2 :] += 3
    assert (mask(spectrum, lips) - before).abs().max() > 0


def test_everybody_is_told_of_the_others_in_the_picture() -> None:
    told = torch.randn(4, 3, 5)
    group = torch.tensor([7, 2, 7, 7])
    rest = others(told, group)
    torch.testing.assert_close(rest[0], told[2] + told[3])
    torch.testing.assert_close(rest[3], told[0] + told[2])
    assert rest[1].abs().max() < 1e-6


def test_unseen_lips_say_nothing(network: AVSENet) -> None:
    spectrum, components, seen = ask(network)
    gone = 0 * seen
    answer = network(spectrum, components, gone)
    torch.testing.assert_close(answer.mask[:, 0], answer.mask[:, 1])
    assert (network.visual(components[0], gone[0]) == 0).all()


def test_voices_and_lips_share_an_embedding(network: AVSENet) -> None:
    spectrum, components, seen = ask(network)
    voices = network.voice(spectrum.abs())
    lips = network.visual(components[0], seen[0])
    assert voices.shape == (1, TINY.embedding, 12)
    evidence = network.voice.evidence(lips, voices)
    assert evidence.shape == (2, 1)
    expected = (lips * voices).sum(dim=(1, 2)) * network.voice.gain.exp()
    torch.testing.assert_close(evidence[:, 0], expected)


def test_mel_filters_are_triangles_in_order() -> None:
    filters = mel_filters(24)
    assert filters.shape == (24, BINS)
    assert (filters >= 0).all()
    assert (filters.sum(axis=1) > 0).all()
    peaks = filters.argmax(axis=1)
    assert (peaks[1:] > peaks[:-1]).all()


def test_spec_rebuilds_itself_and_refuses_the_unknown() -> None:
    assert AVSESpec.from_json(TINY.to_json()) == TINY
    assert dataclasses.asdict(AVSESpec())["lip_points"] == 43
    for text in ("nonsense", "[]", '{"lip_points": 3}', TINY.to_json()[:-1] + ', "more": 1}'):
        with pytest.raises(CorruptWeightsError):
            AVSESpec.from_json(text)


@pytest.mark.parametrize(
    "switch",
    [
        {"conditioning": "once"},
        {"mask": "complex"},
        {"others": False},
        {"convolution": "dense"},
        {"phase_features": True},
    ],
    ids=lambda switch: next(iter(switch)),
)
def test_every_switch_keeps_shapes_and_passes_gradients(switch: dict[str, object]) -> None:
    torch.manual_seed(0)
    network = randomise(AVSENet(dataclasses.replace(TINY, **switch)))  # type: ignore[arg-type]
    spectrum, components, seen = ask(network, people=3)
    answer = network(spectrum, components, seen)
    assert answer.mask.shape == (1, 3, BINS, 48)
    assert answer.rotation.shape == (1, 3, 2, BINS, 48)
    torch.testing.assert_close(answer.complex_mask().abs(), answer.mask, atol=1e-5, rtol=1e-4)
    # The face decides, wherever it is told.
    assert (answer.mask[:, 0] - answer.mask[:, 1]).abs().max() > 1e-4
    (answer.complex_mask().abs().sum() + answer.activity.sum()).backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        if not name.startswith("voice."):
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_complex_masks_are_bounded_and_need_no_phase_head() -> None:
    network = AVSENet(dataclasses.replace(TINY, mask="complex"))
    assert network.phase is None
    claims = 100 * torch.randn(2, 2 * BINS, 4)
    mask = network.masks(claims, torch.zeros(2, dtype=torch.int64), 1)
    assert mask.is_complex()
    assert max(mask.real.abs().max(), mask.imag.abs().max()) <= BOUND


def test_without_others_faces_are_asked_for_one_by_one() -> None:
    network = randomise(AVSENet(dataclasses.replace(TINY, others=False)))
    spectrum, components, seen = ask(network, people=2)
    heard = network.audio(spectrum.abs())
    lips = network.visual(components[0], seen[0])
    together, apart = (
        network.fusion(heard.pick(torch.tensor([0, 0])), lips, seen[0], group)[0]
        for group in (torch.tensor([0, 0]), torch.tensor([0, 1]))
    )
    torch.testing.assert_close(together, apart)


def test_presets_have_the_sizes_they_claim() -> None:
    sizes = {
        name: round(sum(p.numel() for p in AVSENet(spec).parameters()) / 1e6)
        for name, spec in PRESETS.items()
    }
    assert sizes == {"small": 1, "medium": 3, "base": 5, "large": 8, "avse-small": 7}


def test_a_specification_from_before_the_switches_means_their_defaults() -> None:
    fields = json.loads(TINY.to_json())
    for name in AVSESpec.added:
        del fields[name]
    assert AVSESpec.from_json(json.dumps(fields)) == TINY
    with pytest.raises(CorruptWeightsError, match="conditioning"):
        AVSESpec.from_json(json.dumps({**fields, "conditioning": "twice"}))


def test_known_voices_change_nothing_until_they_are_learnt(network: AVSENet) -> None:
    spec = dataclasses.replace(TINY, enrolment=5)
    wider = extended(network, spec)
    assert wider is not None
    spectrum, components, seen = ask(network)
    voices = torch.randn(1, 2, 5, generator=torch.Generator().manual_seed(3))
    before = network(spectrum, components, seen)
    after = wider(spectrum, components, seen, enrolment=voices)
    assert torch.equal(after.complex_mask(), before.complex_mask())
    assert torch.equal(after.activity, before.activity)
    assert extended(wider, dataclasses.replace(spec, enrolment=6)) is None
    assert extended(network, dataclasses.replace(spec, phase_blocks=2)) is None
    # Once learnt, it counts whose voice is known: one's own, and the others'.
    randomise(wider)
    answers = [
        wider(spectrum, components, seen, enrolment=x).mask
        for x in (voices, voices.flip(1), voices * torch.tensor([1.0, 0])[:, None], 0 * voices)
    ]
    for n, one in enumerate(answers):
        for other in answers[:n]:
            assert (one - other).abs().amax(dim=(0, 2, 3)).min() > 1e-5
    unknown = wider(spectrum, components, seen).mask
    assert torch.equal(answers[-1], unknown)
