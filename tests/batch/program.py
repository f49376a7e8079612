"""The program, run as a user does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DUET = Path(__file__).resolve().parents[2] / "examples" / "duet.mp4"


def avse(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        [sys.executable, "-m", "avse", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
