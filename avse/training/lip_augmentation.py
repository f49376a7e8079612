"""Augment lips: variations of camera, head pose and articulation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from avse.models.streams import VisualStream
from avse.training.recipe import LipVariation

DRIFT = 7
"""Half the length, in video frames, over which slow errors of the lips are smoothed."""


def varied(
    visual: VisualStream,
    points: Tensor,
    seen: Tensor,
    how: LipVariation,
    rng: np.random.Generator,
) -> Tensor:
    """Compute the principal components of lips, with augmentation.

    Args:
        visual: the visual stream, which projects landmarks to components.
        points: (n, frames, points, 3), minus each clip's median.
        seen: (n, frames).
        how: see `LipVariation`.
        rng: for values drawn once per talker; noise uses torch's generator.

    Returns:
        (n, components, frames).
    """
    count = len(points)
    if how.distortion:
        bent = np.eye(3) + how.distortion * rng.standard_normal((count, 3, 3))
        points = torch.einsum("nfpi,nij->nfpj", points, on(points, bent))
    components = visual.project(points, seen)
    components = components + how.noise * torch.randn_like(components)
    if how.drift:
        components = components + how.drift * drift(components, rng)
    if how.amplitude:
        size = np.exp(how.amplitude * rng.standard_normal((count, components.shape[1], 1)))
        components = components * on(components, size)
    return components


def drift(components: Tensor, rng: np.random.Generator) -> Tensor:
    """Slow landmark errors, such as those from head turns and changes of light.

    Args:
        components: (n, components, frames), whitened.
        rng: draws their size: up to that of the motion itself, and 0 for a third of the talkers.
    """
    noise = functional.pad(torch.randn_like(components), (DRIFT, DRIFT), mode="reflect")
    slow = functional.avg_pool1d(noise, 2 * DRIFT + 1, stride=1) * (2 * DRIFT + 1) ** 0.5
    size = np.clip(rng.uniform(-0.5, 1.0, (len(components), 1, 1)), 0, None)
    out: Tensor = slow * on(components, size)
    return out


def on(like: Tensor, values: object) -> Tensor:
    """An array as float32 on the device of a tensor."""
    return torch.as_tensor(np.asarray(values, np.float32), device=like.device)
