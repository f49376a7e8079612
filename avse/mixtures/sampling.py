"""Decide what to mix: nothing is read here but the names of files.

Each item is drawn from the set's seed and its own number alone, so item 7 stays the same whether
10 or 1,000 are asked for, and whichever other items fail.
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
    """Random choices that stay the same from one version of Python or NumPy to the next.

    Only `random.Random.random` promises that, and seeding with a text.
    """

    def __init__(self, seed: int, number: int) -> None:
        self._random = random.Random(f"avse mix {seed} {number}")

    def fraction(self) -> float:
        """From 0 up to 1, itself left out."""
        return self._random.random()

    def one(self, things: Sequence[T]) -> T:
        """One of some things."""
        return things[int(self.fraction() * len(things))]

    def several(self, things: Sequence[T], count: int) -> list[T]:
        """Different ones of some things, in random order."""
        left = list(things)
        return [left.pop(int(self.fraction() * len(left))) for _ in range(count)]

    def level(self, levels_db: Range) -> float:
        """A level in decibels, of four decimals."""
        low, high = levels_db
        return round(low + (high - low) * self.fraction(), 4)


@dataclass(frozen=True)
class Draft:
    """An item before anybody has looked into its files.

    Attributes:
        number: of the item, from 1.
        clips: its voices, left to right.
        levels_db: of each, relative to one another.
        seconds: longest that it may be, or None.
        starts: where excerpts begin, 0 to 1 of what a clip is too long; of each voice.
        turns: of each voice, how many have their turn before it; 0 for all if all talk at once.
        dice: for what is still to be drawn.
        error: why it cannot be made at all.
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
        """Name of the item."""
        return f"{self.number:05d}"


def draw_items(corpus: Corpus, settings: SetSettings, *, anywhere: bool, split: str) -> list[Draft]:
    """Draw items from a corpus.

    Args:
        corpus: the clips of a split.
        settings: how to draw.
        anywhere: whether excerpts may begin anywhere in a clip that is longer than the item;
            published sets of mixtures begin with the clip.
        split: its name, for messages.

    Raises:
        InputError: there are fewer people than an item needs.
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
    """How many of the others each voice waits for."""
    if settings.turns is None:
        return (0,) * voices
    return tuple(dice.several(range(voices), voices))


def draw_list(root: Path, path: Path, settings: SetSettings) -> tuple[list[Draft], str]:
    """Take items from a list.

    Args:
        root: the folder of clips.
        path: the list.
        settings: which split, how many at most.

    Returns:
        The items, with the reason for those whose clips are not found; and the split.

    Raises:
        UsageError: the list cannot be read, or has no such split.
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
