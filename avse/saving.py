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
from avse.media import NewTrack, StemWriter, find_splices, remux
from avse.media.encoding import CONTAINERS, choose_encoding
from avse.media.placing import check_space
from avse.media.probe import plausible_s
from avse.media.stems import stem_depth
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
    check_space(
        next(iter(targets.values())).parent, _bytes_needed(separation, targets, len(videos))
    )
    with ExitStack() as stack:
        sounds = dict(targets)
        if videos:
            folder = next(iter(videos.values())).parent
            scratch = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix=".avse-", dir=folder))
            )
            sounds.update({n: scratch / f"{n}.wav" for n in videos})
        limited = [n for n, target in targets.items() if _is_limited(target, separation)]
        # One gain for all files, or they would not add up: it is known when all peaks are.
        hold = clip == "rescale" and bool(limited)
        writers = {
            n: stack.enter_context(
                StemWriter(
                    target,
                    sample_rate=separation.audio.sample_rate,
                    channels=separation.audio.channels,
                    source=separation.audio if n not in videos else None,
                    clip=clip,
                    hold=hold,
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
        written.warnings += _closed(writers, targets, limited if hold else [])
        cut = {n: writers[n].clipped for n in limited}
        for number, target in videos.items():
            separation.progress("video", 0.0, None)
            result = remux(
                separation.scene.info.path,
                NewTrack(sounds[number], start=separation.scene.origin),
                target,
                track=separation.scene.track,
                keep_original_audio=keep_original_audio,
                drop_unsupported=True,
                overwrite=overwrite,
                start=separation.scene.part.start,
                stop=separation.scene.part.stop,
            )
            written.warnings += [f"{target.name}: left out {what}" for what in result.dropped]
            cut[number] = result.clipped
    if clip == "clamp":
        written.warnings += [
            f"{targets[n].name}: {count} values beyond full scale were cut off (see --clip)"
            for n, count in cut.items()
            if count
        ]
    written.warnings += separation.notes
    return written


def _bytes_needed(separation: Separation, targets: Mapping[int, Path], videos: int) -> float:
    """What all files take while they are written, roughly: sound waits as 32-bit floats."""
    path, audio = separation.scene.info.path, separation.audio
    size, end = path.stat().st_size, find_splices(path).end
    length_s = 0.0 if end is None else plausible_s(max(0.0, float(end - audio.start)), size)
    sound = 4 * audio.channels * audio.sample_rate * length_s
    return len(targets) * sound + videos * size


def _is_limited(target: Path, separation: Separation) -> bool:
    """Whether a file holds integers, so that full scale is a limit."""
    suffix, audio = target.suffix.lower(), separation.audio
    if suffix in SOUND_SUFFIXES:
        return not stem_depth(suffix, audio)[1]
    if suffix not in CONTAINERS:
        return False
    return (
        choose_encoding(suffix, "auto", audio.sample_rate, audio.channels, audio).bits is not None
    )


def _closed(
    writers: Mapping[int, StemWriter], targets: Mapping[int, Path], limited: Sequence[int]
) -> Iterator[str]:
    """Close all files; tell if they were made softer, which they are by one gain.

    Args:
        writers: of the files.
        targets: what the files are called in the end.
        limited: those in which full scale is the limit, if that is what the gain is for.
    """
    over = [n for n in limited if writers[n].peak > 1.0]
    gain = 1.0 / max((writers[n].peak for n in over), default=1.0)
    for writer in writers.values():
        writer.close(gain)
    if over:
        names = ", ".join(targets[n].name for n in over)
        softer = f"softer by {-20 * np.log10(gain):.1f} dB (see --clip)"
        if len(writers) == 1:
            yield f"{names} would have clipped and was made {softer}"
        else:
            yield f"{names} would have clipped: all files were made {softer}, and still add up"


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
