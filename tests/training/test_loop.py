"""A run is seeded, resumable to the bit, and shared between processes without drifting apart."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from avse.errors import InputError
from avse.models.network import AVSENet
from avse.training.batches import batches
from avse.training.compute import Compute, computing, moved
from avse.training.loop import CHECKPOINT, Trainer, learning_rate
from avse.training.mixing import Mixer
from avse.training.queries import MixtureSource
from avse.training.recipe import LoopSettings
from avse.training.run_folder import progress
from avse.training.separation_stage import SeparationStage
from avse.training.talking_mixtures import FaceSettings, TalkingMixer
from tests.conftest import TINY

from .conftest import SHORT, MemoryClips, MemorySounds

SETTINGS = LoopSettings(steps=20, save_every=5, log_every=5, warmup=3)
CPU = Compute(torch.device("cpu"))


class Numbers:
    def draw(self, rng: np.random.Generator) -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal((16, 40)).astype(np.float32))


class Sums:
    """Learns to add up, with everything that has a state: dropout, statistics, matrices."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.module = nn.Sequential(
            nn.Linear(40, 40), nn.BatchNorm1d(40), nn.Dropout(0.5), nn.Linear(40, 1)
        )
        self.source = Numbers()

    def losses(self, drawn: torch.Tensor, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        noisy = drawn + 0.1 * float(rng.standard_normal())
        return {"loss": (self.module(noisy) - drawn.sum(dim=1, keepdim=True)).square().mean()}

    def validate(self) -> dict[str, float]:
        return {"zero": 0.0}


def stop_after(steps: int) -> Any:
    counter = itertools.count(1)
    return lambda: next(counter) >= steps


def assert_same(one: Trainer, two: Trainer) -> None:
    for name, value in one.module.state_dict().items():
        assert torch.equal(value, two.module.state_dict()[name]), name
        assert torch.equal(one.average[name], two.average[name]), name


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_a_run_that_was_stopped_ends_like_one_that_was_not(tmp_path: Path, optimiser: str) -> None:
    settings = dataclasses.replace(SETTINGS, optimiser=optimiser)
    whole = Trainer(Sums(), tmp_path / "whole", settings)
    assert whole.run()
    for steps in (7, 6):
        part = Trainer(Sums(), tmp_path / "parts", settings, stop=stop_after(steps))
        assert not part.run()
    parts = Trainer(Sums(), tmp_path / "parts", settings)
    assert parts.step == 13
    assert parts.run()
    assert_same(whole, parts)
    lines = [json.loads(line) for line in (tmp_path / "parts/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [5, 10, 15, 20]
    assert lines[-1]["valid_zero"] == 0


def test_after_a_crash_steps_are_done_and_logged_again(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, log_every=1)
    whole = Trainer(Sums(), tmp_path / "whole", settings)
    whole.run()
    crashed = Trainer(Sums(), tmp_path / "crash", settings)
    step = crashed.stage.losses

    def losses(*given: Any) -> Any:
        if crashed.step == 8:
            raise OSError("the power went")
        return step(*given)

    crashed.stage.losses = losses  # type: ignore[method-assign]
    with pytest.raises(OSError, match="power"):
        crashed.run()
    again = Trainer(Sums(), tmp_path / "crash", settings)
    assert again.step == 5
    again.run()
    assert_same(whole, again)
    logs = [(tmp_path / name / "log.jsonl").read_text() for name in ("whole", "crash")]
    steps = [[json.loads(line)["step"] for line in log.splitlines()] for log in logs]
    assert steps[0] == steps[1]


def test_a_damaged_checkpoint_is_an_error_with_a_name(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"last\.pt"):
        Trainer(Sums(), tmp_path, SETTINGS)


@pytest.mark.parametrize(
    "change",
    [
        {"step": "1"},
        {"steps": None},
        {"network": {}},
        {"network": 3},
        {"average": {"weight": 1}},
        {"average": {1: torch.zeros(1)}},
        {"average": {"stranger": torch.zeros(1)}},
        {"optimiser": {}},
        {"optimiser": [1]},
        {"optimiser": None},
    ],
    ids=str,
)
def test_a_checkpoint_of_wrong_types_is_a_damaged_one(
    tmp_path: Path, change: dict[str, object]
) -> None:
    settings = dataclasses.replace(SETTINGS, steps=1)
    Trainer(Sums(), tmp_path, settings).run()
    path = tmp_path / CHECKPOINT
    torch.save({**torch.load(path, weights_only=True), **change}, path)
    with pytest.raises(InputError, match=r"last\.pt"):
        Trainer(Sums(), tmp_path, settings)


def test_a_loss_that_is_not_finite_changes_no_weight(tmp_path: Path) -> None:
    stage = Sums()
    before = [p.clone() for p in stage.module.parameters()]
    stage.losses = lambda drawn, rng: {"loss": stage.module(drawn).mean() * float("nan")}  # type: ignore[method-assign]
    Trainer(stage, tmp_path, dataclasses.replace(SETTINGS, steps=2)).run()
    assert all(map(torch.equal, before, stage.module.parameters()))


def test_learning_rate_rises_holds_and_falls() -> None:
    settings = LoopSettings(steps=1000, learning_rate=1.0, warmup=100, decay_share=0.2)
    rates = [learning_rate(n, settings) for n in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[500] == 1.0
    assert rates[-1] == pytest.approx(0.01)
    assert all(b <= a for a, b in itertools.pairwise(rates[800:]))


def test_a_stage_ends_when_its_time_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0, 6.0)
    monkeypatch.setattr("avse.training.loop.time.monotonic", lambda: next(clock))
    settings = dataclasses.replace(SETTINGS, steps=1000, minutes=0.5, warmup=0, decay_share=0.5)
    loop = Trainer(Sums(), tmp_path, settings)
    assert loop.run()
    assert loop.step == 5  # of six seconds each
    # A finished stage stays finished, and the learning rate has followed the clock.
    assert progress(tmp_path) == (5, 5)
    assert learning_rate(5, settings, 0.375) == pytest.approx(settings.learning_rate / 2)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine with one processor
def test_the_same_batches_come_whatever_the_number_of_workers(
    sounds: MemorySounds, clips: MemoryClips
) -> None:
    talking = TalkingMixer(clips, sounds, SHORT, FaceSettings())
    source = MixtureSource(talking, Mixer(sounds, sounds, SHORT), 2, 2)

    def drawn(workers: int, first: int = 0) -> list[Any]:
        with batches(source, range(first, 5), 7, CPU, workers) as found:
            return list(found)

    def same(one: Any, two: Any) -> bool:
        (a, b), (c, d) = one, two
        return torch.equal(a.lips, c.lips) and torch.equal(b.sources, d.sources)

    alone, shared, late = drawn(0), drawn(2), drawn(0, first=3)
    assert len(alone) == len(shared) == 5
    assert all(map(same, alone, shared))
    assert all(map(same, alone[3:], late))
    assert not same(alone[0], alone[1])
    with batches(source, range(5), 7, dataclasses.replace(CPU, rank=1), 0) as other:
        assert not same(next(other), alone[0])


def test_everything_in_a_batch_is_moved() -> None:
    @dataclasses.dataclass
    class Pair:
        x: torch.Tensor
        more: tuple[torch.Tensor, None, int]

    pair = moved(Pair(torch.ones(2), (torch.ones(1), None, 3)), torch.device("meta"))
    assert pair.x.is_meta
    assert pair.more[0].is_meta
    assert pair.more[1:] == (None, 3)


def test_sixteen_bits_give_finite_gradients(sounds: MemorySounds, clips: MemoryClips) -> None:
    torch.manual_seed(0)
    network = AVSENet(TINY)
    source = MixtureSource(TalkingMixer(clips, sounds, SHORT, FaceSettings()), None, 2, 0)
    figures = {}
    for precision in ("float32", "bf16"):
        stage = SeparationStage(
            network,
            source,
            None,
            kind="wave",
            compute=dataclasses.replace(CPU, precision=precision),
        )
        torch.manual_seed(1)
        drawn = source.draw(np.random.default_rng(0))
        loss = stage.losses(drawn, np.random.default_rng(0))["loss"]
        loss.backward()  # type: ignore[no-untyped-call]
        figures[precision] = float(loss.detach())
        for name, parameter in network.named_parameters():
            if not name.startswith("voice."):
                assert parameter.grad is not None, name
                assert torch.isfinite(parameter.grad).all(), name
    assert figures["float32"] == pytest.approx(figures["bf16"], rel=0.05)
    assert figures["float32"] != figures["bf16"]


def train_as_rank(rank: int, port: int, folder: str) -> None:
    """One of two processes; leaves its weights in the folder."""
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2",
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
    )  # fmt: skip
    torch.set_num_threads(1)
    with computing("cpu", "float32") as compute:
        for attempt in ("one", "two"):
            settings = dataclasses.replace(SETTINGS, optimiser="muon")
            stop = stop_after(7) if rank == 1 else stop_after(99)
            stopped = Trainer(Sums(), Path(folder) / attempt, settings, compute=compute, stop=stop)
            assert not stopped.run(), "one process asked to stop, so both do"
            loop = Trainer(Sums(), Path(folder) / attempt, settings, compute=compute)
            assert loop.step == 7
            loop.run()
            torch.save(loop.module.state_dict(), Path(folder) / f"{attempt}{rank}.pt")


def test_two_processes_keep_the_same_weights(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(train_as_rank, (port, str(tmp_path)), nprocs=2)
    first, *rest = (torch.load(tmp_path / f"{a}{r}.pt") for a in ("one", "two") for r in (0, 1))
    for other in rest:
        assert all(torch.equal(value, other[name]) for name, value in first.items())
    alone = Trainer(Sums(), tmp_path / "alone", dataclasses.replace(SETTINGS, optimiser="muon"))
    alone.run()
    # Two processes hear twice as much: the result is another one.
    assert not torch.equal(alone.module.state_dict()["0.weight"], first["0.weight"])
