"""Make the files of a planned set, or resume a run that was stopped.

The manifest is written first. SHA256SUMS, which `sha256sum -c` reads too, lists the files of each
finished item; an item whose files do not have these sums is made again. Files are written
atomically. Their bytes do not depend on the number of processes or on the order of items.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from avse.diarization.segments import speech_in
from avse.diarization.texts import rttm
from avse.errors import AvseError, InputError, OutputError, OutputExistsError, UsageError
from avse.media import StemWriter
from avse.media.atomic_files import appearing, writing
from avse.mixtures.clips import ClipAudio, cut, file_sha256, loop, pictures, put, read_voice
from avse.mixtures.manifest import NAME, Item, Manifest, read_manifest, write_manifest
from avse.mixtures.outcome import Failure, MixturePlan
from avse.mixtures.settings import FPS
from avse.mixtures.video import held, side_by_side, write_video
from avse.types import FloatArray
from avse.utils.paths import inside
from avse.utils.pool import map_unordered
from avse.utils.progress import Progress

SUMS = "SHA256SUMS"

_LACKING_S = 0.1
"""Tolerance in the length of clips, because decoders differ at their ends."""

_FOLDERS = ("mixtures", "references", "noise", "videos", "activity")
_LEFTOVER = re.compile(r"\..*\.[0-9a-f]{8}\.part\.\w+")
_SUM = re.compile(r"([0-9a-f]{64})  (.+)")


@dataclass(frozen=True)
class SetResult:
    """The result of `make_set`.

    Attributes:
        manifest: path of the manifest.
        made: ids of the items that were made.
        kept: ids of the items that existed already.
        failures: the items that could not be planned or made.
    """

    manifest: Path
    made: tuple[str, ...]
    kept: tuple[str, ...]
    failures: tuple[Failure, ...]


def check_folder(folder: Path, clips: Path, plan: MixturePlan | None, *, overwrite: bool) -> None:
    """Check that a set can be written to a folder.

    Args:
        folder: the folder of the set.
        clips: the folder of clips.
        plan: the set; None before it is planned.
        overwrite: whether to replace another set in the folder.

    Raises:
        UsageError: the folder is a file, or contains the clips or lies among them.
        OutputExistsError: the folder has other content.
        OutputError: the folder cannot be read.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file", "name a folder with --output")
    if _overlap(folder.resolve(), clips, plan):
        raise UsageError(
            f"one of {folder} and {clips} contains the other", "choose another --output"
        )
    if overwrite or not folder.is_dir():
        return
    with writing(folder):
        names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    if names and NAME not in names:
        raise OutputExistsError(
            f"{folder} is not empty", "choose another --output, or add --force to write into it"
        )
    if plan is not None and names:
        try:
            same = read_manifest(folder) == plan.manifest
        except InputError:
            same = False
        if not same:
            raise OutputExistsError(
                f"{folder} holds another set, or one of clips that have changed since",
                "choose another --output, or add --force: items that stay the same are kept",
            )


def _overlap(here: Path, clips: Path, plan: MixturePlan | None) -> bool:
    """Whether the set would lie among the clips, or contain one of them."""
    if plan is None:
        there = clips.resolve()
        return here == there or there in here.parents or here in there.parents
    folders = {
        (clips / source.path).resolve().parent
        for item in plan.manifest.items
        for source in item.sources
    }
    return any(here == there or here in there.parents for there in folders)


