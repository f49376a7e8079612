"""AdamW, and Muon for networks made of convolutions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

LEAST = 32
"""Smaller side from which a weight is a matrix to Muon; smaller ones get AdamW's steps."""

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration; singular values end between about 0.7 and 1.2."""

ITERATIONS = 5


def orthogonalised(matrix: Tensor) -> Tensor:
    """(..., rows, columns) -> about U·Vᵀ of each one's singular value decomposition.

    By a Newton-Schulz iteration (Jordan et al. 2024, *Muon: an optimizer for hidden layers*).
    """
    a, b, c = COEFFICIENTS
    tall = matrix.shape[-2] > matrix.shape[-1]
    x = matrix.mT if tall else matrix
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    out: Tensor = x.mT if tall else x
    return out


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised (Jordan et al. 2024), and AdamW for the rest.

    A convolution's weight (out, in, taps) is treated as a matrix (out, in · taps); one whose
    smaller side is below `LEAST` (vectors, depthwise kernels, narrow layers) gets AdamW's update.
    The matrix updates are scaled by 0.2 · √(larger side), so that both have the same size and one
    learning rate does for both (Liu et al. 2025, *Muon is scalable for LLM training*).

    `torch.optim.Muon` takes two-dimensional parameters only, and ours are convolutions.

    Args:
        parameters: to train.
        lr: learning rate, as for AdamW.
        momentum: of the matrices.
        betas: of AdamW.
        weight_decay: decoupled, on all parameters with more than one dimension.
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
        """Take a step; parameters without a gradient stay unchanged."""
        for group in self.param_groups:
            moving = [p for p in group["params"] if p.grad is not None]
            decaying = [p for p in moving if p.dim() > 1]
            if decaying:
                torch._foreach_mul_(decaying, 1 - group["lr"] * group["weight_decay"])
            # Matrices of one shape are orthogonalised together: on a GPU, launches are the main
            # cost.
            shapes: dict[torch.Size, list[nn.Parameter]] = {}
            for parameter in moving:
                if is_matrix(parameter):
                    shapes.setdefault(parameter[0].shape + parameter.shape, []).append(parameter)
            for alike in shapes.values():
                self._move(alike, self._matrix_updates(alike, group), group)
            rest = [p for p in moving if not is_matrix(p)]
            if rest:
                self._move(rest, self._adam_updates(rest, group), group)

    def _move(
        self, parameters: Sequence[nn.Parameter], updates: Sequence[Tensor], group: dict[str, Any]
    ) -> None:
        torch._foreach_add_(list(parameters), list(updates), alpha=-group["lr"])

    def _kept(self, parameters: Sequence[nn.Parameter], name: str) -> list[Tensor]:
        for parameter in parameters:
            if name not in self.state[parameter]:
                self.state[parameter][name] = torch.zeros_like(parameter)
        return [self.state[parameter][name] for parameter in parameters]

    def _matrix_updates(
        self, parameters: Sequence[nn.Parameter], group: dict[str, Any]
    ) -> list[Tensor]:
        gradients, momenta = _gradients(parameters), self._kept(parameters, "momentum")
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        ahead = torch._foreach_lerp(gradients, momenta, group["momentum"])
        stacked = torch.stack([x.flatten(1) for x in ahead])
        scale = 0.2 * max(stacked.shape[1:]) ** 0.5
        updates = scale * orthogonalised(stacked)
        return [x.view_as(p) for x, p in zip(updates.unbind(), parameters, strict=True)]

    def _adam_updates(
        self, parameters: Sequence[nn.Parameter], group: dict[str, Any]
    ) -> list[Tensor]:
        first, second = group["betas"]
        gradients = _gradients(parameters)
        means, squares = self._kept(parameters, "mean"), self._kept(parameters, "square")
        torch._foreach_lerp_(means, gradients, 1 - first)
        torch._foreach_lerp_(squares, torch._foreach_mul(gradients, gradients), 1 - second)
        for parameter in parameters:
            self.state[parameter]["step"] = self.state[parameter].get("step", 0) + 1
        steps = [self.state[parameter]["step"] for parameter in parameters]
        spread = torch._foreach_div(squares, [1 - second**n for n in steps])
        torch._foreach_sqrt_(spread)
        torch._foreach_add_(spread, 1e-8)
        updates = torch._foreach_div(means, [1 - first**n for n in steps])
        torch._foreach_div_(updates, spread)
        return list(updates)


def is_matrix(parameter: Tensor) -> bool:
    """Whether Muon orthogonalises the updates of this weight."""
    return parameter.dim() > 1 and min(len(parameter), parameter[0].numel()) >= LEAST


def _gradients(parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    return [p.grad for p in parameters if p.grad is not None]


def make_optimiser(
    name: str, parameters: Iterable[nn.Parameter], rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """An optimiser by its name in a recipe: "adamw" or "muon"."""
    if name == "muon":
        return Muon(parameters, rate, weight_decay=weight_decay)
    return torch.optim.AdamW(parameters, lr=rate, weight_decay=weight_decay)
