"""A Ray cluster as workforce: scheduling, resources and lost nodes are Ray's business.

Each recording is a Ray task. It runs in a process of its own beside the Ray worker, as on one
machine, so that a crash, the time limit and the memory guard mean the same; that process keeps the
network for the next task. A node that is lost has its tasks started again elsewhere by Ray. The
manifest is written and outputs are put in their places by the driver alone; inputs and outputs are
files on storage that every node sees under the same paths.
"""

from __future__ import annotations

import os
import pickle
import secrets
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from avse.batch.manifest import Failure
from avse.batch.process_pool import Limits, Report, WorkerPool
from avse.batch.worker import CleanTask, make_bench
from avse.batch.worker_process import Setup
from avse.errors import MissingError, MissingExtraError, UsageError

_RETRIES = 5
"""Nodes that a recording may lose before it is given up."""

_COUNT_S = 5.0
_REACH_S = 10.0
_WAIT_S = 0.5
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Resources:
    """What Ray sets aside for each recording.

    Attributes:
        cpus: processors.
        gpus: GPUs; a fraction lets several recordings share one.

    Raises:
        UsageError: more than one, but not whole; Ray divides nothing but single ones.
    """

    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        for kind, amount in (("cpus", self.cpus), ("gpus", self.gpus)):
            if amount > 1 and amount % 1:
                raise UsageError(
                    f"--item-{kind} {amount:g}: more than one must be a whole number",
                    f"give --item-{kind} {int(amount)} or {int(amount) + 1}, or less than 1",
                )

    def fit_into(self, node: Mapping[str, float]) -> int:
        """How many recordings a node with these resources has room for at once."""
        wanted = {"CPU": self.cpus, "GPU": self.gpus}
        return min(
            int(node.get(kind, 0.0) / amount + _ROUNDING)
            for kind, amount in wanted.items()
            if amount
        )


def recruit_on(
    address: str,
    resources: Resources,
    device: str,
    jobs: int | None,
    setup: Setup | None = None,
) -> Callable[[Limits, Path], Cluster]:
    """How to make a workforce of a cluster, for `avse.batch.run.Batch.recruit`.

    Args:
        address: "auto", "HOST:PORT" or "ray://HOST:PORT".
        resources: for each recording.
        device: as the user gave it; without GPUs in `resources` it is the CPU.
        jobs: tasks at once at most; None for as many as the cluster has room for.
        setup: makes the work of a process; None for that of `avse.batch.worker`.

    Raises:
        UsageError: a GPU is named, and none is asked of the cluster.
    """
    if device.startswith("cuda") and not resources.gpus:
        raise UsageError(
            f"--device {device}, but no GPU is asked of the cluster",
            "add --item-gpus 1, or 0.25 for four recordings on one GPU",
        )
    device = device if resources.gpus else "cpu"
    made: Setup = partial(make_bench, device=device) if setup is None else setup

    def recruit(limits: Limits, folder: Path) -> Cluster:
        return Cluster(address, resources, made, limits, jobs)

    return recruit


