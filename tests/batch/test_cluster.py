"""A real Ray cluster of several node processes, one of which is killed in the middle."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from avse.batch import cluster as clusters
from avse.batch.crew import Limits
from avse.batch.run import Batch, run
from avse.batch.watching import Watcher
from avse.errors import MissingError

from . import fake

ray = pytest.importorskip("ray", reason="needs avse[cluster]")

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def three_nodes() -> Iterator[tuple[Any, list[Any]]]:
    from ray.cluster_utils import Cluster

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # The head works on nothing, so that whatever node is killed had something in hand.
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        nodes = [made.add_node(num_cpus=1) for _ in range(2)]
        ray.init(address=made.address, log_to_driver=False)
        yield made, nodes
        ray.shutdown()
        made.shutdown()


def test_a_node_that_is_killed_costs_nothing(
    three_nodes: tuple[Any, list[Any]], tmp_path: Path
) -> None:
    made, nodes = three_nodes
    words = {f"f{n}__x": "slow 0.7" for n in range(12)}
    source = fake.write_tree(tmp_path / "in", **words, bad="refuse", crash="crash")
    fake.clean(source, tmp_path / "local")
    seen = threading.Event()

    class Seen(Watcher):
        def ended(self, worker: int | None, record: Any, work_s: float) -> None:
            if record.status == "done":
                seen.set()

    def kill() -> None:
        seen.wait(120)
        time.sleep(0.3)
        made.remove_node(nodes[0], allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    recruit = clusters.recruit_on(made.address, clusters.Resources(1, 0), "cpu", None, fake.make)
    batch = Batch(
        [str(source)], tmp_path / "out", fake.REQUEST, Limits(), recruit=recruit, fail_fast=False
    )
    summary = run(batch, Seen()).summary
    killer.join()
    assert sorted(path.stem for path, _ in summary.failed) == ["bad", "crash"]
    assert summary.done == 12
    assert fake.results(tmp_path / "out") == fake.results(tmp_path / "local")
    assert len([node for node in ray.nodes() if node["Alive"]]) == 2


def test_no_cluster_is_said() -> None:
    with pytest.raises(MissingError, match="no Ray cluster"):
        clusters.Cluster("127.0.0.1:1", clusters.Resources(), fake.make, Limits())
