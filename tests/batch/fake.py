"""A batch whose files are words and whose workers need no network: everything but the signal.

An input holds words: "voices N" gives N files; "slow S", "crash", "kill", "full", "hoard",
"refuse", "unreadable", "probe-crash" are what they say; anything else is one voice.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from avse.batch.listeners import Watcher
from avse.batch.manifest import Record, read_records
from avse.batch.originals import CopyTask
from avse.batch.process_pool import Limits, WorkerPool
from avse.batch.request import Request
from avse.batch.run import Batch, Outcome, run
from avse.batch.staging import CARD, finished_files
from avse.batch.worker import Cleaned, CleanTask, Probed, ProbeTask, Tried, TryTask
from avse.batch.worker_process import Hook, Work
from avse.errors import InputError, MediaError
from avse.media.atomic_files import writing
from avse.scene.naming import DEFAULT_NAME
from avse.scene.speakers import Speakers
from avse.settings import Settings
from avse.utils.file_state import mark
from avse.utils.fingerprint import sha256

REQUEST = Request("separate", Speakers.read("all"), DEFAULT_NAME, Settings())


def recruit(limits: Limits, folder: Path) -> WorkerPool:
    return WorkerPool(make, limits, folder)


def make(number: int) -> Work:
    return work


def work(task: Any, hook: Hook) -> Probed | Tried | Cleaned | None:
    source = Path(task.source)
    if isinstance(task, CopyTask):
        Path(task.target).write_text(f"sound of {source.read_text()}")
        return None
    words = source.read_text(encoding="utf-8").split()
    word, amount = [*words, "voices", "1"][:2]
    if isinstance(task, ProbeTask):
        if word == "unreadable":
            raise MediaError(f"{source} is not a media file.", "Check that it plays.")
        if word == "probe-crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        return Probed(float(len(words)), source.stat().st_size, 640, 360, 25.0, 96000)
    if isinstance(task, TryTask):
        return Tried(start_s=2.0, seconds=3.0, rule_s=1.0)
    assert isinstance(task, CleanTask)
    hook("faces", 0.0, 1.0)
    if word == "slow":
        time.sleep(float(amount))
    if word == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if word == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "refuse":
        raise InputError(f"{source.name}: no face was found", "Show one.")
    if word == "hoard" and task.window_s > float(amount):
        raise MemoryError
    return _cleaned(task, source, word, int(amount) if word == "voices" else 1)


def _cleaned(task: CleanTask, source: Path, word: str, voices: int) -> Cleaned:
    folder = Path(task.folder)
    folder.mkdir(parents=True)
    naming = task.request.naming(source, folder)
    paths = [naming.path(number + 1) for number in range(voices)]
    for number, path in enumerate(paths):
        with writing(path):
            if word == "full":
                raise OSError(errno.ENOSPC, "No space left on device")
            path.write_text(f"voice {number + 1} of {sha256(source)}\n" * 50)
    outputs = finished_files(folder, paths, Path(task.below))
    (folder / CARD).write_text(json.dumps(card([path.name for path in paths])))
    corrected = task.request.corrected(sha256(source))
    return Cleaned(mark(source), tuple(outputs), voices, (), corrected)


def card(names: list[str]) -> dict[str, Any]:
    """What the report shows of a recording with a person for each output, and one more."""
    sound = {"peaks": [0.5, 0.2], "start_s": 0.0, "plays": "audio"}
    people = range(1, len(names) + 2)
    return {
        "faces": [{"number": n, "seconds": 1.5, "jpeg": "AAAA", "name": None} for n in people],
        "before": {**sound, "start_s": 0.25, "plays": "video", "stem": ""},
        "after": {name: {**sound, "stem": str(n)} for n, name in enumerate(names, 1)},
    }


def write_tree(folder: Path, **words: str) -> Path:
    """Inputs by name: a__b is a/b.mp4."""
    for name, text in words.items():
        path = folder / (name.replace("__", "/") + ".mp4")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def clean(source: Path, output: Path, *, watcher: Watcher | None = None, **more: Any) -> Outcome:
    """Run a batch of such files."""
    jobs = more.pop("jobs", 2)
    limits = more.pop("limits", Limits(jobs=jobs))
    about: dict[str, Any] = {"inputs": [str(source)], "output": output, "request": REQUEST}
    about |= {"limits": limits, "recruit": recruit, **more}
    return run(Batch(**about), watcher or Watcher())


def results(output: Path) -> dict[str, bytes]:
    """Every output, by its path below the folder; what belongs to the run itself left out."""
    return {
        str(path.relative_to(output)): path.read_bytes()
        for path in sorted(output.rglob("*"))
        if path.is_file() and not str(path.relative_to(output)).startswith((".avse", "avse-"))
    }


class Told(Watcher):
    """Keeps what it is told: inputs that ended, those that failed with a !, and warnings."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def ended(self, worker: int | None, record: Record, work_s: float) -> None:
        self.done.append(Path(record.input).stem + "!" * (record.status == "failed"))


def records(output: Path) -> list[Record]:
    """The manifest of a batch, which has to be whole."""
    found = list(read_records(output / "avse-batch.jsonl"))
    assert None not in found
    return [record for record in found if record is not None]


if __name__ == "__main__":
    # As `__main__` this module is not the one that the workers know.
    from tests.batch import fake

    outcome = fake.clean(Path(sys.argv[1]), Path(sys.argv[2]))
    sys.exit(130 if outcome.summary.interrupted else bool(outcome.summary.failed))
