"""AdamW, and Muon for networks made of convolutions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

LEAST = 32
"""Smaller side from which a weight is a matrix to Muon; smaller ones get AdamW's steps."""

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration; singular values end between about 0.7 and 1.2."""

ITERATIONS = 5


def orthogonalised(matrix: Tensor) -> Tensor:
    """(rows, columns) -> about U·Vᵀ of its singular value decomposition.

    By a Newton-Schulz iteration (Jordan et al. 2024, *Muon: an optimizer for hidden layers*).
    """
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    out: Tensor = x.T if tall else x
    return out


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised (Jordan et al. 2024), and AdamW for the rest.

    A convolution's weight (out, in, taps) is taken for a matrix (out, in · taps); one whose smaller
    side is below `LEAST` (vectors, depthwise kernels, narrow layers) gets AdamW's update. The
    matrix updates are scaled by 0.2 · √(larger side), so that both have the same size and one
    learning rate does for both (Liu et al. 2025, *Muon is scalable for LLM training*).

    `torch.optim.Muon` takes two-dimensional parameters only, and ours are convolutions.

    Args:
        parameters: to train.
        lr: learning rate, as for AdamW.
        momentum: of the matrices.
        betas: of AdamW.
        weight_decay: decoupled, on matrices and on what AdamW is given of more than one dimension.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float = 1e-3,
        *,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.01,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "betas": betas,
            "weight_decay": weight_decay,
        }
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take a step; parameters without a gradient stay where they are."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                update = _matrix_update if is_matrix(parameter) else _adam_update
                if parameter.dim() > 1:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(
                    update(parameter.grad, self.state[parameter], group), alpha=-group["lr"]
                )


def is_matrix(parameter: Tensor) -> bool:
    """Whether Muon orthogonalises the updates of this weight."""
    return parameter.dim() > 1 and min(len(parameter), parameter[0].numel()) >= LEAST


def _matrix_update(gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
    if not state:
        state["momentum"] = torch.zeros_like(gradient)
    state["momentum"].lerp_(gradient, 1 - group["momentum"])
    ahead = gradient.lerp(state["momentum"], group["momentum"]).flatten(1)
    scale = 0.2 * max(ahead.shape) ** 0.5
    out: Tensor = (scale * orthogonalised(ahead)).view_as(gradient)
    return out


def _adam_update(gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
    if not state:
        state["step"] = 0
        state["mean"] = torch.zeros_like(gradient)
        state["square"] = torch.zeros_like(gradient)
    first, second = group["betas"]
    state["step"] += 1
    state["mean"].lerp_(gradient, 1 - first)
    state["square"].lerp_(gradient.square(), 1 - second)
    mean = state["mean"] / (1 - first ** state["step"])
    spread = (state["square"] / (1 - second ** state["step"])).sqrt()
    out: Tensor = mean / (spread + 1e-8)
    return out


def make_optimiser(
    name: str, parameters: Iterable[nn.Parameter], rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """An optimiser by its name in a recipe: "adamw" or "muon"."""
    if name == "muon":
        return Muon(parameters, rate, weight_decay=weight_decay)
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=weight_decay)
