"""The one building block of every stream."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avse.models.spec import AVSESpec


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation of (batch, channels, frames) that keeps channels-last memory.

    PyTorch has fast kernels for channels-last memory in four dimensions only, so the frames are
    normalised as an image of height 1. Names and values are those of `nn.BatchNorm1d`.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (3, 4):
            raise ValueError(f"expected (batch, channels, frames), got {tuple(input.shape)}")

    def forward(self, input: Tensor) -> Tensor:
        """(batch, channels, frames) -> the same."""
        return super().forward(input.unsqueeze(2)).squeeze(2)


class TemporalBlock(nn.Module):
    """Normalise and ReLU before a temporal convolution, with a residual connection.

    As in *The Conversation* (Afouras, Chung, Zisserman 2018), whose convolutions are
    depthwise-separable; dense ones of fewer channels learn faster at equal cost. The batch
    normalisation has fixed statistics once trained, so a frame's result depends only on its
    receptive field, and a recording can be processed in windows. A condition, if there is one,
    scales and shifts the normalised channels (FiLM: Perez et al. 2018).

    Args:
        channels: width.
        kernel: taps, odd.
        dilation: distance of taps in frames.
        condition: channels of the conditioning sequence; 0 for none.
        dropout: probability of dropping a whole channel, in training.
        dense: one convolution over all channels instead of a depthwise and a pointwise one.
    """

    def __init__(
        self,
        channels: int,
        kernel: int,
        dilation: int = 1,
        *,
        condition: int = 0,
        dropout: float = 0.0,
        dense: bool = False,
    ) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.norm = BatchNorm(channels)
        self.film = nn.Conv1d(condition, 2 * channels, 1) if condition else None
        if dense:
            self.temporal = nn.Conv1d(
                channels, channels, kernel, dilation=dilation, padding=padding
            )
            zero(self.temporal)
            scatter(self.temporal.weight, 0.5 * (channels * kernel) ** -0.5)
        else:
            self.depthwise = nn.Conv1d(
                channels,
                channels,
                kernel,
                dilation=dilation,
                padding=padding,
                groups=channels,
                bias=False,
            )
            self.pointwise = nn.Conv1d(channels, channels, 1)
            scatter(self.depthwise.weight, kernel**-0.5)
            zero(self.pointwise)
            scatter(self.pointwise.weight, 0.5 * channels**-0.5)
        self.dense = dense
        self.dropout = nn.Dropout1d(dropout) if dropout else nn.Identity()
        if self.film is not None:
            zero(self.film)
            scatter(self.film.weight, 0.1 * condition**-0.5)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(batch, channels, frames), (batch, condition, frames) -> (batch, channels, frames)."""
        y = self.norm(x)
        if self.film is not None:
            if condition is None:
                raise ValueError("this block needs its condition")
            scale, shift = self.film(condition).chunk(2, dim=1)
            y = y * (1 + scale) + shift
        y = torch.relu(y)
        y = self.temporal(y) if self.dense else self.pointwise(self.depthwise(y))
        out: Tensor = x + self.dropout(y)
        return out


def fine_blocks(channels: int, count: int, spec: AVSESpec) -> nn.Sequential:
    """So many blocks at the STFT rate, without a condition."""
    return nn.Sequential(
        *(
            TemporalBlock(channels, spec.kernel, dilation, dense=spec.convolution == "dense")
            for dilation in spec.dilations(count)
        )
    )


def scatter(weight: Tensor, deviation: float) -> None:
    """Draw a weight from a normal distribution.

    Weights on the "meta" device, which a file is compared with before a network is built, have no
    values; to draw them would import PyTorch's compiler.
    """
    if not weight.is_meta:
        nn.init.normal_(weight, std=deviation)


def zero(layer: nn.Module) -> None:
    """Set the weights of a layer to 0, so that its output starts at 0."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
