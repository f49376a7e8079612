"""Join tracks of one person."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from avse.faces.detect import Box, Image
from avse.faces.identity import Portrait
from avse.faces.sightings import Sightings

if TYPE_CHECKING:
    from avse.faces.recognition import Recogniser

SAME_PLACE_BONUS = 0.03
"""Bonus in similarity for a face that returns to its place, without face recognition."""

_AT_ONCE_S = Fraction(1, 4)
"""Longest time in seconds from the last sighting before a cut to the first one after it."""

_INSTANT = Fraction(1, 10_000)


_KEYS = itertools.count()


class Track:
    """A face track; or several joined tracks of one person.

    Attributes:
        keys: keys of this track and of those joined to it; they never change.
    """

    def __init__(self, box: Box, time: Fraction, recogniser: Recogniser | None = None) -> None:
        self._recogniser = recogniser
        self.first_seen = time
        self.box = box
        self.first_box = box
        self.last_seen = time
        self.confirmed = time
        self.spans: list[tuple[Fraction, Fraction]] = []
        self.sightings: list[Sightings] = [Sightings()]
        self.portrait = Portrait(recogniser)
        self.score_sum = 0.0
        self.score_count = 0
        self.missed = 0
        self.hinted = False
        self.strange: Fraction | None = None
        self.quality = 0.0
        self.thumbnail: Image | None = None
        self.keys = [next(_KEYS)]

    @property
    def score(self) -> float:
        """Mean detection score, 0 where the detector did not find the face.

        Misses while the face was lost are kept apart in `missed`, and count if it comes back.
        """
        return self.score_sum / self.score_count if self.score_count else 0.0

    def close(self) -> None:
        """End the track."""
        self.spans = [(self.first_seen, self.last_seen)]

    def part(self) -> Track:
        """Move the sightings since the face became another person's to a new track."""
        assert self.strange is not None
        other = Track(self.box, self.strange, self._recogniser)
        other.sightings = [self.sightings[0].part(self.strange)]
        other.last_seen, other.confirmed = self.last_seen, self.confirmed
        other.score_sum, other.score_count = self.score, 1
        other.hinted = self.hinted
        self.last_seen = self.confirmed = self.strange - _INSTANT
        return other

    def forget_from(self, time: Fraction) -> None:
        """Remove the sightings at `time` and later; there have to be earlier ones."""
        for part in self.sightings:
            part.forget_after(time - _INSTANT)
        self.spans = [(a, min(b, time - _INSTANT)) for a, b in self.spans if a < time]
        self.last_seen = max((b for _, b in self.spans), default=self.first_seen)

    def copied(self) -> Track:
        """Make a copy that can be joined to other tracks while this one continues."""
        other = copy.copy(self)
        other.keys, other.sightings = list(self.keys), list(self.sightings)
        other.spans = list(self.spans) or [(self.first_seen, self.last_seen)]
        other.portrait = self.portrait.copied()
        return other

    def together(self, other: Track) -> bool:
        """Whether both tracks are visible at the same time."""
        return any(a <= d and c <= b for a, b in self.spans for c, d in other.spans)

    def absorb(self, other: Track) -> None:
        """Add a later or earlier track of the same person."""
        if other.first_seen < self.first_seen:
            self.first_seen, self.first_box = other.first_seen, other.first_box
        if other.last_seen > self.last_seen:
            self.last_seen, self.box = other.last_seen, other.box
        self.keys += other.keys
        self.spans = sorted(self.spans + other.spans)
        self.sightings += other.sightings
        self.portrait.absorb(other.portrait)
        self.score_sum += other.score_sum
        self.score_count += other.score_count
        self.hinted |= other.hinted
        if other.quality > self.quality:
            self.quality, self.thumbnail = other.quality, other.thumbnail


def rejoin(tracks: Sequence[Track]) -> list[Track]:
    """Join the tracks that are certainly of one person, the most similar ones first.

    Tracks are clustered by average linkage: two groups are joined if their tracks are similar
    enough on average. Groups with two tracks that are visible at the same time are never joined.
    """
    alive = list(tracks)
    count = len(alive)
    surplus = np.full((count, count), -1.0)
    weight = np.ones(count)
    for i in range(count):
        for j in range(i):
            if not alive[i].together(alive[j]):
                surplus[i, j] = surplus[j, i] = _surplus(alive[i], alive[j])
    gone = np.zeros(count, bool)
    while count > 1:
        i, j = divmod(int(surplus.argmax()), count)
        if surplus[i, j] <= 0:
            break
        alive[i].absorb(alive[j])
        gone[j] = True
        mixed = (surplus[i] * weight[i] + surplus[j] * weight[j]) / (weight[i] + weight[j])
        # A pair that must not be joined stays so for the whole group.
        mixed[(surplus[i] <= -1) | (surplus[j] <= -1)] = -1.0
        surplus[i], surplus[:, i] = mixed, mixed
        surplus[j], surplus[:, j] = -1.0, -1.0
        surplus[i, i] = -1.0
        weight[i] += weight[j]
    return [track for track, left in zip(alive, gone, strict=True) if not left]


def _surplus(one: Track, other: Track) -> float:
    known = one.portrait.same_person(other.portrait)
    if one.portrait.face is not None and other.portrait.face is not None:
        return known
    first, second = (one, other) if one.first_seen < other.first_seen else (other, one)
    returned = first.box.overlap(second.first_box) > 0.5
    stayed = returned and second.first_seen - first.last_seen <= _AT_ONCE_S
    if stayed:
        known = max(known, first.portrait.may_have_stayed(second.portrait))
    if known <= -1:
        return -1.0
    return known + (SAME_PLACE_BONUS if returned and not stayed else 0.0)
