"""Whether a file is still the one it was: by hash, or by what no writer leaves unchanged."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from avse.utils.fingerprint import sha256


@dataclass(frozen=True)
class Mark:
    """A file as it was.

    Attributes:
        sha256: of its content.
        bytes: its size.
        mtime_ns, ctime_ns, inode: as the system keeps them. Whoever writes to a file, replaces it
            or sets its times back changes at least ctime or inode; so equal numbers spare the hash.
    """

    sha256: str
    bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    def holds(self, path: Path, *, verify: bool = False) -> bool:
        """Whether the file at a path has this content still.

        Args:
            path: of the file.
            verify: read and hash it whatever the system says of it.
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
        """Whether a file in this state is the same, as far as the system knows."""
        now = (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
        return now == (self.bytes, self.mtime_ns, self.ctime_ns, self.inode)


def mark(path: Path) -> Mark:
    """Take the mark of a file.

    Raises:
        OSError: it cannot be read.
    """
    before = path.stat()
    return mark_of(before, sha256(path))


def mark_of(state: os.stat_result, digest: str) -> Mark:
    """The mark of a file in a state whose content has a digest."""
    return Mark(digest, state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