class Cluster:
    """Tasks on a Ray cluster; see `avse.batch.process_pool.Executor`.

    Args:
        address: of the cluster.
        resources: for each recording.
        setup: makes the work of a process.
        limits: of each task; `jobs` is not used.
        jobs: tasks at once at most.

    Raises:
        MissingExtraError: Ray is not installed.
        MissingError: the cluster cannot be reached, or none of its nodes has room for a recording:
            Ray would wait for such a node without end, and say nothing.
    """

    def __init__(
        self,
        address: str,
        resources: Resources,
        setup: Setup,
        limits: Limits,
        jobs: int | None = None,
    ) -> None:
        try:
            import ray
        except ImportError as error:
            raise MissingExtraError(
                "Ray is not installed", 'pip install "avse[cluster]"'
            ) from error
        self._ray: Any = ray
        self._resources, self._jobs = resources, jobs
        self._ours = not ray.is_initialized()
        if self._ours:
            _check_reachable(address)
            try:
                ray.init(address=address, log_to_driver=False, logging_level="error")
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise _no_cluster(address, error) from error
        self._hand: dict[Any, tuple[int, Any, float]] = {}
        self._size, self._counted = self._room(), time.monotonic()
        if not self._size:
            self.close()
            raise _no_room(resources)
        remote = ray.remote(
            num_cpus=resources.cpus,
            num_gpus=resources.gpus,
            max_retries=_RETRIES,
            max_calls=0,  # else Ray ends a worker that has used a GPU, and the network with it
        )(attend)
        self._attend = partial(remote.remote, setup=setup, limits=replace(limits, jobs=1))

    @property
    def size(self) -> int:
        """How many tasks the cluster has room for now; one more is kept in line."""
        now = time.monotonic()
        if now - self._counted > _COUNT_S:
            self._counted = now
            self._size = max(1, self._room())
        return self._size if self._jobs is None else min(self._jobs, self._size)

    def idle(self) -> bool:
        """Whether a task can be given."""
        return len(self._hand) < self.size + (self._jobs is None)

    def busy(self) -> bool:
        """Whether any task is in hand."""
        return bool(self._hand)

    def give(self, task: Any) -> int:
        """Hand a task to Ray."""
        taken = {number for number, _, _ in self._hand.values()}
        number = next(n for n in range(len(taken) + 1) if n not in taken)
        self._hand[self._attend(task)] = (number, task, time.monotonic())
        return number

    def wait(self, timeout_s: float) -> list[Report]:
        """What has ended, as soon as anything has; stages are not told across machines."""
        if not self._hand:
            return []
        try:
            ended, _ = self._ray.wait(
                list(self._hand), num_returns=1, timeout=timeout_s, fetch_local=True
            )
            return [self._report(reference) for reference in ended]
        except ConnectionError as error:
            raise MissingError(
                f"the Ray cluster was lost: {_in_a_line(error)}",
                "see to it that it is up; the same command goes on from here",
            ) from error

    def close(self) -> None:
        """Cancel what is in hand, and leave the cluster."""
        with suppress(ConnectionError):
            for reference in self._hand:
                self._ray.cancel(reference, force=True)
        self._hand.clear()
        if self._ours:
            self._ray.shutdown()

    def _room(self) -> int:
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        return sum(self._resources.fit_into(node["Resources"]) for node in nodes)

    def _report(self, reference: Any) -> Report:
        number, task, began = self._hand.pop(reference)
        try:
            report: Report = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            return Report(
                number,
                task,
                trouble=Failure(
                    "died",
                    f"Ray gave it up: {_in_a_line(error)}",
                    "see the dashboard or logs of the cluster",
                ),
                seconds=time.monotonic() - began,
            )
        return replace(report, worker=number)


def _check_reachable(address: str) -> None:
    """Ray tries for minutes to reach a cluster that is not there."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_S).close()
    except OSError as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> MissingError:
    return MissingError(
        f"there is no Ray cluster at {address}: {_in_a_line(error)}",
        "start one (`ray start --head`), or check --cluster",
    )


def _no_room(resources: Resources) -> MissingError:
    gpus = f" and {resources.gpus:g} GPUs" if resources.gpus else ""
    return MissingError(
        f"no node of the Ray cluster has {resources.cpus:g} processors{gpus} for a recording",
        "start such a node, or lower --item-cpus and --item-gpus; `ray status` shows what is there",
    )


def _in_a_line(error: Exception) -> str:
    """The first line; the last one too where the first only announces it, as Ray's client does."""
    first, _, rest = str(error).strip().partition("\n")
    return f"{first} {rest.rpartition(chr(10))[2].strip()}" if first.endswith(":") else first


_crews: dict[tuple[Any, ...], WorkerPool] = {}
"""The process beside this Ray worker, if there is one, by what it was made for."""


def attend(task: Any, setup: Setup, limits: Limits) -> Report:
    """Do a task on the node that Ray has chosen: the function that Ray runs.

    Args:
        task: see `avse.batch.worker`.
        setup: makes the work of the process that does it.
        limits: of that process.
    """
    if isinstance(task, CleanTask):
        # Of an attempt that Ray takes for lost, something may be alive and writing still.
        task = replace(task, folder=f"{task.folder}.{secrets.token_hex(4)}")
    crew = _crew_for(setup, limits)
    crew.give(task)
    while True:
        for report in crew.wait(_WAIT_S):
            if not report.stage:
                return report


def _crew_for(setup: Setup, limits: Limits) -> WorkerPool:
    """The process of the task before, or another where it sees other GPUs than Ray now gives."""
    key = limits, pickle.dumps(setup), os.environ.get("CUDA_VISIBLE_DEVICES")
    if key not in _crews:
        for crew in _crews.values():
            crew.close()
        _crews.clear()
        _crews[key] = WorkerPool(setup, limits, Path(tempfile.mkdtemp(prefix="avse-")))
    return _crews[key]
