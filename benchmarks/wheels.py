"""List the machines on which avse installs without a compiler, by the wheels in the package index.

    python benchmarks/wheels.py > table.md

Lets pip look for a wheel of every requirement in pyproject.toml, for each version of Python and
each kind of machine; nothing is installed. Prints the table of docs/platforms.md, in which a cell
lists the versions of Python with a wheel.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
_GLIBC = ("2_28", "2_27", "2_26", "2_24", "2_17", "2_12", "2_5")
MACHINES = {
    "Linux x86-64": [f"manylinux_{glibc}_x86_64" for glibc in _GLIBC] + ["manylinux2014_x86_64"],
    "Linux arm64": [f"manylinux_{glibc}_aarch64" for glibc in _GLIBC] + ["manylinux2014_aarch64"],
    "macOS arm64": ["macosx_14_0_arm64"],
    "Windows x86-64": ["win_amd64"],
}
"""Machine -> tags of the wheels that it can install, with glibc 2.28 or macOS 14."""

_NOT_ASKED = ("docs", "dev", "examples")
"""Extras for development, which are left out."""


def requirements() -> dict[str, list[str]]:
    """Extra -> its requirements, without markers; "" holds those of every installation."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    groups = {"": project["dependencies"], **project["optional-dependencies"]}
    return {
        extra: [text.partition(";")[0].strip() for text in texts]
        for extra, texts in groups.items()
        if extra not in _NOT_ASKED
    }


def found(wanted: Sequence[str], python: str, tags: Sequence[str]) -> dict[str, str]:
    """Name -> version of the wheels that pip would install; packages without one are left out."""
    report = _ask(wanted, python, tags)
    if report is None and len(wanted) > 1:  # pip fails if one package has no wheel
        half = len(wanted) // 2
        return found(wanted[:half], python, tags) | found(wanted[half:], python, tags)
    return report or {}


def _ask(wanted: Sequence[str], python: str, tags: Sequence[str]) -> dict[str, str] | None:
    platforms = [part for tag in tags for part in ("--platform", tag)]
    with tempfile.TemporaryDirectory() as folder:
        ran = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps"),
                *("--ignore-installed", "--only-binary=:all:", "--report", "-", "--target", folder),
                *("--python-version", python, *platforms),
                *wanted,
            ],
            capture_output=True,
            text=True,
        )  # fmt: skip
    if ran.returncode:
        return None
    packages = [item["metadata"] for item in json.loads(ran.stdout)["install"]]
    return {normal(item["name"]): item["version"] for item in packages}


def normal(requirement: str) -> str:
    """Take the normalised name of the package from a requirement."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~ ]", requirement)[0]).lower()


def spans(pythons: Sequence[str]) -> str:
    """Format the versions of Python for a cell."""
    if not pythons:
        return "none"
    return pythons[0] if len(pythons) == 1 else f"{pythons[0]} to {pythons[-1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", nargs="+", default=list(PYTHONS), help="versions of Python")
    chosen = parser.parse_args()
    groups = requirements()
    wanted = sorted({text for texts in groups.values() for text in texts if "avse[" not in text})
    answers = {}
    for machine, tags in MACHINES.items():
        for python in chosen.python:
            answers[machine, python] = found(wanted, python, tags)
            print(machine, python, len(answers[machine, python]), "wheels", file=sys.stderr)
    print(f"| package | {' | '.join(MACHINES)} |")
    print(f"|---|{'---|' * len(MACHINES)}")
    for extra, texts in groups.items():
        for text in texts:
            cells = [
                spans([p for p in chosen.python if normal(text) in answers[machine, p]])
                for machine in MACHINES
            ]
            name = text + (f" (`avse[{extra}]`)" if extra else "")
            print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
