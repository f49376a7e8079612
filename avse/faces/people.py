"""The people of a recording, as face tracking returns them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from avse.faces.detect import Image
from avse.faces.lips import AnyLips, Lips, LipSequence
from avse.types import FloatArray

_NEAR_S = 0.5
"""Longest time in seconds before or after a sighting at which its box is used."""


@dataclass(frozen=True)
class Person:
    """A person whose face is visible.

    Attributes:
        number: from 1, in order of appearance, then row by row, from left to right.
        first_seen: time of the first sighting, in seconds from `Scene.origin`.
        seconds_on_screen: time for which the face is visible.
        box: x, y, width, height of the face in pixels of the source picture, the median over time.
        times: (n,) time of each sighting, in seconds from `Scene.origin`.
        boxes: (n, 4) x, y, width, height at each sighting, as fractions of the picture.
        lips: the lip landmarks over the recording, 25 frames per second.
        thumbnail: (h, w, 3) uint8 RGB, the best view of the face.
        face: (128,) description by the face recognition network, None without one.
        name: from a file of people or from corrections; None without a name.
        also: further numbers of this person, joined by hand.
        still: whether the face is a photograph, a poster or a frozen picture.
    """

    number: int
    first_seen: Fraction
    seconds_on_screen: float
    box: tuple[float, float, float, float]
    times: npt.NDArray[np.float64] = field(repr=False, compare=False)
    boxes: FloatArray = field(repr=False, compare=False)
    lips: AnyLips = field(repr=False, compare=False)
    thumbnail: Image = field(repr=False, compare=False)
    face: FloatArray | None = field(default=None, repr=False, compare=False)
    name: str | None = None
    also: tuple[int, ...] = ()
    still: bool = False

    @property
    def numbers(self) -> tuple[int, ...]:
        """All numbers of this person."""
        return (self.number, *self.also)

    def silenced(self) -> Person:
        """The same face without visible lips, so that it has no voice."""
        nothing = (
            LipSequence(one.first, 0 * one.points, 0 * one.confidence)
            for one in self.lips.stretches
        )
        return replace(self, lips=Lips(tuple(nothing)))

    def box_at(self, time: float) -> tuple[float, float, float, float] | None:
        """The box nearest in time, as fractions of the picture; None if off-screen."""
        after = int(np.searchsorted(self.times, time))
        near = [i for i in (after - 1, after) if 0 <= i < len(self.times)]
        best = min(near, key=lambda i: abs(float(self.times[i]) - time), default=None)
        if best is None or abs(float(self.times[best]) - time) > _NEAR_S:
            return None
        x, y, w, h = (float(value) for value in self.boxes[best])
        return x, y, w, h


@dataclass(frozen=True)
class People:
    """The people in a recording.

    Attributes:
        persons: in order of their numbers.
        width, height: of the source picture, in pixels.
        cuts: times at which a new shot begins, in seconds.
    """

    persons: tuple[Person, ...]
    width: int
    height: int
    cuts: tuple[Fraction, ...] = ()

    def __iter__(self) -> Iterator[Person]:
        return iter(self.persons)

    def __len__(self) -> int:
        return len(self.persons)

    def numbered(self, number: int) -> Person | None:
        """The person with a number, which may be one of several; None if there is none."""
        return next((person for person in self.persons if number in person.numbers), None)

    def named(self, name: str) -> Person | None:
        """The person with a name; None if there is none."""
        return next((person for person in self.persons if person.name == name), None)

    def at(self, time: float | Fraction, x: float, y: float) -> Person | None:
        """Find the person at a point of the picture.

        Args:
            time: seconds.
            x, y: 0..1 from the left and from the top.

        Returns:
            The person whose face contains the point, or is within half its size of it; None if
            there is none. Of several, the one whose centre is nearest in face sizes.
        """
        best: Person | None = None
        nearest = 1.0
        for person in self.persons:
            box = person.box_at(float(time))
            if box is None or box[2] <= 0 or box[3] <= 0:
                continue
            # 0.5 at the edge of the box, 1 half a box beyond it.
            across = abs(x - box[0] - box[2] / 2) / box[2]
            down = abs(y - box[1] - box[3] / 2) / box[3]
            if max(across, down) < nearest:
                best, nearest = person, max(across, down)
        return best


def joined(people: People, groups: Sequence[Sequence[int]]) -> People:
    """Join people who are one person.

    A joined person keeps the lowest number, and the other numbers are in `also`. The numbers of
    other people do not change. If several of the faces are visible at the same time (a speaker and
    the screen behind), the largest face is used.

    Args:
        people: the people of a recording.
        groups: each the numbers of one person.

    Raises:
        KeyError: there is no person with one of the numbers.
    """
    persons = {person.number: person for person in people}
    for group in groups:
        found = people.numbered
        missing = [number for number in group if found(number) is None]
        if missing:
            raise KeyError(missing[0])
        numbers = sorted({n for n in persons if set(persons[n].numbers) & set(group)})
        first, *others = (persons.pop(n) for n in numbers)
        for other in others:
            first = _one_person(first, other)
        persons[first.number] = first
    return replace(people, persons=tuple(persons[n] for n in sorted(persons)))


def _one_person(one: Person, other: Person) -> Person:
    large, small = sorted((one, other), key=lambda person: -person.box[2] * person.box[3])
    fills = ~np.isin(small.times, large.times)
    times = np.concatenate([large.times, small.times[fills]])
    order = np.argsort(times, kind="stable")
    length = large.seconds_on_screen + small.seconds_on_screen * float(np.mean(fills))
    return replace(
        large,
        number=min(one.number, other.number),
        first_seen=min(one.first_seen, other.first_seen),
        seconds_on_screen=length,
        times=times[order],
        boxes=np.concatenate([large.boxes, small.boxes[fills]])[order],
        lips=Lips(large.lips.stretches).filled_from(Lips(small.lips.stretches)),
        face=large.face if large.face is not None else small.face,
        name=large.name if large.name is not None else small.name,
        also=tuple(sorted({*one.numbers, *other.numbers} - {min(one.number, other.number)})),
        still=one.still and other.still,
    )
