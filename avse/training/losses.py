"""Loss functions of training."""

from __future__ import annotations

import torch
from torch import Tensor

SOFT = 1e-3
"""Soft limit: improvements beyond 30 dB do not lower the loss."""


def mask_error(mask: Tensor, mixture: Tensor, target: Tensor) -> Tensor:
    """Energy of (mask · mixture − target), without forming the complex difference.

    Args:
        mask: (..., bins, frames), real, or complex (for which the difference is formed).
        mixture: (..., bins, frames), complex.
        target: (..., bins, frames), complex.

    Returns:
        (...,).
    """
    if mask.is_complex():
        return power(mask * mixture - target)
    heard = mixture.real.square() + mixture.imag.square()
    cross = target.real * mixture.real + target.imag * mixture.imag
    energy = (target.real.square() + target.imag.square()).sum(dim=(-2, -1))
    return (mask.square() * heard - 2 * mask * cross).sum(dim=(-2, -1)) + energy


def snr_loss(error: Tensor, energy: Tensor, reference: Tensor) -> Tensor:
    """Negative signal-to-noise ratio in dB, soft-limited, defined for silent targets too.

    For a target with energy: 10 log10((error + soft · energy) / energy). For a silent one:
    10 log10(error / reference + soft), which rewards silence down to the soft limit
    (Wisdom et al. 2020, *Unsupervised sound separation using mixture invariant training*). Not
    scale-invariant, on purpose: scale-invariant losses cannot reward silence.

    Args:
        error: energy of the estimate's error.
        energy: energy of the target, 0 where it is silent.
        reference: energy of the mixture.
    """
    active = energy > 1e-6 * reference
    denominator = torch.where(active, energy, reference).clamp_min(1e-8)
    return 10 * torch.log10(error.clamp_min(0) / denominator + SOFT)


def compressed_loss(mask: Tensor, mixture: Tensor, target: Tensor, exponent: float = 0.3) -> Tensor:
    """Error of the compressed magnitudes, in dB relative to the target's; quiet bins count too.

    The few loudest bins dominate the signal-to-noise ratio, and half the mixture already scores 3
    dB; this loss falls only if the mask assigns the bins to the right voices.

    Args:
        mask: (n, bins, frames), real or complex.
        mixture: (n, bins, frames), complex.
        target: (n, bins, frames), complex.
        exponent: power to which magnitudes are raised.

    Returns:
        (n,), 0 dB for silence in place of the target; for a silent target, relative to the mixture.
    """
    floor = 1e-5
    estimate = ((mask.abs() * mixture.abs()).square() + floor).pow(exponent / 2)
    wanted = (target.abs().square() + floor).pow(exponent / 2)
    heard = (mixture.abs().square() + floor).pow(exponent / 2)
    error = (estimate - wanted).square().sum(dim=(-2, -1))
    size = (wanted - floor ** (exponent / 2)).square().sum(dim=(-2, -1))
    most = (heard - floor ** (exponent / 2)).square().sum(dim=(-2, -1))
    reference = torch.where(size > 1e-3 * most, size, most).clamp_min(1e-6)
    return 10 * torch.log10(error / reference + SOFT)


def power(x: Tensor) -> Tensor:
    """Energy over bins and frames: (..., bins, frames), real or complex -> (...,)."""
    if x.is_complex():
        return (x.real.square() + x.imag.square()).sum(dim=(-2, -1))
    return x.square().sum(dim=(-2, -1))


def projected_sdr(estimate: Tensor, target: Tensor) -> Tensor:
    """SI-SDR in dB, computed on spectra: (..., bins, frames) complex -> (...,)."""
    dot = (estimate * target.conj()).real.sum(dim=(-2, -1))
    along = dot.square() / power(target).clamp_min(1e-9)
    rest = (power(estimate) - along).clamp_min(1e-9)
    return 10 * torch.log10(along.clamp_min(1e-9) / rest)
