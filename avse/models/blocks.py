"""The one building block of every stream, and the arithmetic of how far it sees."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class TemporalBlock(nn.Module):
    """Normalise and ReLU before a depthwise-separable temporal convolution, with a residual.

    As in *The Conversation* (Afouras, Chung, Zisserman 2018). The batch normalisation has fixed
    statistics once trained, so a frame's result depends on nothing but its receptive field, which
    is what lets a recording be processed in windows. A condition, if there is one, scales and
    shifts the normalised channels (FiLM: Perez et al. 2018).

    Args:
        channels: width.
        kernel: taps, odd.
        dilation: distance of taps in frames.
        condition: channels of the conditioning sequence; 0 for none.
        dropout: probability of dropping a whole channel, in training.
    """

    def __init__(
        self,
        channels: int,
        kernel: int,
        dilation: int = 1,
        *,
        condition: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)
        self.film = nn.Conv1d(condition, 2 * channels, 1) if condition else None
        self.depthwise = nn.Conv1d(
            channels,
            channels,
            kernel,
            dilation=dilation,
            padding=dilation * (kernel // 2),
            groups=channels,
            bias=False,
        )
        self.pointwise = nn.Conv1d(channels, channels, 1)
        self.dropout = nn.Dropout1d(dropout) if dropout else nn.Identity()
        nn.init.normal_(self.depthwise.weight, std=kernel**-0.5)
        zero(self.pointwise)
        nn.init.normal_(self.pointwise.weight, std=0.5 * channels**-0.5)
        if self.film is not None:
            zero(self.film)
            nn.init.normal_(self.film.weight, std=0.1 * condition**-0.5)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(batch, channels, frames), (batch, condition, frames) -> (batch, channels, frames)."""
        y = self.norm(x)
        if self.film is not None:
            if condition is None:
                raise ValueError("this block needs its condition")
            scale, shift = self.film(condition).chunk(2, dim=1)
            y = y * (1 + scale) + shift
        y = self.pointwise(self.depthwise(torch.relu(y)))
        out: Tensor = x + self.dropout(y)
        return out


def zero(layer: nn.Conv1d) -> None:
    """Make a layer start as "says nothing"."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def reach(kernels: Iterable[int], dilations: Iterable[int]) -> int:
    """Frames that a stack of blocks sees to each side of the one it computes."""
    return sum(d * (k // 2) for k, d in zip(kernels, dilations, strict=True))
