"""Free memory, and memory used by a process; Linux only, None elsewhere."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_CGROUP = Path("/sys/fs/cgroup")
_LIMITS = (
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)


def available() -> int | None:
    """Free memory of this machine or container, in bytes."""
    free = _field(_PROC / "meminfo", "MemAvailable")
    for limit, usage in _LIMITS:
        with suppress(OSError, ValueError):  # "max", or no such controller
            left = int((_CGROUP / limit).read_text()) - int((_CGROUP / usage).read_text())
            free = left if free is None else min(free, left)
    return free


def held(process: int) -> int | None:
    """Private memory of a process in bytes, without libraries and mapped files."""
    return _field(_PROC / str(process) / "status", "RssAnon")


def _field(path: Path, name: str) -> int | None:
    with suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return None
