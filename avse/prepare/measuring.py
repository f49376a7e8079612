"""Measure all clips that have no valid result yet."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from avse.errors import MissingError
from avse.faces.detect import FaceBackend, open_backend
from avse.prepare.clip import UNREADABLE, Measured, measure
from avse.prepare.layouts import SourceFile
from avse.prepare.settings import PrepareSettings
from avse.prepare.store import StoredResult, read_result, unchanged, write_result
from avse.utils.pool import map_unordered
from avse.utils.progress import Progress

STAGE = "Reading clips"


@dataclass(frozen=True)
class Task:
    """A clip to measure.

    Attributes:
        source: the clip.
        settings: settings of the measurement.
        model: digest of the weights for the A/V offset; "" for sound alone.
        work: folder of the results.
        fresh: whether to ignore earlier results.
    """

    source: SourceFile
    settings: PrepareSettings
    model: str
    work: Path
    fresh: bool

    @property
    def derived_with(self) -> str:
        """Digest of everything that the derived arrays depend on."""
        from avse.prepare.clustering import VERSION

        return f"{self.model}-{VERSION if self.source.person is None else 'labelled'}"


def measure_all(
    sources: Sequence[SourceFile],
    settings: PrepareSettings,
    work: Path,
    *,
    model: str,
    jobs: int,
    fresh: bool,
    progress: Progress,
) -> int:
    """Make sure that `work` has a result for every clip.

    Args:
        sources: the clips.
        settings: settings of the measurement.
        work: folder of the results.
        model: digest of the weights for the A/V offset; "" for sound alone.
        jobs: number of processes.
        fresh: whether to ignore earlier results.
        progress: called with the number of clips that are done.

    Returns:
        The number of clips that had a valid result already.

    Raises:
        MissingError: a package or the weights are missing.
        OutputError: results cannot be written.
    """
    tasks = []
    for source in sources:
        task = Task(source, settings, model, work, fresh)
        if fresh or _standing(task) is None:
            tasks.append(task)
    kept = done = len(sources) - len(tasks)
    progress(STAGE, done, len(sources))
    with (
        _one_thread(),
        closing(
            map_unordered(work_on, tasks, jobs=min(jobs, max(1, len(tasks))), died=_died)
        ) as attempts,
    ):
        for _ in attempts:
            done += 1
            progress(STAGE, done, len(sources))
    return kept


def work_on(task: Task) -> None:
    """Measure a clip and store the result; earlier results that are still valid are used."""
    before = None if task.fresh else read_result(task.work, task.source.id)
    if before is not None and _holds(before, task):
        measured = before.everything()
    else:
        backend = None if task.settings.sound_only else _backend(task.settings.faces)
        try:
            measured = measure(task.source, task.settings, backend)
        except MissingError:
            raise
        except Exception as error:  # a defect, here or in a library, must not stop other clips
            what = f"{type(error).__name__}: {error}"
            measured = Measured((), {}, UNREADABLE, what, {})
    if task.model and measured.lost is None:
        measured = _derived(measured, task)
    _write(task, measured)


def _died(task: Task) -> None:
    detail = "the process that read it died: out of memory, or a defect of a decoder"
    _write(task, Measured((), {}, UNREADABLE, detail, {}))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute with one thread, as worker processes do, so that results are identical."""
    name = "OMP_NUM_THREADS"  # see `avse.utils.processors.network_threads`
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _derived(measured: Measured, task: Task) -> Measured:
    """Add the arrays that are derived from others: the curve of delays, gradients of the face."""
    from avse.prepare.clustering import gradients
    from avse.prepare.sync import delay_curve, listener

    arrays = dict(measured.arrays)
    network = listener(task.settings.model)
    arrays["curve"] = delay_curve(network, arrays["sound"], arrays["lips"], arrays["seen"])
    if task.source.person is None:
        faces = [gradients(portrait) for portrait in arrays["portraits"]]
        arrays["gradients"] = np.stack(faces).astype(np.float16)
    return replace(measured, arrays=arrays)


def _write(task: Task, measured: Measured) -> None:
    write_result(task.work, task.source.id, measured, task.settings.measured(), task.derived_with)


def _standing(task: Task) -> StoredResult | None:
    """The result of a clip, if it is still fully valid."""
    result = read_result(task.work, task.source.id)
    if result is None or result.derived_with != task.derived_with or not _holds(result, task):
        return None
    return result


def _holds(result: StoredResult, task: Task) -> bool:
    """Whether the clip's result is still valid. Unreadable clips are always tried again."""
    return (
        result.id == task.source.id
        and result.measured.lost != UNREADABLE
        and result.measured_with == task.settings.measured()
        and unchanged(result, task.source)
    )


@lru_cache(maxsize=1)
def _backend(name: str) -> FaceBackend:
    """The face backend, opened once per process."""
    return open_backend(name, device="cpu")
