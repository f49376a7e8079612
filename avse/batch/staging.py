"""Stage outputs: write them to a temporary folder and move them in one crash-safe step.

Each worker writes to a separate folder below OUTPUT/.avse-batch, on the same disk. When all files
of a recording are complete, the parent writes a note of the renames, renames the files, and adds
the record to the manifest. If a run is killed in between, the next run completes the renames in
the note; without a note, it removes the folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from avse.batch.manifest import Manifest, Output, Record, refuse_link
from avse.errors import AvseError, InputError, OutputExistsError
from avse.media.atomic_files import writing
from avse.utils.file_state import mark, mark_of
from avse.utils.paths import inside
from avse.utils.schema import load_json

WORK = ".avse-batch"
_NOTE = "commit.json"
CARD = "card.json"


class Staging:
    """Staging folder for the outputs of one manifest.

    Args:
        output: folder of the batch; made if missing.
        manifest: path of the manifest; those of several shards share a folder of outputs.

    Attributes:
        refused: number of notes of other runs that were ignored because they lead out of the
            folder.

    Raises:
        OutputError: the folder cannot be made or written to, or is a link.
    """

    def __init__(self, output: Path, manifest: Path) -> None:
        own = hashlib.sha256(os.fsencode(manifest)).hexdigest()[:8]
        self.output = output
        self.root = output / WORK / f"work-{own}"
        self.cards = output / WORK / "cards"
        self.logs = self.root / "logs"
        self.refused = 0
        for path in (output / WORK, self.root, self.cards, self.logs):
            refuse_link(path)  # its contents are removed at the end
        with writing(output):
            self.logs.mkdir(parents=True, exist_ok=True)
            self.cards.mkdir(parents=True, exist_ok=True)
            probe = self.root / secrets.token_hex(4)
            probe.touch()
            probe.unlink()

    def folder(self, key: str) -> Path:
        """An unused folder for an attempt at a recording; the worker makes it."""
        return self.root / f"{key}.{secrets.token_hex(4)}"

    def commit(self, folder: Path, record: Record, manifest: Manifest, *, force: bool) -> None:
        """Move the outputs of a recording to their final paths and write its record.

        Args:
            folder: of the attempt; it holds files named like the outputs, all flushed to the disk.
            record: record of the recording, with its outputs.
            manifest: receives the record.
            force: whether to replace files that were not made from this input.

        Raises:
            OutputExistsError: such a file exists, or a link leads out of the folder.
            OutputError: a file cannot be moved to its final path.
        """
        before = manifest.latest.get(record.input)
        ours = {output.path for output in before.outputs} if before is not None else set()
        for output in record.outputs:
            path = _placed(self.output, output.path)
            if path.exists() and not force and output.path not in ours:
                raise OutputExistsError(
                    f"{path} exists already and was not made from this input",
                    "add --force to replace it, or choose another --output",
                )
        note = json.dumps({"record": asdict(record)}).encode("ascii")
        with writing(self.output):
            _write(folder / _NOTE, note)
        manifest.append(self._finish(folder, record))
        self.drop(folder)

    def recover(self, manifest: Manifest) -> int:
        """Complete the noted renames of a killed run, and remove its other files.

        Returns:
            Number of recordings completed.
        """
        finished = 0
        for folder in [path for path in self.root.iterdir() if path != self.logs]:
            if folder.is_symlink() or not folder.is_dir():
                folder.unlink(missing_ok=True)
                continue
            record = _noted(folder)
            if record is None and (folder / _NOTE).exists():
                self.refused += 1
            if record is not None and self._whole(folder, record):
                try:
                    record = self._finish(folder, record)
                except OutputExistsError:
                    self.refused += 1
                    self.drop(folder)
                    continue
                latest = manifest.latest.get(record.input)
                if latest is None or latest.finished != record.finished:
                    manifest.append(record)
                    finished += 1
            self.drop(folder)
        return finished

    def drop(self, folder: Path) -> None:
        """Remove the folder of an attempt."""
        shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Remove everything but noted renames that are not complete."""
        shutil.rmtree(self.logs, ignore_errors=True)
        with suppress(OSError):
            for folder in self.root.iterdir():
                if not (folder / _NOTE).exists():
                    self.drop(folder)
            self.root.rmdir()

    def _finish(self, folder: Path, record: Record) -> Record:
        touched = set()
        outputs = []
        for output in record.outputs:
            path = _placed(self.output, output.path)
            staged = folder / path.name
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                if staged.exists():
                    staged.replace(path)
                # Renaming changes the file's times; without new marks, later runs would hash it
                # again.
                state = path.stat()
            outputs.append(Output(output.path, mark_of(state, output.mark.sha256)))
            touched.add(path.parent)
        card = folder / CARD
        if card.exists():
            with writing(self.cards):
                card.replace(self.cards / f"{key_of(record.input)}.json")
        for parent in touched:
            _flush_folder(parent)
        return replace(record, outputs=tuple(outputs))

    def _whole(self, folder: Path, record: Record) -> bool:
        return all(
            (folder / Path(output.path).name).exists()
            or output.mark.holds(self.output / output.path)
            for output in record.outputs
        )


def _placed(folder: Path, name: str) -> Path:
    """Final path of an output.

    Raises:
        OutputExistsError: a link leads out of the folder.
    """
    try:
        return inside(folder, name)
    except InputError as error:
        raise OutputExistsError(error.message, error.hint) from error


def key_of(source: str) -> str:
    """Short name of an input."""
    return hashlib.sha256(os.fsencode(source)).hexdigest()[:20]


def finished_files(folder: Path, names: Iterable[Path], below: Path) -> list[Output]:
    """Flush staged files to the disk and return their marks.

    Args:
        folder: of the attempt.
        names: the files in it.
        below: folder of the outputs, relative to that of the batch.

    Raises:
        OutputError: one cannot be written or read back.
    """
    outputs = []
    for path in names:
        with writing(path):
            with path.open("rb") as file:
                os.fsync(file.fileno())
            outputs.append(Output((below / path.name).as_posix(), mark(path)))
    return outputs


def _noted(folder: Path) -> Record | None:
    with suppress(OSError, ValueError, KeyError, TypeError, AvseError):
        return Record.of(load_json((folder / _NOTE).read_bytes())["record"])
    return None


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    with suppress(OSError):  # not every system lets folders be opened
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
