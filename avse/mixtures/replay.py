"""Reproduce a set from its manifest and the same clips."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from avse.errors import AvseError, InputError, UsageError
from avse.mixtures.clips import file_sha256
from avse.mixtures.manifest import MARK, read_manifest
from avse.mixtures.outcome import Failure, MixturePlan
from avse.mixtures.protocols import LIST
from avse.mixtures.settings import SetSettings


def is_manifest(path: Path) -> bool:
    """Whether a file looks like a manifest rather than a list."""
    start = b'{"' + MARK.encode() + b'"'
    try:
        with path.open("rb") as handle:
            return handle.read(len(start)) == start
    except OSError:  # whoever reads it says so
        return False


def plan_again(
    clips: Path, path: Path, settings: SetSettings, *, noise: Path | None = None
) -> MixturePlan:
    """Plan the set that a manifest describes.

    Args:
        clips: the folder of clips.
        path: the manifest.
        settings: must be the defaults, because the manifest has all settings.
        noise: the folder of noises, if the set has noise.

    Raises:
        UsageError: the settings are not the defaults, or the folder of noises is missing.
        InputError: the manifest cannot be read, or none of its clips exists.
    """
    if settings != SetSettings(protocol=LIST):
        raise UsageError(
            f"{path} is the manifest of a set and says everything itself",
            "leave all other options of the set out",
        )
    manifest = read_manifest(path)
    if any(item.noise is not None for item in manifest.items) and noise is None:
        raise UsageError(f"the set of {path} has noise", "name the folder of noises with --noise")
    check = lru_cache(None)(_check)  # a clip is in many items
    items, failures = [], []
    for item in manifest.items:
        try:
            for source in item.sources:
                check(clips / source.path, source.sha256)
            if item.noise is not None and noise is not None:
                check(noise / item.noise.path, item.noise.sha256)
        except AvseError as error:
            failures.append(Failure(item.id, error))
        else:
            items.append(item)
    if not items:
        raise InputError(
            f"no clip of {path} is in {clips}, or all have changed",
            "name the folder of clips that the set was made of",
        )
    return MixturePlan(replace(manifest, items=tuple(items)), tuple(failures), ())


def _check(path: Path, sha256: str | None) -> None:
    if not path.is_file():
        raise InputError(f"{path} is not there", "name the folder that the set was made of")
    if sha256 is not None and file_sha256(path) != sha256:
        raise InputError(
            f"{path} is not the file that the set was made of: its SHA-256 differs",
            "use the same release of the corpus",
        )