def make_set(
    plan: MixturePlan,
    folder: Path,
    *,
    clips: Path,
    noise: Path | None = None,
    overwrite: bool = False,
    jobs: int = 1,
    progress: Progress | None = None,
) -> SetResult:
    """Make the files of a set that are missing.

    Args:
        plan: see `plan_set`.
        folder: output folder; created if missing.
        clips: the folder of clips of the plan.
        noise: the folder of noises.
        overwrite: whether to replace another set in the folder, except for items that are the same.
        jobs: number of processes; 1 works in this process.
        progress: called after each item with ("Mixing", items done, items in all).

    Raises:
        UsageError, OutputExistsError: see `check_folder`.
        OutputError: the folder cannot be written to.
    """
    check_folder(folder, clips, plan, overwrite=overwrite)
    manifest = plan.manifest
    sums = _prepare(folder, manifest)
    made: set[str] = set()
    kept: set[str] = set()
    failed: list[Failure] = []

    def tell() -> None:
        if progress is not None:
            done = len(made) + len(kept) + len(failed)
            progress("Mixing", float(done), float(len(manifest.items)))

    def missing() -> Iterator[Item]:
        tell()
        for item in manifest.items:
            if _is_done(folder, item, sums):
                kept.add(item.id)
                tell()
            else:
                yield item

    work = partial(_attempt, folder=folder, clips=clips, noise=noise)
    with closing(map_unordered(work, missing(), jobs=jobs, died=_died)) as attempts:
        for item, outcome in attempts:
            if isinstance(outcome, AvseError):
                failed.append(Failure(item.id, outcome))
                _remove(folder, item, sums)
            else:
                made.add(item.id)
                sums.update(outcome)
                with writing(folder / SUMS), (folder / SUMS).open("a", encoding="utf-8") as handle:
                    handle.write(_listed(outcome))
            tell()
    order = [path for item in manifest.items for path in item.outputs.paths() if path in sums]
    _write_sums(folder, {path: sums[path] for path in order})
    return SetResult(
        folder / NAME,
        tuple(item.id for item in manifest.items if item.id in made),
        tuple(item.id for item in manifest.items if item.id in kept),
        tuple(sorted((*plan.failures, *failed), key=lambda failure: failure.id)),
    )


def _attempt(
    item: Item, folder: Path, clips: Path, noise: Path | None
) -> tuple[Item, dict[str, str] | AvseError]:
    """Make an item: the SHA-256 of its files by path, or the reason why it cannot be made."""
    try:
        make_item(item, folder, clips=clips, noise=noise)
    except OutputError:
        raise
    except AvseError as error:
        return item, error
    return item, {path: file_sha256(folder / path) for path in item.outputs.paths()}


def _died(item: Item) -> tuple[Item, dict[str, str] | AvseError]:
    reason = "the process that made it was killed, or ran out of memory"
    return item, InputError(reason, "try again with fewer processes, such as --jobs 1")


def make_item(item: Item, folder: Path, *, clips: Path, noise: Path | None = None) -> None:
    """Make the files of one item, and replace existing ones.

    Sound files are 32-bit float: references and noise add up to the mixture exactly, and nothing
    clips.

    Raises:
        AvseError: a clip can no longer be read, or a file cannot be written.
    """
    rate, outputs = item.sample_rate, item.outputs
    voices = [
        read_voice(clips / source.path, rate, picture=item.picture is not None)
        for source in item.sources
    ]
    for voice, source in zip(voices, item.sources, strict=True):
        end_s = source.start_s + item.excerpt(item.samples, rate) / rate
        if end_s > len(voice.samples) / rate + _LACKING_S:
            raise InputError(
                f"{clips / source.path} ends before {end_s:.2f} s, where its excerpt does",
                "use the clips that the set was made of",
            )
    excerpts = [
        cut(voice.samples, round(source.start_s * rate), item.excerpt(item.samples, rate))
        for voice, source in zip(voices, item.sources, strict=True)
    ]
    parts = [
        _amplified(put(excerpt, item.onset(n, rate), item.samples), item.sources[n].gain_db)
        for n, excerpt in enumerate(excerpts)
    ]
    names = list(outputs.references)
    if item.noise is not None and outputs.noise is not None:
        if noise is None:
            raise UsageError(f"item {item.id} has noise", "name the folder of noises with --noise")
        sound = read_voice(noise / item.noise.path, rate, picture=False).samples
        excerpt = loop(sound, round(item.noise.start_s * rate), item.samples)
        parts.append(_amplified(excerpt, item.noise.gain_db))
        names.append(outputs.noise)
    mixture = np.sum(parts, axis=0, dtype=np.float64).astype(np.float32)
    for name, part in [*zip(names, parts, strict=True), (outputs.mixture, mixture)]:
        with StemWriter(
            inside(folder, name), sample_rate=rate, channels=1, overwrite=True
        ) as writer:
            writer.write(part[None])
    if outputs.activity is not None:
        spoken = {n: speech_in(part, rate) for n, part in enumerate(parts[: len(voices)], 1)}
        path = inside(folder, outputs.activity)
        with appearing(path) as temporary:
            temporary.write_text(rttm(spoken, item.id), encoding="ascii")
    if item.picture is not None and outputs.video is not None:
        _make_video(item, inside(folder, outputs.video), clips, voices, mixture)


