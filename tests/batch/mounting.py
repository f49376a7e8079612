"""Small disks to fill, for those who may mount them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def mount(folder: Path, options: str) -> bool:
    """Mount a tmpfs; whether that was allowed."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def remount(folder: Path, options: str) -> None:
    """Change how a tmpfs is mounted."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def unmount(folder: Path) -> None:
    """Take a tmpfs away."""
    subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A tmpfs; the test is skipped where that may not be mounted."""
    if not mount(folder, options):
        pytest.skip("needs leave to mount")
    try:
        yield folder
    finally:
        unmount(folder)
