"""What training minimises means what it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avse.dsp.stft import BINS
from avse.training.losses import SOFT, compressed_loss, mask_error, projected_sdr, snr_loss


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


def test_complex_masks_are_measured_alike() -> None:
    generator = torch.Generator().manual_seed(0)
    mixture, target = torch.randn(2, 3, BINS, 8, dtype=torch.complex64, generator=generator)
    mask = torch.rand(3, BINS, 8, generator=generator)
    turned = torch.complex(mask, torch.zeros_like(mask))
    torch.testing.assert_close(
        mask_error(turned, mixture, target), mask_error(mask, mixture, target)
    )
    torch.testing.assert_close(
        compressed_loss(turned, mixture, target), compressed_loss(mask, mixture, target)
    )
