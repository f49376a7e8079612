"""Tell whether a file is unchanged: by its hash, or by metadata that every write changes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from avse.utils.fingerprint import sha256


@dataclass(frozen=True)
class Mark:
    """The recorded state of a file.

    Attributes:
        sha256: hex digest of its content.
        bytes: its size.
        mtime_ns, ctime_ns, inode: from `os.stat`. Writing to a file, replacing it, or setting its
            times back changes at least ctime or inode. So if they are equal, the content need not
            be hashed.
    """

    sha256: str
    bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    def holds(self, path: Path, *, verify: bool = False) -> bool:
        """Whether the file at a path still has this content.

        Args:
            path: the file.
            verify: hash the content even if size, times and inode are unchanged.
        """
        try:
            now = path.stat()
        except (OSError, ValueError):
            return False
        if now.st_size != self.bytes:
            return False
        if not verify and self.still(now):
            return True
        try:
            return sha256(path) == self.sha256
        except OSError:
            return False

    def still(self, state: os.stat_result) -> bool:
        """Whether size, times and inode of `state` equal the recorded ones."""
        now = (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
        return now == (self.bytes, self.mtime_ns, self.ctime_ns, self.inode)


def mark(path: Path) -> Mark:
    """Record the state of a file.

    Raises:
        OSError: the file cannot be read.
    """
    before = path.stat()
    return mark_of(before, sha256(path))


def mark_of(state: os.stat_result, digest: str) -> Mark:
    """Build a `Mark` from the result of `os.stat` and the hex digest of the content."""
    return Mark(digest, state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
