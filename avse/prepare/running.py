"""Run `avse prepare`: find and measure clips, identify people, choose splits, write the pack."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from avse.data.splits import RULE, SHARE, SPLITS, TEST, TRAIN, VALID
from avse.errors import InputError, OutputExistsError, UsageError
from avse.media.atomic_files import writing
from avse.prepare.clip import UNREADABLE
from avse.prepare.delays import estimate
from avse.prepare.filters import Dropped, check_hold_out, split_of, why_not
from avse.prepare.layouts import Found, SourceFile, find_sources, read_labels
from avse.prepare.measuring import measure_all
from avse.prepare.people import Group, find_groups
from avse.prepare.report import make_report, report_text
from avse.prepare.settings import PrepareSettings
from avse.prepare.shards import CLIPS, ShardClip, size_of, write_bytes, write_pack, write_text
from avse.prepare.sheet import people_sheet
from avse.prepare.store import WORK, StoredResult, read_result
from avse.utils.progress import Progress, no_progress
from avse.utils.schema import fit, load_json

REPORT = "report.json"
MARK = "pack.json"
"""File in PACK/.work with the folders of the pack's clips, so that a pack of other folders does not
replace it without `--force`."""


@dataclass(frozen=True)
class Prepared:
    """The result of `prepare`.

    Attributes:
        folder: the pack.
        layout: the layout in use.
        clips: number of clips in the pack.
        measured_before: number of clips with a valid result of an earlier run.
        dropped: clips that are not in the pack, including those that could not be read.
        warnings: messages for the user.
        report: content of `report.json`.
    """

    folder: Path
    layout: str
    clips: int
    measured_before: int
    dropped: tuple[Dropped, ...]
    warnings: tuple[str, ...]
    report: dict[str, object]

    @property
    def failures(self) -> list[Dropped]:
        """Clips that could not be read."""
        return [clip for clip in self.dropped if clip.reason == UNREADABLE]


def prepare(
    roots: Sequence[Path],
    folder: Path,
    settings: PrepareSettings,
    *,
    labels: Path | None = None,
    jobs: int = 1,
    force: bool = False,
    progress: Progress = no_progress,
) -> Prepared:
    """Make a pack of all clips below some folders, or update it.

    Args:
        roots: the folders.
        folder: folder of the pack; made if missing.
        settings: settings of the pack.
        labels: a table of the clips and their speakers; see `read_labels`.
        jobs: number of processes that measure clips.
        force: whether to ignore earlier results, and to replace a pack of other folders.
        progress: see `avse.utils.progress.Progress`.

    Raises:
        UsageError: a folder is missing, the layout does not fit, a person in `hold_out` does not
            exist, or the pack would be among the clips.
        OutputExistsError: the folder of the pack has other content.
        InputError: there are no clips, or all are dropped.
        OutputError: the pack cannot be written.
        MissingError: a package or the weights are missing.
    """
    if jobs < 1:
        raise UsageError(f"{jobs} jobs are out of range", "choose 1 or more")
    check_folder(folder, roots, settings, force=force)
    progress("Looking for clips", 0, None)
    if labels is None:
        found = find_sources(
            roots, settings.layout, settings.corpus, pictures=not settings.sound_only
        )
    else:
        found = read_labels(labels, roots, settings.corpus)
    model = ""
    if not settings.sound_only:
        from avse.prepare.sync import model_digest

        model = model_digest(settings.model)
    work = folder / WORK
    with writing(work):
        work.mkdir(parents=True, exist_ok=True)
    write_text(work / MARK, json.dumps(_mark(roots, settings)))
    before = measure_all(
        found.sources, settings, work,
        model=model, jobs=jobs, fresh=force, progress=progress,
    )  # fmt: skip
    progress("Writing the pack", 0, None)
    return _finish(found, folder, settings, before, anew=force)


def check_folder(
    folder: Path, roots: Sequence[Path], settings: PrepareSettings, *, force: bool
) -> None:
    """Check that a pack can be written to a folder.

    Raises:
        UsageError: the folder is a file, is among the clips, or contains them.
        OutputExistsError: the folder has other content.
        OutputError: the folder cannot be read.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file", "name a folder with --output")
    here = folder.resolve()
    for root in roots:
        there = root.resolve()
        if here == there or there in here.parents or here in there.parents:
            raise UsageError(
                f"one of {folder} and {root} contains the other", "choose another --output"
            )
    if force or not folder.is_dir():
        return
    with writing(folder):
        names = {path.name for path in folder.iterdir()}
    if not names:
        return
    if WORK not in names and CLIPS not in names:
        raise OutputExistsError(
            f"{folder} is not empty", "choose another --output, or add --force to write into it"
        )
    try:
        mark = load_json((folder / WORK / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        mark = None
    if mark is not None and mark != _mark(roots, settings):
        raise OutputExistsError(
            f"{folder} holds a pack of other folders, or of another kind",
            "choose another --output, or add --force to replace it",
        )


def _mark(roots: Sequence[Path], settings: PrepareSettings) -> dict[str, object]:
    return {
        "roots": sorted(str(root.resolve()) for root in roots),
        "sound_only": settings.sound_only,
    }


def _finish(
    found: Found, folder: Path, settings: PrepareSettings, before: int, *, anew: bool
) -> Prepared:
    """Write the files of a pack from the results of its clips."""
    kept, dropped = _sorted_out(found.sources, folder / WORK, settings)
    if not kept:
        if dropped:
            write_text(folder / "dropped.jsonl", _dropped_lines(dropped))
        raise InputError(
            f"none of {len(found.sources)} clips can be used: {_counted(dropped)}",
            f"{folder / 'dropped.jsonl'} has the reason for each",
        )
    groups = find_groups(kept, settings)
    check_hold_out((f"{g.corpus}/{g.person}" for g in groups), settings)
    older = _divided_before(folder, anew=anew)
    clips = _clips(kept, groups, settings, older)
    shards = write_pack(folder, clips, shard_mb=settings.shard_mb, pictures=not settings.sound_only)
    warnings = [*found.warnings, *_warnings(clips, settings, kept=bool(older))]
    report = make_report(found.layout, clips, dropped, shards, settings, warnings)
    report["split_rule"] = "that of an older pack" if older else RULE
    write_text(folder / "dropped.jsonl", _dropped_lines(dropped))
    write_text(folder / REPORT, json.dumps(report, indent=1, sort_keys=True) + "\n")
    write_text(folder / "report.txt", report_text(report))
    if not settings.sound_only:
        write_bytes(folder / "people.png", people_sheet(clips))
    return Prepared(
        folder, found.layout, len(clips), before, tuple(dropped), tuple(warnings), report
    )


def _sorted_out(
    sources: Sequence[SourceFile], work: Path, settings: PrepareSettings
) -> tuple[list[tuple[SourceFile, StoredResult]], list[Dropped]]:
    """Divide clips into those of the pack and those to drop."""
    kept: list[tuple[SourceFile, StoredResult]] = []
    dropped: list[Dropped] = []
    limit = settings.shard_mb * 1e6
    for source in sources:
        result = read_result(work, source.id)
        if result is None:
            dropped.append(Dropped(source, UNREADABLE, "its result is missing from .work"))
            continue
        reason = why_not(result.measured, settings)
        samples = round(result.measured.flags.get("seconds", 0) * 16_000)
        size = size_of(source, samples, pictures=not settings.sound_only)
        if reason is None and size > limit - 1024:
            reason = "too long", f"{size / 1e6:.1f} MB do not fit into a shard"
        if reason is None:
            kept.append((source, result))
        else:
            dropped.append(Dropped(source, *reason))
    return kept, dropped


def _clips(
    kept: Sequence[tuple[SourceFile, StoredResult]],
    groups: Sequence[Group],
    settings: PrepareSettings,
    older: Mapping[str, str],
) -> list[ShardClip]:
    """Choose the person, the split and the delay of each clip."""
    if settings.sound_only:
        delays, sure = np.zeros(len(kept), np.int64), np.zeros(len(kept))
    else:
        curves = np.stack([result.arrays("curve")["curve"] for _, result in kept])
        delays, sure = estimate(curves.astype(np.float64), [group.recording for group in groups])
    splits = _splits(groups, settings, older)
    return [
        ShardClip(
            source, result, group.person, splits[group.family or f"{group.corpus}/{group.person}"],
            int(delay), float(confidence),
        )
        for (source, result), group, delay, confidence in zip(
            kept, groups, delays, sure, strict=True
        )
    ]  # fmt: skip


def _splits(
    groups: Sequence[Group], settings: PrepareSettings, before: Mapping[str, str]
) -> dict[str, str]:
    """Choose the split of each family, and of each person without one.

    A family is held out if one of its members is.
    """
    members: dict[str, set[str]] = {}
    families: dict[str, str | None] = {}
    for group in groups:
        person = f"{group.corpus}/{group.person}"
        name = group.family or person
        members.setdefault(name, set()).add(person)
        families[name] = group.family
    splits: dict[str, str] = {}
    for name, people in members.items():
        known = {before[person] for person in people if person in before}
        older = next((split for split in (TEST, VALID, TRAIN) if split in known), None)
        splits[name] = split_of(people, settings, family=families[name], before=older)
    return splits


def _divided_before(folder: Path, *, anew: bool) -> dict[str, str]:
    """Read the splits of an older pack that was divided by another rule: "CORPUS/PERSON" -> split.

    They are used again; otherwise, networks that were trained on the older pack would be tested on
    people of their training data.
    """
    try:
        report = load_json((folder / REPORT).read_text(encoding="utf-8"))
        if anew or report["split_rule"] == RULE:
            return {}
    except KeyError:
        pass  # the oldest packs do not state the rule
    except (OSError, ValueError, TypeError):
        return {}
    try:
        rows = [load_json(line) for line in (folder / CLIPS).read_text("utf-8").splitlines()]
        found: dict[str, str] = fit(
            {f"{row['corpus']}/{row['person']}": row["split"] for row in rows},
            dict[str, Literal["train", "valid", "test"]],
            "the splits",
        )
        return found
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _warnings(clips: Sequence[ShardClip], settings: PrepareSettings, *, kept: bool) -> list[str]:
    warnings = []
    if kept:
        warnings.append(
            "this pack was divided by the rule of an older avse, and all people stay in their "
            "splits; --force divides it by the present rule"
        )
    if kept or settings.seed or settings.test_share < SHARE:
        warnings.append(
            "people are not divided as `avse mix --split` does by default: run `avse mix` with "
            "--pack, or its test sets may contain people of the training data"
        )
    for split in SPLITS[:3]:
        if not any(clip.split == split for clip in clips):
            warnings.append(
                f"nobody is in the {split} split; see --test-share, --valid-share and --hold-out"
            )
    return warnings


def _counted(dropped: Sequence[Dropped]) -> str:
    counts: dict[str, int] = {}
    for clip in dropped:
        counts[clip.reason] = counts.get(clip.reason, 0) + 1
    return ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))


def _dropped_lines(dropped: Sequence[Dropped]) -> str:
    rows = [
        {"id": d.source.id, "path": d.source.path, "reason": d.reason, "detail": d.detail}
        for d in sorted(dropped, key=lambda d: d.source.id)
    ]
    return "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows)
