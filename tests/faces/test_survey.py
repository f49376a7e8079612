from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from avse.faces.detect import Box
from avse.faces.detections import Frame
from avse.faces.survey import FaceSurvey
from avse.faces.track import find_people

from .film import Actor, FakeBackend, Film, LateBackend, watch
from .test_track import GREEN, RED, between, clock, stays, whose

CHUNK = Fraction(2)


def survey_of(film: Film, seconds: float = 8.0, backend: FakeBackend | None = None) -> FaceSurvey:
    backend = backend or FakeBackend(film)

    def open_frames(start: Fraction) -> Iterator[Frame]:
        return iter(watch(backend, [time for time in clock(seconds) if time >= start]))

    return FaceSurvey(open_frames, backend, begin=Fraction(0), chunk_s=CHUNK)


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [2, 0, 1, 3], [3, 2, 1, 0], [1, 3, 2, 0]])
def test_people_keep_their_numbers_in_whatever_order_chunks_come(order: list[int]) -> None:
    survey = survey_of(Film([Actor(RED, stays(60)), Actor(GREEN, stays(200))]))
    for count, chunk in enumerate(order, 1):
        assert survey.look(chunk)
        people = survey.people()
        assert [person.number for person in people] == [1, 2]
        assert [whose(person) for person in people] == [{220}, {40}]
        for person in people:
            assert person.seconds_on_screen == pytest.approx(2 * count, abs=0.2)
    for person in survey.people():
        assert person.lips.seen.all()
        assert len(person.times) == 200
        assert (np.diff(person.times) > 0).all()


def test_a_new_person_gets_a_new_number_and_nobody_loses_theirs() -> None:
    late = Actor(RED, between(4.0, 8.0, 60))
    survey = survey_of(Film([Actor(GREEN, stays(200)), late]))
    survey.look(3)
    assert [whose(person) for person in survey.people()] == [{220}, {40}]
    survey.look(0)
    survey.look(1)
    assert [whose(person) for person in survey.people()] == [{220}, {40}]


def test_a_chunk_can_be_given_up_and_looked_at_again() -> None:
    survey = survey_of(Film([Actor(RED, stays(60))]))
    asked = iter([False] * 20 + [True] * 100)
    assert not survey.look(1, lambda: next(asked))
    assert survey.done == set()
    assert survey.look(1)
    assert survey.look(2)
    (person,) = survey.people()
    assert person.number == 1
    survey.close()
    (again,) = survey.people()
    assert len(again.times) == len(person.times)


@pytest.mark.parametrize("asked_every", [1000, 1, 5])
def test_parts_give_what_the_whole_gives_however_often_people_are_asked_for(
    asked_every: int,
) -> None:
    """Faces are interpolated between frames; a question must not change between which."""
    film = Film([Actor(RED, lambda time: Box(60 + 9 * np.sin(4 * float(time)), 60, 40, 40))])
    (whole,) = find_people(watch(LateBackend(film), clock(8)), LateBackend(film))
    survey, count = survey_of(film, backend=LateBackend(film)), 0

    def stop() -> bool:
        nonlocal count
        count += 1
        if count % asked_every == 0:
            survey.people()
        return False

    for chunk in range(4):
        assert survey.look(chunk, stop)
        (person,) = survey.people()
        assert len(person.times) == 50 * (chunk + 1)  # no frame waits at the end of a chunk
    assert person.times.tolist() == whole.times.tolist()
    assert (person.boxes == whole.boxes).all()
    assert (person.lips.points == whole.lips.points).all()


@pytest.mark.parametrize("at", range(60, 64))
def test_what_is_known_is_kept_when_the_backend_fails(at: int) -> None:
    class Failing(LateBackend):
        fails = False

        def faces(self, image, boxes):
            if self.fails and image.time >= Fraction(at, 25):
                raise MemoryError
            return super().faces(image, boxes)

    film = Film([Actor(RED, stays(60))])
    backend = Failing(film)
    survey = survey_of(film, backend=backend)
    assert survey.look(0)
    backend.fails = True
    with pytest.raises(MemoryError):
        survey.look(1)
    backend.fails = False
    (person,) = survey.people()
    assert len(person.times) == 50
    assert survey.look(1)
    (person,) = survey.people()
    assert len(person.times) == 100
