"""Temporary folders of a page, removed at the end of the program, or else at its next start."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
import weakref
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from avse.media.atomic_files import writing

_PREFIX, _LOCK = "avse-page-", "in-use"
_CLEARING_S = 0.3


_open: weakref.WeakSet[Scratch] = weakref.WeakSet()


class Scratch:
    """A temporary folder that other users cannot read.

    Folders that killed programs have left, whose locks are free, are removed first.

    Attributes:
        path: the folder.

    Raises:
        OutputError: the folder cannot be made.
    """

    def __init__(self) -> None:
        base = Path(tempfile.gettempdir())
        _clear_abandoned(base)
        with writing(base):
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
            lock = FileLock(self.path / _LOCK)
            lock.acquire()
        _open.add(self)
        self._remove = weakref.finalize(self, _remove, self.path, lock)  # also at the end

    def close(self) -> None:
        """Remove the folder, even while a thread is still writing to it."""
        self._remove()


def close_all() -> None:
    """Remove every folder of this program, before an exit that skips cleanup."""
    for scratch in list(_open):
        scratch.close()


def _remove(folder: Path, lock: BaseFileLock) -> None:
    lock.release()
    end = time.monotonic() + _CLEARING_S
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
        if time.monotonic() > end:
            return


def _clear_abandoned(base: Path) -> None:
    """Remove this user's folders whose program was killed."""
    for folder in base.glob(f"{_PREFIX}*"):
        try:
            about = folder.lstat()
            own = not hasattr(os, "geteuid") or about.st_uid == os.geteuid()
            # A missing lock may be about to be created.
            if not (own and stat.S_ISDIR(about.st_mode) and (folder / _LOCK).is_file()):
                continue
            with FileLock(folder / _LOCK, timeout=0):
                pass
        except (OSError, Timeout):
            continue
        shutil.rmtree(folder, ignore_errors=True)
