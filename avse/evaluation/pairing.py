"""Match estimates with references by name, by one fixed rule."""

from __future__ import annotations

import filecmp
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from avse.errors import InputError
from avse.evaluation.items import Mixture, ScoredVoice
from avse.utils.suffixes import SOUND_FILES, VIDEO_FILES

RULE = (
    "An estimate belongs to the reference of the same name: the path below its folder without the "
    "ending (a/talk.1.wav and a/talk.1.flac). References whose names differ only in what follows "
    "the last dot (a/talk.1, a/talk.2) are voices of one mixture, a/talk. The mixture is the file "
    "called like that, or else like the reference itself; references whose mixtures differ are not "
    "voices of one."
)

_SUFFIXES = SOUND_FILES | VIDEO_FILES


@dataclass(frozen=True)
class Pairs:
    """The matched files of the folders.

    Attributes:
        mixtures: those with at least one estimate that has a reference.
        estimates: names of estimates without a reference.
        references: names of references without an estimate.
        without_mixture: names of items without a mixture; empty if no mixtures were given.
        mixtures_unused: names of mixtures without a reference.
    """

    mixtures: tuple[Mixture, ...]
    estimates: tuple[str, ...]
    references: tuple[str, ...]
    without_mixture: tuple[str, ...]
    mixtures_unused: tuple[str, ...]


def pair(estimates: Path, references: Path, mixtures: Path | None = None) -> Pairs:
    """Match the files of folders by `RULE`.

    Raises:
        InputError: a folder is missing, two of its files have one name, or nothing matches.
    """
    guesses, truths = _files(estimates, "estimates"), _files(references, "references")
    mixed = {} if mixtures is None else _files(mixtures, "mixtures")
    both = [name for name in truths if name in guesses]
    if not both:
        raise InputError(
            f"no name in {estimates} matches one in {references}",
            "names without their endings must be equal, such as talk.1.wav and talk.1.flac",
        )
    groups: dict[str, list[str]] = defaultdict(list)
    for name in truths:
        groups[_group(name)].append(name)
    found: list[Mixture] = []
    lonely: list[str] = []
    used: set[str] = set()
    for group, names in groups.items():
        for part in _parts(group, names, mixed):
            if not any(name in guesses for name in part):
                continue
            sounds = [name for name in (group, *part) if name in mixed]
            used.update(sounds)
            if not sounds and mixtures is not None:
                lonely += [name for name in part if name in guesses]
            # Without siblings, "talk.final" is a name of its own, not a voice of "talk".
            together = group in mixed or (len(part) > 1 and part[0] == names[0])
            voices = tuple(_voice(name, truths[name], guesses.get(name)) for name in part)
            sound = mixed[sounds[0]] if sounds else None
            found.append(Mixture(group if together else part[0], sound, voices))
    return Pairs(
        tuple(found),
        tuple(name for name in guesses if name not in truths),
        tuple(name for name in truths if name not in guesses),
        tuple(lonely),
        tuple(name for name in mixed if name not in used),
    )


def _files(folder: Path, what: str) -> dict[str, Path]:
    """Name -> path, in the order of names."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder of {what}", "name a folder of sound files")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in _SUFFIXES or not path.is_file() or path.name.startswith("."):
            continue
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise InputError(
                f"{path} and {found[name].name} have one name without their endings",
                f"keep one of them in the folder of {what}",
            )
        found[name] = path
    if not found:
        raise InputError(f"there is no sound file in {folder}", f"name the folder of {what}")
    return dict(sorted(found.items()))


def _parts(group: str, names: list[str], mixed: dict[str, Path]) -> list[list[str]]:
    """Group voices by mixture: voices whose mixture files are equal byte by byte."""
    if group in mixed or not any(name in mixed for name in names):
        return [names]
    parts: list[list[str]] = []
    for name in names:
        for part in parts:
            both = mixed.get(part[0]), mixed.get(name)
            if both[0] and both[1] and filecmp.cmp(both[0], both[1], shallow=False):
                part.append(name)
                break
        else:
            parts.append([name])
    return parts


def _voice(name: str, reference: Path, estimate: Path | None) -> ScoredVoice:
    text = reference.with_suffix(".txt")
    failure = None if estimate is not None else "there is no estimate"
    return ScoredVoice(name, reference, estimate, failure, text if text.is_file() else None)


def _group(name: str) -> str:
    """The name of the mixture: the file's name up to its last dot."""
    head, _, last = name.rpartition("/")
    stem = last.rpartition(".")[0] or last
    return f"{head}/{stem}" if head else stem
