"""Executor on a Ray cluster; Ray handles scheduling, resources and lost nodes.

Each recording is a Ray task. It runs in a separate process beside the Ray worker, as on one
machine, so that crashes, the time limit and the memory guard work the same way; that process keeps
the network for the next task. Ray restarts the tasks of a lost node on other nodes. Only the
driver writes the manifest and moves outputs to their final paths; inputs and outputs are files on
storage that every node mounts under the same paths.
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
from avse.batch.worker import CleanTask, make_task_runner
from avse.batch.worker_process import Setup
from avse.errors import MissingError, MissingExtraError, UsageError

_RETRIES = 5
"""Number of lost nodes after which a recording fails."""

_COUNT_S = 5.0
_REACH_S = 10.0
_WAIT_S = 0.5
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Resources:
    """Resources that Ray reserves for each recording.

    Attributes:
        cpus: number of processors.
        gpus: GPUs; a fraction lets several recordings share one.

    Raises:
        UsageError: a number above one is not whole; Ray divides single processors and GPUs only.
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
    """Factory of a cluster executor, for `avse.batch.run.Batch.recruit`.

    Args:
        address: "auto", "HOST:PORT" or "ray://HOST:PORT".
        resources: for each recording.
        device: as the user gave it; without GPUs in `resources` it is the CPU.
        jobs: maximum number of tasks at once; None for the capacity of the cluster.
        setup: makes the work function of a process; None for that of `avse.batch.worker`.

    Raises:
        UsageError: the device is a GPU, but `resources` has none.
    """
    if device.startswith("cuda") and not resources.gpus:
        raise UsageError(
            f"--device {device}, but the cluster reserves no GPU",
            "add --item-gpus 1, or 0.25 for four recordings on one GPU",
        )
    device = device if resources.gpus else "cpu"
    made: Setup = partial(make_task_runner, device=device) if setup is None else setup

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
        MissingError: the cluster cannot be reached, or none of its nodes has the resources for a
            recording: Ray would wait for such a node forever, without a message.
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
            max_calls=0,  # otherwise Ray ends a worker that has used a GPU, and its network is lost
        )(attend)
        self._attend = partial(remote.remote, setup=setup, limits=replace(limits, jobs=1))

    @property
    def size(self) -> int:
        """Number of tasks that fit on the cluster now, plus one in the queue."""
        now = time.monotonic()
        if now - self._counted > _COUNT_S:
            self._counted = now
            self._size = max(1, self._room())
        return self._size if self._jobs is None else min(self._jobs, self._size)

    def idle(self) -> bool:
        """Whether the executor can accept a task."""
        return len(self._hand) < self.size + (self._jobs is None)

    def busy(self) -> bool:
        """Whether any task is running."""
        return bool(self._hand)

    def give(self, task: Any) -> int:
        """Hand a task to Ray."""
        taken = {number for number, _, _ in self._hand.values()}
        number = next(n for n in range(len(taken) + 1) if n not in taken)
        self._hand[self._attend(task)] = (number, task, time.monotonic())
        return number

    def wait(self, timeout_s: float) -> list[Report]:
        """Wait for tasks that have ended; stages are not reported across machines."""
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
                "restart it, then run the same command again to resume",
            ) from error

    def close(self) -> None:
        """Cancel running tasks and disconnect from the cluster."""
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
    """Ray tries for minutes to reach a cluster that does not exist."""
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
        "start such a node, or lower --item-cpus and --item-gpus; `ray status` shows the nodes",
    )


def _in_a_line(error: Exception) -> str:
    """The first line; the last one too where the first only announces it, as Ray's client does."""
    first, _, rest = str(error).strip().partition("\n")
    return f"{first} {rest.rpartition(chr(10))[2].strip()}" if first.endswith(":") else first


_crews: dict[tuple[Any, ...], WorkerPool] = {}
"""The process beside this Ray worker, if any, by the settings it was made with."""


def attend(task: Any, setup: Setup, limits: Limits) -> Report:
    """Do a task on the node that Ray has chosen; Ray runs this function.

    Args:
        task: see `avse.batch.worker`.
        setup: makes the work function of the process.
        limits: of that process.
    """
    if isinstance(task, CleanTask):
        # An attempt that Ray considers lost may still be running and writing.
        task = replace(task, folder=f"{task.folder}.{secrets.token_hex(4)}")
    crew = _crew_for(setup, limits)
    crew.give(task)
    while True:
        for report in crew.wait(_WAIT_S):
            if not report.stage:
                return report


def _crew_for(setup: Setup, limits: Limits) -> WorkerPool:
    """The process of the previous task, or a new one if Ray now assigns other GPUs."""
    key = limits, pickle.dumps(setup), os.environ.get("CUDA_VISIBLE_DEVICES")
    if key not in _crews:
        for crew in _crews.values():
            crew.close()
        _crews.clear()
        _crews[key] = WorkerPool(setup, limits, Path(tempfile.mkdtemp(prefix="avse-")))
    return _crews[key]
