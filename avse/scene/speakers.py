"""The speakers to separate (--speaker): parsed once, and resolved once against a scene."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from avse.errors import UnknownSpeakerError, UsageError
from avse.utils.clock import clock, read_clock

if TYPE_CHECKING:
    from avse.faces.people import Person
    from avse.scene.scene import Scene

Speaker: TypeAlias = "int | str | Sequence[int]"
"""A number, several numbers, "all", a point in time and picture ("@12.5s:0.31,0.40"), or names and
numbers separated by commas: "anna,3"."""

_NUMBER = re.compile(r"-?\d{1,9}(?:\.\d{1,12})?|-?\.\d{1,12}", re.ASCII)


class Point(NamedTuple):
    """A point in time and picture.

    Attributes:
        seconds: playing time in seconds.
        x, y: position, 0..1 from the left and from the top.
    """

    seconds: Fraction
    x: float
    y: float


@dataclass(frozen=True)
class Speakers:
    """The speakers to separate.

    Attributes:
        text: the text of the user.
        all: whether all people are chosen.
        numbers, names: numbers and names of people.
        points: points at which people are visible.
    """

    text: str
    all: bool = False
    numbers: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    points: tuple[Point, ...] = ()

    @classmethod
    def read(cls, speaker: Speaker | Speakers) -> Speakers:
        """Parse the value of `speaker` or --speaker.

        Raises:
            UsageError: the text does not name a speaker.
        """
        if isinstance(speaker, Speakers):
            return speaker
        if isinstance(speaker, int):
            return cls(str(speaker), numbers=(speaker,))
        if not isinstance(speaker, str):
            numbers = sorted(set(speaker))
            return cls(",".join(map(str, numbers)), numbers=tuple(numbers))
        text = speaker.strip()
        if text == "all":
            return cls(text, all=True)
        if text.startswith("@"):
            return cls(text, points=(read_point(text),))
        parts = dict.fromkeys(part.strip() for part in text.split(","))
        if "" in parts:
            raise _names_nobody(text)
        numbers = sorted({int(part) for part in parts if _is_number(part)})
        names = tuple(part for part in parts if not _is_number(part))
        return cls(text, numbers=tuple(numbers), names=names)

    @property
    def count(self) -> int | None:
        """Maximal number of people; None for all."""
        return None if self.all else len(self.numbers) + len(self.names) + len(self.points)

    def as_json(self) -> int | list[int] | str:
        """JSON value: a number, several numbers, or the text."""
        if not self.numbers or self.names:
            return self.text
        return self.numbers[0] if len(self.numbers) == 1 else list(self.numbers)

    def check_names(self, known: Iterable[str], file: str | None) -> None:
        """Refuse, before any work, unknown names.

        Args:
            known: known names.
            file: the file of people, if there is one.

        Raises:
            UsageError: a name is unknown.
        """
        there = sorted(set(known))
        for name in self.names:
            if not there and file is None:
                raise _names_nobody(self.text)
            if name not in there:
                whose = "there are" if file is None else f"{file} knows"
                raise UsageError(f"--speaker {name!r} names nobody", f"{whose}: {', '.join(there)}")

    def resolve(self, scene: Scene) -> list[Person]:
        """Find the chosen people, in order of their numbers.

        Raises:
            UnknownSpeakerError: nobody has that number or name, or is at that point.
        """
        if self.all:
            return list(scene.people)
        numbers = {*self.numbers, *(_named(scene, name).number for name in self.names)}
        numbers |= {_at(scene, point).number for point in self.points}
        chosen = {n: scene.people.numbered(n) for n in sorted(numbers)}
        missing = [n for n, person in chosen.items() if person is None]
        if missing or not chosen:
            asked = ", ".join(map(str, missing)) or "nobody"
            raise UnknownSpeakerError(
                f"{scene.info.path.name}: there is no speaker {asked}",
                f"choose from: {_valid(scene)}",
            )
        return list({person.number: person for person in chosen.values() if person}.values())


def read_point(text: str) -> Point:
    """Parse a point in time and picture, such as "@12.5s:0.31,0.40" or "@1:02:03.5:0.31,0.40".

    Raises:
        UsageError: the text is not a point; the message gives the reason.
    """
    text = text.strip()
    if not text.startswith("@"):
        raise _names_nobody(text)
    time, colon, place = text[1:].rpartition(":")
    numbers = place.split(",")
    if not colon or len(numbers) != 2:
        raise _bad_point(f"{text!r} is not a point: it needs a time and two numbers")
    for number, name, side in zip(numbers, ("first", "second"), ("width", "height"), strict=True):
        about = f"{place}: the {name} number is a share of the {side} and must lie in 0 to 1"
        if not _NUMBER.fullmatch(number.strip()) or not 0 <= float(number) <= 1:
            raise _bad_point(about)
    seconds = read_clock(time)
    if seconds < 0:
        raise _bad_point(f"{time}: the time counts from the beginning and cannot be negative")
    return Point(seconds, float(numbers[0]), float(numbers[1]))


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= 9


def _names_nobody(text: str) -> UsageError:
    return UsageError(
        f"{text!r} names no speaker",
        'give a number, "all", or a point such as @12.5s:0.31,0.40; names need --people',
    )


def _bad_point(what: str) -> UsageError:
    return UsageError(
        what,
        "give a number, or @TIME:X,Y such as @12.5s:0.31,0.40 or @1:02:03.5:0.31,0.40: X from the "
        "left, Y from the top, as shares of the picture",
    )


def _named(scene: Scene, name: str) -> Person:
    person = scene.people.named(name)
    if person is None:
        raise UnknownSpeakerError(
            f"{scene.info.path.name}: {name!r} is not in the picture, or was not recognised",
            f"choose from: {_valid(scene)}",
        )
    return person


def _at(scene: Scene, point: Point) -> Person:
    """Find the person at a point.

    Raises:
        UnknownSpeakerError: there is nobody.
    """
    seconds, x, y = point
    name, last = scene.info.path.name, scene.info.duration
    if not scene.part.holds(seconds + scene.info.start):
        raise UnknownSpeakerError(
            f"{name}: {clock(seconds, None)} lies outside of the part that is worked on",
            "choose a time from --start to --end",
        )
    time = float(seconds + scene.info.start - scene.origin)
    person = scene.people.at(time, x, y)
    if person is not None:
        return person
    if last is not None and seconds > last:
        raise UnknownSpeakerError(
            f"{name}: ends at {float(last):.1f} s, before {float(seconds):g} s",
            f"choose an earlier time, or one of the people: {_valid(scene)}",
        )
    boxes = [(person, person.box_at(time)) for person in scene.people]
    there = [(p, b[0] + b[2] / 2, b[1] + b[3] / 2) for p, b in boxes if b is not None]
    if not there:
        when = [(float(abs(p.times - time).min()), p) for p in scene.people]
        apart, nearest = min(when, key=lambda pair: pair[0])
        raise UnknownSpeakerError(
            f"{name}: nobody is in sight at {float(seconds):g} s",
            f"the nearest in time is person {nearest.number}, {apart:.1f} s away; "
            f"people: {_valid(scene)}",
        )
    there.sort(key=lambda place: abs(place[1] - x) + abs(place[2] - y))
    places = ", ".join(f"{p.number} at {u:.2f},{v:.2f}" for p, u, v in there[:4])
    raise UnknownSpeakerError(
        f"{name}: nobody is at {x:g},{y:g} of the picture at {float(seconds):g} s",
        f"in sight then: person {places}; people: {_valid(scene)}",
    )


def _valid(scene: Scene) -> str:
    """List numbers, with names in brackets."""
    return ", ".join(f"{p.number} ({p.name})" if p.name else f"{p.number}" for p in scene.people)
