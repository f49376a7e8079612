"""Voices to files: all of them at once, block by block, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from avse.errors import OutputError, UsageError
from avse.media import NewTrack, StemWriter, remux
from avse.naming import SOUND_SUFFIXES

if TYPE_CHECKING:
    from avse.separation import Separation

TOGETHER, RESIDUAL, NARRATOR, CROWD = 0, -1, -2, -3
"""Numbers of what is not one person: the voices of several, everything else, the voices that are
heard from out of sight, and many of them at once."""

Target = str | os.PathLike[str]


@dataclass
class Written:
    """What `Separation.save` wrote.

    Attributes:
        stems: number of a stem -> path; see `Separation.numbers`.
        residual: its path, or None.
        warnings: what the user should know, in words.
    """

    stems: dict[int, Path]
    residual: Path | None = None
    warnings: list[str] = field(default_factory=list)


def save_stems(
    separation: Separation,
    path: Target | Mapping[int, Target],
    *,
    residual: Target | None,
    clip: Any,
    keep_original_audio: bool,
    overwrite: bool,
) -> Written:
    """See `Separation.save`."""
    paths = settle_paths(path, separation.numbers)
    targets: dict[int, Path] = dict(paths)
    if residual is not None:
        targets[RESIDUAL] = Path(residual)
    for target in targets.values():
        if target.parent and not target.parent.is_dir():
            raise OutputError(f"there is no folder {target.parent}", "create it first")
    videos = {n: t for n, t in targets.items() if t.suffix.lower() not in SOUND_SUFFIXES}
    written = Written(paths, targets.get(RESIDUAL))
    with ExitStack() as stack:
        sounds = dict(targets)
        if videos:
            folder = next(iter(videos.values())).parent
            scratch = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix=".avse-", dir=folder))
            )
            sounds.update({n: scratch / f"{n}.wav" for n in videos})
        writers = {
            n: stack.enter_context(
                StemWriter(
                    target,
                    sample_rate=separation.audio.sample_rate,
                    channels=separation.audio.channels,
                    source=separation.audio if n not in videos else None,
                    clip=clip,
                    overwrite=overwrite,
                )
            )
            for n, target in sounds.items()
        }
        for block in separation.blocks():
            for number, stem in zip(separation.numbers, block.stems, strict=True):
                writers[number].write(stem)
            if RESIDUAL in writers:
                writers[RESIDUAL].write(block.residual)
        written.warnings += _closed(writers, targets)
        for number, target in videos.items():
            separation.progress("video", 0.0, None)
            result = remux(
                separation.scene.info.path,
                NewTrack(sounds[number], start=separation.scene.origin),
                target,
                track=separation.settings.track,
                keep_original_audio=keep_original_audio,
                drop_unsupported=True,
                overwrite=overwrite,
                start=separation.scene.part.start,
                stop=separation.scene.part.stop,
            )
            written.warnings += [f"{target.name}: left out {what}" for what in result.dropped]
    written.warnings += separation.notes
    return written


def _closed(writers: Mapping[int, StemWriter], targets: Mapping[int, Path]) -> Iterator[str]:
    """Close all files; tell of those that were made softer."""
    for number, writer in writers.items():
        writer.close()
        if writer.gain_applied != 1.0:
            softer_db = -20 * np.log10(writer.gain_applied)
            yield (
                f"{targets[number].name} would have clipped and was made softer by "
                f"{softer_db:.1f} dB (see --clip)"
            )


def settle_paths(path: Target | Mapping[int, Target], numbers: Sequence[int]) -> dict[int, Path]:
    """Number of each stem -> its path.

    Raises:
        UsageError: there is not one path for each stem.
    """
    if isinstance(path, Mapping):
        paths = {number: Path(target) for number, target in path.items()}
    elif len(numbers) == 1:
        paths = {numbers[0]: Path(path)}
    else:
        raise UsageError(
            f"{len(numbers)} voices do not fit into one file",
            "give a path for each, such as {1: 'left.wav', 2: 'right.wav'}",
        )
    if set(paths) != set(numbers):
        raise UsageError("every voice asked for needs a path", "one entry for each number")
    return paths
