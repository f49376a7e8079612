"""Draw the clips of each mixture from the names of files; no file is read here.

Each item depends only on the set's seed and its own number, so item 7 is the same in sets of 10
and of 1,000 items, and when other items fail.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from avse.data.splits import ALL, TEST
from avse.errors import InputError, UsageError
from avse.mixtures.corpus import Corpus, CorpusClip, find_clips
from avse.mixtures.lists import Entry, Finder, read_list
from avse.mixtures.settings import DEFAULT_COUNT, Range, SetSettings

T = TypeVar("T")


class Sampler:
    """Random choices that are the same in every version of Python and NumPy.

    Only `random.Random.random`, seeded with a text, guarantees that.
    """

    def __init__(self, seed: int, number: int) -> None:
        self._random = random.Random(f"avse mix {seed} {number}")

    def fraction(self) -> float:
        """A number in [0, 1)."""
        return self._random.random()

    def one(self, things: Sequence[T]) -> T:
        """One item of a sequence."""
        return things[int(self.fraction() * len(things))]

    def several(self, things: Sequence[T], count: int) -> list[T]:
        """Several different items of a sequence, in random order."""
        left = list(things)
        return [left.pop(int(self.fraction() * len(left))) for _ in range(count)]

    def level(self, levels_db: Range) -> float:
        """A level in dB with four decimals."""
        low, high = levels_db
        return round(low + (high - low) * self.fraction(), 4)


@dataclass(frozen=True)
class Draft:
    """An item before its files are probed.

    Attributes:
        number: number of the item, from 1.
        clips: its clips, left to right.
        levels_db: level of each clip, relative to the others.
        seconds: maximal length, or None.
        starts: start of the excerpt of each clip, 0 to 1 of its surplus length.
        turns: number of speakers before each speaker; 0 for all if all talk at once.
        dice: the sampler for further choices.
        error: the reason why it cannot be made, or None.
    """

    number: int
    clips: tuple[CorpusClip, ...]
    levels_db: tuple[float, ...]
    seconds: float | None
    starts: tuple[float, ...]
    dice: Sampler = field(compare=False)
    error: InputError | None = None
    turns: tuple[int, ...] = ()

    @property
    def id(self) -> str:
        """Id of the item."""
        return f"{self.number:05d}"


def draw_items(corpus: Corpus, settings: SetSettings, *, anywhere: bool, split: str) -> list[Draft]:
    """Draw items from a corpus.

    Args:
        corpus: the clips of a split.
        settings: see `SetSettings`.
        anywhere: whether excerpts may begin anywhere in a clip that is longer than the item. In
            published sets, they begin with the clip.
        split: name of the split, for messages.

    Raises:
        InputError: there are fewer speakers than an item needs.
    """
    people = corpus.people()
    if len(people) < settings.voices:
        raise InputError(
            f"the {split} split of {corpus.root} has clips of {len(people)} people, and each "
            f"mixture needs {settings.voices}",
            "choose another --split, such as all, or add clips",
        )
    drafts = []
    for number in range(1, (settings.count or DEFAULT_COUNT) + 1):
        dice = Sampler(settings.seed, number)
        names = dice.several(list(people), settings.voices)
        clips = tuple(dice.one(people[name]) for name in names)
        others = [-dice.level(settings.levels_db) for _ in names[1:]]
        starts = tuple(dice.fraction() if anywhere else 0.0 for _ in names)
        turns = drawn_turns(settings, len(names), dice)
        drafts.append(
            Draft(number, clips, (0.0, *others), settings.seconds, starts, dice, turns=turns)
        )
    return drafts


def drawn_turns(settings: SetSettings, voices: int, dice: Sampler) -> tuple[int, ...]:
    """Draw the order of turns: the number of speakers before each speaker."""
    if settings.turns is None:
        return (0,) * voices
    return tuple(dice.several(range(voices), voices))


def draw_list(root: Path, path: Path, settings: SetSettings) -> tuple[list[Draft], str]:
    """Take items from a list.

    Args:
        root: the folder of clips.
        path: the list.
        settings: the split and the maximal number of items.

    Returns:
        The items, with an error for those whose clips are not found; and the split.

    Raises:
        UsageError: the list cannot be read, or does not have the split.
        InputError: there are no clips.
    """
    entries = read_list(path)
    splits = {entry.split for entry in entries}
    if splits == {None}:
        if settings.split not in (None, ALL):
            raise UsageError(f"{path} names no splits", "leave --split out")
        split = ALL
    else:
        split = settings.split or (TEST if TEST in splits else ALL)
    names = {
        "valid": ("valid", "val", "cv", "dev"),
        "train": ("train", "tr"),
        "test": ("test", "tt"),
    }
    chosen = [entry for entry in entries if split == ALL or entry.split in names[split]]
    if not chosen:
        known = ", ".join(sorted(str(name) for name in splits))
        raise UsageError(f"{path} has no {split} split", f"choose from: {known}, all")
    finder = Finder(find_clips(root, pictures=settings.video))
    return list(_found(chosen[: settings.count], finder, settings)), split


def _found(entries: list[Entry], finder: Finder, settings: SetSettings) -> Iterator[Draft]:
    for number, entry in enumerate(entries, 1):
        limits = [s for s in (entry.seconds, settings.seconds) if s is not None]
        clips: tuple[CorpusClip, ...] = ()
        error = None
        try:
            pairs = zip(entry.names, entry.speakers, strict=True)
            clips = tuple(finder.find(name, speaker) for name, speaker in pairs)
            if len({clip.speaker for clip in clips}) < len(clips):
                raise InputError(
                    f"line {entry.line} of the list mixes {clips[0].speaker} with the same person",
                    "leave the line out",
                )
        except InputError as trouble:
            error = trouble
        dice = Sampler(settings.seed, number)
        yield Draft(
            number,
            clips,
            entry.levels_db,
            min(limits, default=None),
            (0.0,) * len(entry.names),
            dice,
            error,
            drawn_turns(settings, len(entry.names), dice),
        )
