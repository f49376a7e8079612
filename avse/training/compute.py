"""Device, precision and processes of distributed training."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn

from avse.errors import UsageError
from avse.models.device import pick_device


@dataclass(frozen=True)
class Compute:
    """The device of this process and its rank among the training processes.

    Attributes:
        device: where this process computes.
        precision: see `avse.training.recipe.Recipe`.
        rank: of this process; 0 logs and saves.
        ranks: number of processes (the world size).
    """

    device: torch.device
    precision: str = "float32"
    rank: int = 0
    ranks: int = 1

    @property
    def first(self) -> bool:
        """Whether this process logs and saves."""
        return self.rank == 0

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Context in which the network's convolutions run in 16 bits if the precision is "bf16"."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def share_gradients(self, parameters: Sequence[nn.Parameter], stop: bool) -> bool:
        """Replace gradients by their mean over all processes.

        Args:
            parameters: the same in every process.
            stop: whether this process was asked to stop.

        Returns:
            Whether any process was; so all of them stop after the same step.
        """
        if self.ranks == 1:
            return stop
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [p.grad for p in parameters if p.grad is not None]
        wish = torch.full((1,), float(stop), device=self.device)
        flat = torch.cat([*(g.reshape(-1) for g in gradients), wish])
        distributed.all_reduce(flat)
        flat /= self.ranks
        _scatter(flat[:-1], gradients)
        return bool(flat[-1] > 0)

    def share_statistics(self, module: nn.Module) -> None:
        """Replace running statistics by their mean over all processes."""
        if self.ranks == 1:
            return
        buffers = [b for b in module.buffers() if b.is_floating_point()]
        flat = torch.cat([b.reshape(-1) for b in buffers])
        distributed.all_reduce(flat)
        _scatter(flat / self.ranks, buffers)

    def same_start(self, module: nn.Module) -> None:
        """Copy the weights of the first process to all others."""
        if self.ranks > 1:
            for value in module.state_dict().values():
                distributed.broadcast(value, 0)

    def wait(self) -> None:
        """Wait until every process reaches this call."""
        if self.ranks > 1:
            distributed.barrier()


def _scatter(flat: Tensor, places: Iterable[Tensor]) -> None:
    at = 0
    for place in places:
        place.copy_(flat[at : at + place.numel()].view_as(place))
        at += place.numel()


@contextlib.contextmanager
def computing(device: str, precision: str) -> Iterator[Compute]:
    """Join the other processes, if `torchrun` started several, and leave them at the end.

    Args:
        device: "auto", "cpu", "cuda", "cuda:N" or "mps"; "auto" and "cuda" give each process of a
            machine its own GPU.
        precision: see `avse.training.recipe.Recipe`.

    Raises:
        UsageError: no such device here.
    """
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    name = pick_device(device)
    if name == "cuda":
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        pick_device(name)
    place = torch.device(name)
    if ranks > 1 and place.type == "mps":
        raise UsageError("several processes cannot share a Mac's GPU", "use --device cpu")
    if place.type == "cuda":
        torch.cuda.set_device(place)
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest" if precision == "float32" else "high")
    torch.backends.cudnn.allow_tf32 = precision != "float32"
    if ranks > 1:
        distributed.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield Compute(place, precision, rank, ranks)
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
        if ranks > 1:
            distributed.destroy_process_group()


def moved(value: Any, device: torch.device) -> Any:
    """Move every tensor to the device, also those in dataclasses, tuples and lists."""
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **{k: moved(v, device) for k, v in fields.items()})
    if isinstance(value, tuple | list):
        return type(value)(moved(v, device) for v in value)
    return value