def _make_video(
    item: Item, path: Path, clips: Path, voices: list[ClipAudio], mixture: FloatArray
) -> None:
    picture = item.picture
    assert picture is not None
    people = [
        held(
            pictures(
                clips / source.path,
                voice.begin + Fraction(round(source.start_s * FPS), FPS),
                item.excerpt(picture.frames, picture.fps),
                picture.fps,
                (width, picture.height),
            ),
            item.onset(n, picture.fps),
            picture.frames,
        )
        for n, (source, voice, width) in enumerate(
            zip(item.sources, voices, picture.widths, strict=True)
        )
    ]
    write_video(
        path,
        side_by_side(people),
        mixture,
        size=(picture.width, picture.height),
        fps=picture.fps,
        rate_hz=item.sample_rate,
    )


def _amplified(sound: FloatArray, gain_db: float) -> FloatArray:
    return np.asarray(sound.astype(np.float64) * 10 ** (gain_db / 20), np.float32)


def _prepare(folder: Path, manifest: Manifest) -> dict[str, str]:
    """Create folders, remove leftovers of older sets and killed runs, and write the manifest.

    Returns:
        SHA-256 of the files that may be kept.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        older: Manifest | None = read_manifest(folder)
    except InputError:
        older = None
    sums = _read_sums(folder) if older is not None else {}
    if older is None or older != manifest:
        keep = set() if older is None else _unchanged(older, manifest)
        stale = [] if older is None else [i for i in older.items if i.id not in keep]
        gone = {path for item in stale for path in item.outputs.paths()}
        sums = {path: digest for path, digest in sums.items() if path not in gone}
        _write_sums(folder, sums)  # first, lest files of the older set pass for those of this one
        write_manifest(folder / NAME, manifest, overwrite=True)
        for path in gone:
            with writing(folder / path):
                inside(folder, path).unlink(missing_ok=True)
    else:
        _write_sums(folder, sums)  # a line that a killed run left unfinished goes
    used = {path.split("/")[0] for item in manifest.items for path in item.outputs.paths()}
    for name in _FOLDERS:
        inner = folder / name
        inside(folder, f"{name}/any")
        with writing(inner):
            if name in used:
                inner.mkdir(exist_ok=True)
            for found in inner.iterdir() if inner.is_dir() else ():
                if _LEFTOVER.fullmatch(found.name):
                    found.unlink()
    return sums


def _remove(folder: Path, item: Item, sums: dict[str, str]) -> None:
    """Remove the files of an item that cannot be made."""
    for path in item.outputs.paths():
        sums.pop(path, None)
        with writing(folder / path), suppress(InputError):  # it leads out of the folder
            inside(folder, path).unlink(missing_ok=True)


def _unchanged(older: Manifest, manifest: Manifest) -> set[str]:
    """Ids of items that are the same in two sets."""
    known = {item.id: item for item in older.items}
    return {item.id for item in manifest.items if known.get(item.id) == item}


def _is_done(folder: Path, item: Item, sums: Mapping[str, str]) -> bool:
    """Whether all files of an item exist and have their SHA-256."""
    paths = item.outputs.paths()
    if not all(path in sums and (folder / path).is_file() for path in paths):
        return False
    return all(file_sha256(folder / path) == sums[path] for path in paths)


def _read_sums(folder: Path) -> dict[str, str]:
    try:
        text = (folder / SUMS).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    found = (_SUM.fullmatch(line) for line in text.splitlines())
    return {match[2]: match[1] for match in found if match}


def _write_sums(folder: Path, sums: Mapping[str, str]) -> None:
    with appearing(folder / SUMS) as temporary:
        temporary.write_text(_listed(sums), encoding="utf-8")


def _listed(sums: Mapping[str, str]) -> str:
    return "".join(f"{digest}  {path}\n" for path, digest in sums.items())
