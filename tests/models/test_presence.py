"""Who is out of sight for a moment still takes part; who stays away does not."""

from __future__ import annotations

import numpy as np
import torch

from avse.dsp.stft import BINS, VIDEO_RATE
from avse.models.network import AVSENet, compete
from avse.models.presence import FADE_S, HOLD_S, REACH, presence

HOLD = int(HOLD_S * VIDEO_RATE)


def test_a_moment_without_lips_changes_nothing() -> None:
    seen = np.ones(100, np.float32)
    seen[40 : 40 + 2 * HOLD] = 0
    assert (presence(seen) == 1).all()


def test_it_falls_to_nothing_and_rises_again_as_it_fell() -> None:
    seen = np.ones((2, 200), np.float32)
    seen[0, 50:150] = 0
    there = presence(seen)
    assert (there[1] == 1).all()
    assert (there[0, : 50 + HOLD] == 1).all()
    assert (there[0, 50 + REACH : 150 - REACH] == 0).all()
    falling = there[0, 49 + HOLD : 50 + REACH]
    assert (np.diff(falling) <= 0).all()
    assert np.abs(np.diff(falling)).max() <= 1 / (FADE_S * VIDEO_RATE) + 1e-6
    np.testing.assert_allclose(there[0], there[0, ::-1])


def test_nobody_is_there_who_was_never_seen() -> None:
    assert (presence(np.zeros((3, 30), np.float32)) == 0).all()
    assert presence(np.zeros((3, 0), np.float32)).shape == (3, 0)


def test_who_is_absent_is_given_nothing_and_takes_nothing() -> None:
    claims = torch.randn((3, 5, 8), generator=torch.Generator().manual_seed(0))
    group = torch.zeros(3, dtype=torch.int64)
    absent = torch.tensor([1.0, 0.0, 1.0])[:, None, None].expand(3, 1, 8)
    masks = compete(claims, group, 1, absent)
    assert (masks[1] == 0).all()
    torch.testing.assert_close(masks[[0, 2]], compete(claims[[0, 2]], group[:2], 1))
    torch.testing.assert_close(
        compete(claims, group, 1, torch.ones(3, 1, 8)), compete(claims, group, 1)
    )


def test_the_network_answers_as_if_only_those_present_were_asked(network: AVSENet) -> None:
    frames = 12
    generator = torch.Generator().manual_seed(1)
    real, imaginary = (torch.randn((1, BINS, 4 * frames), generator=generator) for _ in range(2))
    spectrum = torch.complex(real, imaginary)
    components = torch.randn((1, 2, network.spec.lip_components, frames), generator=generator)
    seen = torch.tensor([1.0, 0.0])[None, :, None].expand(1, 2, frames)
    components = components * seen[:, :, None]
    with torch.no_grad():
        both = network(spectrum, components, seen, seen).complex_mask()
        alone = network(spectrum, components[:, :1], seen[:, :1]).complex_mask()
    torch.testing.assert_close(both[:, :1], alone, atol=1e-5, rtol=1e-4)
    assert (both[:, 1].abs() < 1e-6).all()
