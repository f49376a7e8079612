"""Decide which clips to keep, and the split of each person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from avse.data import splits
from avse.errors import UsageError
from avse.prepare.clip import Measured
from avse.prepare.layouts import SourceFile
from avse.prepare.settings import PrepareSettings


@dataclass(frozen=True)
class Dropped:
    """A clip that is left out.

    Attributes:
        source: the clip.
        reason: one of a few reasons, such as "too short".
        detail: the measured value, or the error message.
    """

    source: SourceFile
    reason: str
    detail: str


def why_not(measured: Measured, settings: PrepareSettings) -> tuple[str, str] | None:
    """Decide whether to drop a clip.

    Returns:
        The first reason that applies and its detail, see `Dropped`; None if the clip is used.
    """
    if measured.lost is not None:
        return measured.lost, measured.detail
    flags = measured.flags
    if flags["seconds"] < settings.min_seconds:
        return "too short", f"{flags['seconds']:.2f} s"
    if flags["seconds"] > settings.max_seconds:
        return "too long", f"{flags['seconds']:.0f} s"
    if flags["level_db"] < settings.min_level_db:
        return "silence", f"{flags['level_db']:.0f} dB at its loudest"
    if flags["clipped"] > settings.max_clipped:
        return "clipped", f"{100 * flags['clipped']:.1f} % of the samples"
    if settings.sound_only:
        return None
    if flags["faces"] > 1 and flags["dominance"] < settings.min_dominance:
        shown = f"{flags['faces']:.0f} faces, the largest has {100 * flags['dominance']:.0f} %"
        return "several faces", shown
    if flags["seen"] < settings.min_seen:
        return "lips out of sight", f"seen in {100 * flags['seen']:.0f} % of the frames"
    if flags["eyes_px"] < settings.min_eyes_px:
        return "face too small", f"{flags['eyes_px']:.0f} pixels between the eyes"
    return None


def split_of(
    people: Iterable[str], settings: PrepareSettings, *, family: str | None, before: str | None
) -> str:
    """Choose the split of a person, or of a family of people who may be one person.

    Args:
        people: "CORPUS/PERSON" of the person, or of all members of the family.
        settings: shares, seed and people who are held out by name.
        family: name of the family, from which the split is computed; None: the person's name.
        before: the split in an older pack, or None.
    """
    everybody = sorted(people)
    names = {*everybody, *(person.partition("/")[2] for person in everybody)}
    if names & set(settings.hold_out):
        return splits.TEST
    if before is not None:
        return before
    return splits.split_of(
        (family or everybody[0]).partition("/")[2],
        test_share=settings.test_share,
        valid_share=settings.valid_share,
        seed=settings.seed,
    )


def check_hold_out(people: Iterable[str], settings: PrepareSettings) -> None:
    """Check that all people in `settings.hold_out` exist.

    Args:
        people: "CORPUS/PERSON" of all people.
        settings: only `hold_out` is used.

    Raises:
        UsageError: a person does not exist.
    """
    everybody = set(people)
    known = everybody | {person.partition("/")[2] for person in everybody}
    for name in settings.hold_out:
        if name not in known:
            shown = ", ".join(sorted(everybody)[:8])
            raise UsageError(f"--hold-out {name}: there is nobody of that name", f"such as {shown}")
