"""A real Ray cluster of two node processes, one of which is killed in the middle."""

from __future__ import annotations

import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from avse.batch import cluster as clusters
from avse.batch.listeners import Watcher
from avse.batch.manifest import Record, read_records
from avse.batch.process_pool import Limits
from avse.batch.request import Request
from avse.batch.run import Batch, Outcome, run
from avse.batch.worker_process import Setup
from avse.errors import MissingError, UsageError
from avse.media import copy_beginning

from . import fake, workers
from .program import DUET, avse

ray = pytest.importorskip("ray", reason="needs avse[cluster]")

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.slow]

NOTICED_S = 120
"""Ray takes a node for dead when it has missed some heartbeats: 15 s if nothing else is to do."""


@pytest.fixture(scope="module")
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def head(port: int) -> Iterator[Any]:
    """A cluster of one node, with a processor."""
    from ray.cluster_utils import Cluster

    arguments = {"num_cpus": 1, "include_dashboard": False, "ray_client_server_port": port}
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")
        # On a busy machine the server takes longer than the 30 s after which it is given up.
        patch.setenv("RAY_CLIENT_SERVER_CHECK_CHANNEL_TIMEOUT_S", "200")
        made = Cluster(initialize_head=True, head_node_args=arguments)
        ray.init(address=made.address, log_to_driver=False)
        yield made
        ray.shutdown()
        made.shutdown()


@pytest.fixture
def node(head: Any) -> Iterator[Any]:
    """A second node, with a processor and what its owner says is a GPU."""
    before = living()
    made = head.add_node(num_cpus=1, num_gpus=1)
    yield made
    if made in head.worker_nodes:
        head.remove_node(made, allow_graceful=False)
    wait_until(lambda: living() == before)


def living() -> int:
    return sum(node["Alive"] for node in ray.nodes())


def wait_until(what: Callable[[], bool]) -> None:
    until = time.monotonic() + NOTICED_S
    while not what():
        assert time.monotonic() < until
        time.sleep(0.1)


def clean_and_kill(
    head: Any, node: Any, source: Path, output: Path, request: Request, setup: Setup | None
) -> Outcome:
    """Clean on both nodes; the second is killed when something is done and it has work in hand."""
    seen = threading.Event()

    class Seen(Watcher):
        def ended(self, worker: int | None, record: Record, work_s: float) -> None:
            if record.status == "done":
                seen.set()

    def kill() -> None:
        assert seen.wait(300)
        head.remove_node(node, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    recruit = clusters.recruit_on(head.address, clusters.Resources(1, 0), "cpu", None, setup)
    outcome = run(Batch([str(source)], output, request, Limits(), recruit=recruit), Seen())
    killer.join()
    records = list(read_records(output / "avse-batch.jsonl"))
    assert None not in records
    assert [path.name for path in (output / ".avse-batch").iterdir()] == ["cards"]
    wait_until(lambda: living() == 1)
    return outcome


def test_a_node_that_is_killed_costs_nothing(head: Any, node: Any, tmp_path: Path) -> None:
    words = {f"f{n}__x": "slow 0.7" for n in range(12)}
    source = fake.write_tree(tmp_path / "in", **words, bad="refuse", crash="crash")
    fake.clean(source, tmp_path / "local")
    summary = clean_and_kill(head, node, source, tmp_path / "out", fake.REQUEST, fake.make).summary
    assert sorted(path.stem for path, _ in summary.failed) == ["bad", "crash"]
    assert summary.done == 12
    assert fake.results(tmp_path / "out") == fake.results(tmp_path / "local")


def test_voices_are_the_same_to_the_byte_when_a_node_is_killed(
    head: Any, node: Any, tmp_path: Path
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for number in range(6):
        copy_beginning(DUET, source / f"{number}.mp4", seconds=1 + number / 10)
    local = run(Batch([str(source)], tmp_path / "local", fake.REQUEST, Limits(1)), Watcher())
    assert local.summary.done == 6
    outcome = clean_and_kill(head, node, source, tmp_path / "out", fake.REQUEST, None)
    assert (outcome.summary.done, outcome.summary.failed) == (6, [])
    made = fake.results(tmp_path / "out")
    assert len(made) == 12
    assert made == fake.results(tmp_path / "local")
    again = run(Batch([str(source)], tmp_path / "out", fake.REQUEST, Limits(1)), Watcher())
    assert (again.summary.done_before, again.summary.done) == (6, 0)


def test_a_recording_that_wants_a_gpu_goes_where_there_is_one(head: Any, node: Any) -> None:
    crew = clusters.Cluster(head.address, clusters.Resources(0.5, 0.5), workers.make, Limits())
    assert crew.size == 2
    answers = []
    for _ in range(2):
        crew.give(("environment", "CUDA_VISIBLE_DEVICES"))
        crew.give(("pid",))
        while crew.busy():
            answers += [(report.task[0], report.result) for report in crew.wait(1)]
    crew.close()
    assert [told for word, told in answers if word == "environment"] == ["0", "0"]
    processes = [told for word, told in answers if word == "pid"]
    assert len(processes) == 2
    assert None not in processes


def test_what_no_node_has_room_for_is_refused(head: Any) -> None:
    for resources in (clusters.Resources(1, 1), clusters.Resources(64)):
        with pytest.raises(MissingError, match="no node of the Ray cluster has"):
            clusters.Cluster(head.address, resources, workers.make, Limits())
    with pytest.raises(UsageError, match="whole number"):
        clusters.Resources(1.5)
    with pytest.raises(UsageError, match="reserves no GPU"):
        clusters.recruit_on(head.address, clusters.Resources(), "cuda", None)


def test_the_program_through_a_client(head: Any, port: int, tmp_path: Path) -> None:
    pytest.importorskip("grpc", reason="needs avse[cluster]")
    copy_beginning(DUET, tmp_path / "x.mp4", seconds=1)
    wanted = (tmp_path / "x.mp4", "-o", tmp_path / "out", "--cluster", f"ray://127.0.0.1:{port}")
    ran = avse("batch", *wanted)
    assert ran.returncode == 0, ran.stderr
    assert sorted(fake.results(tmp_path / "out")) == ["x.1.wav", "x.2.wav"]


def test_no_cluster_is_said(tmp_path: Path) -> None:
    ran = avse("batch", DUET, "-o", tmp_path / "out", "--cluster", "ray://127.0.0.1:1")
    assert (ran.returncode, ran.stdout) == (3, "")
    assert "no Ray cluster at ray://127.0.0.1:1: " in ran.stderr
