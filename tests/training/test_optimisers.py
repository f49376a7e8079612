"""Muon orthogonalises what is a matrix and leaves the rest to AdamW."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from avse.training.optimisers import Muon, is_matrix, make_optimiser, orthogonalised


@pytest.mark.parametrize("shape", [(64, 48), (48, 64), (40, 40)])
def test_singular_values_become_about_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = torch.linalg.svdvals(orthogonalised(matrix))
    assert found.min() > 0.4
    assert found.max() < 1.3
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    cosine = (orthogonalised(matrix) * (u @ v)).sum() / (u @ v).square().sum()
    assert cosine == pytest.approx(0.9, abs=0.2)


def test_convolutions_are_matrices_and_small_ones_are_not() -> None:
    assert is_matrix(nn.Conv1d(64, 48, 1).weight)
    assert is_matrix(nn.ConvTranspose1d(64, 32, 4).weight)
    assert not is_matrix(nn.Conv1d(64, 64, 5, groups=64).weight)  # depthwise
    assert not is_matrix(nn.Conv1d(64, 8, 1).weight)
    assert not is_matrix(nn.BatchNorm1d(64).weight)


def test_steps_have_the_size_that_adamw_has() -> None:
    torch.manual_seed(0)
    layer = nn.Conv1d(96, 64, 1)
    before = layer.weight.detach().clone()
    optimiser = Muon([layer.weight], 1e-2, weight_decay=0)
    layer(torch.randn(8, 96, 20)).square().mean().backward()
    optimiser.step()
    moved = (layer.weight.detach() - before).square().mean().sqrt()
    assert moved == pytest.approx(0.2e-2, rel=0.25)  # of the rms that AdamW's steps usually have


def test_what_is_no_matrix_moves_as_with_adamw() -> None:
    results = []
    for make in (
        lambda p: Muon([p], 1e-2, betas=(0.9, 0.999), weight_decay=0),
        lambda p: torch.optim.AdamW([p], 1e-2, weight_decay=0),
    ):
        parameter = nn.Parameter(torch.linspace(-1, 1, 7))
        optimiser = make(parameter)
        for n in range(5):
            optimiser.zero_grad()
            ((parameter - n) ** 2).sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        results.append(parameter.detach())
    torch.testing.assert_close(*results)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_both_learn(name: str) -> None:
    torch.manual_seed(0)
    layer = nn.Conv1d(40, 40, 1)
    wanted = torch.linalg.qr(torch.randn(40, 40))[0]
    optimiser = make_optimiser(name, layer.parameters(), 2e-2, 0.0)
    losses = []
    for _ in range(150):
        x = torch.randn(16, 40, 4)
        loss = (layer(x) - torch.einsum("oi,nit->not", wanted, x)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
