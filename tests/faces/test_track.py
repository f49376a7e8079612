from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from avse.faces.detect import Box
from avse.faces.face_settings import FaceSettings, Hint
from avse.faces.matching import assign, number
from avse.faces.people import joined
from avse.faces.track import FaceTracker, find_people

from .film import Actor, FakeBackend, Film, LateBackend, Still, timed, watch

RED, GREEN, BLUE = (220, 40, 40), (40, 200, 60), (40, 60, 220)


def clock(seconds: float, fps: int = 25) -> list[Fraction]:
    return [Fraction(k, fps) for k in range(round(seconds * fps))]


def stays(x: float, y: float = 60, side: float = 40):
    return lambda time: Box(x, y, side, side)


def between(start: float, stop: float, x: float):
    return lambda time: Box(x, 60, 40, 40) if start <= time < stop else None


def people_of(film: Film, times, **settings):
    backend = FakeBackend(film)
    return find_people(watch(backend, times), backend, FaceSettings(detect_every=1, **settings))


def whose(person) -> set[int]:
    """The red parts (0..255) of the colours that the lips of a person spell."""
    seen = person.lips.seen
    return {round(float(v) * 255 / 5) * 5 for v in person.lips.points[seen, 0, 0]}


@pytest.mark.parametrize("fps", [15, 24, 25, 30, 50, 60])
def test_two_people_at_any_frame_rate(fps):
    film = Film([Actor(GREEN, stays(200)), Actor(RED, stays(60))])
    people = people_of(film, clock(2, fps))
    assert [p.number for p in people] == [1, 2]
    assert [whose(p) for p in people] == [{220}, {40}]
    for person in people:
        assert person.seconds_on_screen == pytest.approx(2, abs=0.06)
        assert person.first_seen == 0
        assert person.lips.seen.mean() > 0.97
        assert abs(len(person.lips.points) - 50) <= 1
        times = (np.arange(len(person.lips.points)) + person.lips.first) / 25
        # Interpolated at the right instants, to the precision of half floats.
        inside = times <= 2 - 2 / fps
        assert np.allclose(person.lips.points[inside, 0, 1] * 100, times[inside], atol=0.01)


def test_variable_frame_rate():
    rng = np.random.default_rng(3)
    times = [Fraction(int(t), 1000) for t in np.cumsum(rng.integers(17, 70, 80))]
    people = people_of(Film([Actor(RED, stays(60))]), times)
    assert len(people) == 1
    person = people.persons[0]
    assert person.first_seen == times[0]
    assert person.seconds_on_screen == pytest.approx(float(times[-1] - times[0]), abs=0.1)
    assert person.lips.seen.all()


def test_fast_video_is_thinned_and_stuck_stamps_are_skipped():
    backend = FakeBackend(Film([Actor(RED, stays(60))]))
    times = clock(1, 120)
    people = find_people(watch(backend, times), backend, FaceSettings(detect_every=1))
    assert 35 <= len(people.persons[0].times) <= 45
    stuck = [Fraction(0), Fraction(0), Fraction(1, 25), Fraction(1, 50), *clock(2)[2:]]
    people = find_people(watch(backend, stuck), backend)
    assert (np.diff(people.persons[0].times) > 0).all()


def test_faces_that_cross_keep_their_numbers():
    def right(time):
        return Box(20 + 60 * float(time), 60, 40, 40)

    def left(time):
        return Box(240 - 60 * float(time), 75, 44, 44)

    people = people_of(Film([Actor(RED, right), Actor(GREEN, left)]), clock(4))
    assert len(people) == 2
    first, second = people
    ends = [next(iter(people.at(3.9, x, 0.5).boxes[-1:]))[0] for x in (0.1, 0.85)]
    assert ends[0] < 0.2 < 0.7 < ends[1]
    assert people.at(0.1, 0.13, 0.45) is first
    assert people.at(3.9, 0.86, 0.45) is first
    assert people.at(3.9, 0.1, 0.5) is second


def test_a_short_absence_is_bridged_and_left_unseen():
    def place(time):
        return None if 1 <= time < Fraction(3, 2) else Box(60, 60, 40, 40)

    people = people_of(Film([Actor(RED, place)]), clock(3))
    assert len(people) == 1
    person = people.persons[0]
    seen = person.lips.seen
    assert seen[:25].all()
    assert not seen[26:37].any()
    assert seen[38:].all()
    assert not person.lips.points[27:36].any()


def test_who_comes_back_has_the_number_of_before():
    def place(time):
        return None if 2 <= time < 6 else Box(60 if time < 2 else 210, 60, 40, 40)

    people = people_of(Film([Actor(RED, place), Actor(BLUE, between(3, 9, 120))]), clock(9))
    assert len(people) == 2
    assert whose(people.persons[0]) == {220}
    assert people.persons[0].seconds_on_screen == pytest.approx(5, abs=0.3)
    assert not people.persons[0].lips.window(60, 80).seen.any()
    assert people.persons[1].first_seen == 3


def test_another_person_in_the_same_place_is_another_person():
    film = Film([Actor(RED, between(0, 2, 60)), Actor(GREEN, between(4, 6, 60))])
    people = people_of(film, clock(6))
    assert [whose(p) for p in people] == [{220}, {40}]


def cut_film() -> Film:
    def shot(time):
        return int(time // 2) % 2

    def red(time):
        return None if shot(time) else Box(60, 60, 40, 40)

    def green(time):
        return Box(70, 62, 42, 42) if shot(time) else None

    return Film([Actor(RED, red), Actor(GREEN, green)], backdrop=lambda t: 30 + 150 * shot(t))


def test_cuts_between_two_people_make_two_people():
    people = people_of(cut_film(), clock(8))
    assert people.cuts == (2, 4, 6)
    assert [whose(p) for p in people] == [{220}, {40}]
    assert [p.first_seen for p in people] == [0, 2]
    for person in people:
        assert person.seconds_on_screen == pytest.approx(4, abs=0.2)


def test_two_alike_in_sight_together_are_two():
    film = Film([Actor(RED, stays(60)), Actor(RED, stays(200))])
    assert len(people_of(film, clock(2))) == 2


def test_a_glimpse_is_nobody():
    film = Film([Actor(RED, stays(60)), Actor(GREEN, between(1, 1.2, 200))])
    assert len(people_of(film, clock(3))) == 1


def test_a_doubtful_face_is_nobody():
    backend = FakeBackend(Film([Actor(RED, stays(60))]))
    # A pattern that the detector takes for a face now and then, and the landmarks always.
    spot = Box(200, 60, 40, 40)
    backend.ghosts = [(Fraction(k, 5), Fraction(k, 5), spot, 0.5) for k in range(20)]
    people = find_people(watch(backend, clock(4)), backend, FaceSettings(detect_every=1))
    assert [whose(p) for p in people] == [{220}]


def test_a_bent_head_keeps_its_number_with_lips_unseen():
    film = Film([Actor(RED, stays(60), readable=lambda t: not 1 <= t < 4)])
    people = people_of(film, clock(6))
    assert len(people) == 1
    person = people.persons[0]
    assert person.seconds_on_screen == pytest.approx(6, abs=0.1)
    assert not person.lips.window(27, 70).seen.any()
    assert person.lips.window(102, 40).seen.all()


def test_never_readable_is_nobody():
    film = Film([Actor(RED, stays(60), readable=lambda t: False)])
    assert len(people_of(film, clock(3))) == 0


def test_no_faces_no_frames():
    assert len(people_of(Film([]), clock(1))) == 0
    assert len(people_of(Film([]), [])) == 0
    assert people_of(Film([]), []).at(0, 0.5, 0.5) is None


@pytest.mark.parametrize("every", [1, 5, 40])
def test_lips_that_are_read_later_are_those_that_are_read_at_once(every):
    """Over comings and goings, a cut, a drift that is forgotten, and the end."""
    film = Film(
        [
            Actor(RED, stays(60)),
            Actor(GREEN, between(1, 2.3, 200)),
            Actor(BLUE, between(3, 9, 140)),
        ],
        backdrop=lambda time: 40 if time < 4 else 200,
    )
    ghost = (Fraction(5), Fraction(8), Box(260, 60, 40, 40), 0.9)
    at_once, late = FakeBackend(film, ghosts=[ghost]), LateBackend(film, ghosts=[ghost])
    first, second = (
        find_people(watch(backend, clock(9)), backend, FaceSettings(detect_every=every))
        for backend in (at_once, late)
    )
    assert len(first) == len(second) >= 3
    for one, other in zip(first, second, strict=True):
        assert one.times.tolist() == other.times.tolist()
        assert (one.lips.points == other.lips.points).all()
        assert (one.lips.confidence == other.lips.confidence).all()
        assert (one.thumbnail == other.thumbnail).all()
    assert sum(late.batches) == at_once_count(first)
    assert max(late.batches) > 2 or every == 1


def at_once_count(people) -> int:
    """The number of sightings with lips."""
    return sum(len(person.times) for person in people)


def test_lips_are_there_whenever_somebody_asks():
    backend = LateBackend(Film([Actor(RED, stays(60))]))
    tracker = FaceTracker(backend, FaceSettings(detect_every=100))
    for count, still in enumerate(watch(backend, clock(1)), 1):
        tracker.step(still)
        if count in (1, 2, 10, 23):
            (track,) = tracker.so_far()
            assert count - 2 <= len(track.sightings[0].readable()) <= count  # some may wait
    (track,) = tracker.end()
    assert len(track.sightings[0].readable()) == 25
    assert backend.batches == [1, 9, 11, 4]  # a detection after 0.8 s needs them, too


@pytest.mark.parametrize("every", [1, 2, 5, 10])
def test_looking_less_often_finds_the_same_people(every):
    backend = FakeBackend(Film([Actor(RED, stays(60)), Actor(GREEN, between(1, 4, 200))]))
    frames = watch(backend, clock(4))
    tracker = FaceTracker(backend, FaceSettings(detect_every=every))
    for still in frames:
        tracker.step(still)
    people = tracker.finish()
    assert [whose(p) for p in people] == [{220}, {40}]
    assert backend.detected <= 100 / every + 10


def test_boxes_are_in_source_pixels():
    backend = FakeBackend(Film([Actor(RED, stays(60))]))
    frames = watch(backend, clock(1))
    people = find_people(frames, backend, FaceSettings(detect_every=1), scale=3.0)
    assert (people.width, people.height) == (960, 540)
    assert people.persons[0].box == pytest.approx((180, 180, 120, 120), abs=1)
    assert np.allclose(people.persons[0].boxes[0], [60 / 320, 60 / 180, 40 / 320, 40 / 180])


def test_a_point_finds_the_person():
    people = people_of(Film([Actor(RED, stays(60)), Actor(GREEN, stays(110))]), clock(2))
    assert people.at(1.0, 80 / 320, 80 / 180).number == 1
    assert people.at(Fraction(1), 130 / 320, 80 / 180).number == 2
    assert people.at(1.0, 300 / 320, 80 / 180) is None
    assert people.at(9.0, 80 / 320, 80 / 180) is None
    assert people.numbered(2) is people.persons[1]
    assert people.numbered(3) is None


def test_numbers_go_by_appearance_then_from_left_to_right():
    half = Fraction(1, 2)
    places = [(Fraction(0), 200.0), (half, 100.0), (Fraction(2), 0.0), (Fraction(2, 5), 300.0)]
    seen = [(time, Box(x, 60, 40, 40)) for time, x in places]
    assert number(seen, [], 0.5) == [1, 0, 3, 2]
    # A cut in between: not simultaneous after all.
    assert number(seen, [Fraction(1, 5)], 0.5) == [0, 1, 3, 2]
    assert number([], [], 0.5) == []


def test_people_who_are_there_at_once_are_numbered_in_reading_order():
    # Three tiles by three, faces of unequal sizes that sit at unequal heights in their tiles.
    unequal = np.random.default_rng(5)
    boxes = [
        Box(300 * column + unequal.integers(60), 300 * row + unequal.integers(80), side, 1.2 * side)
        for row in range(3)
        for column in range(3)
        for side in [int(unequal.integers(110, 170))]
    ]
    mixed = unequal.permutation(9).tolist()
    seen = [(Fraction(int(unequal.integers(5)), 25), boxes[k]) for k in mixed]
    assert [mixed[i] for i in number(seen, [], 0.5)] == list(range(9))
    # Side by side, one sitting half a face lower, is one row.
    low, high = Box(50, 130, 100, 120), Box(300, 70, 100, 120)
    assert number([(Fraction(0), high), (Fraction(0), low)], [], 0.5) == [1, 0]


def test_picture_size_may_change_midway():
    small = Film([Actor(RED, stays(60))])
    large = Film([Actor(RED, stays(60))], size=(240, 400))
    backend = FakeBackend(small)

    def frames():
        yield from watch(backend, clock(2))
        for still in large.frames(clock(4)[50:]):
            yield Still(still.time, timed(still.image, still.time))

    assert len(find_people(frames(), backend, FaceSettings(detect_every=1))) == 1


def test_memory_holds_no_pictures():
    backend = FakeBackend(Film([Actor(RED, stays(60))]))
    people = find_people(watch(backend, clock(40)), backend, FaceSettings(detect_every=1))
    person = people.persons[0]
    assert len(person.lips.points) == 1000
    assert person.thumbnail.shape[0] <= 160


def test_somebody_else_dissolved_into_the_same_place_is_noticed():
    film = Film(
        [Actor(RED, between(0, 2, 60)), Actor(GREEN, between(2, 5, 60))],
        backdrop=lambda time: 40 + round(100 * min(1.0, max(0.0, float(time) - 1.5))),
    )
    people = people_of(film, clock(5))
    assert people.cuts == ()
    assert [whose(p) for p in people] == [{220}, {40}]
    assert people.persons[1].first_seen == pytest.approx(2, abs=0.1)


def test_who_is_where_they_were_after_a_jump_cut_is_the_same_person():
    film = Film([Actor(RED, lambda time: Box(140, 60, 40, 40))])
    backend = FakeBackend(film)

    def frames():
        for still in watch(backend, clock(4)):
            image = still.image.copy()
            image[:, 190:] = 190
            # The other take: everything mirrored, as no two takes show the same picture.
            shown = image if still.time < 2 else image[:, ::-1].copy()
            yield Still(still.time, timed(shown, still.time))

    people = find_people(frames(), backend, FaceSettings(detect_every=1))
    assert people.cuts == (2,)
    assert len(people) == 1
    assert people.persons[0].seconds_on_screen == pytest.approx(4, abs=0.1)


def test_two_numbers_are_joined_by_hand():
    film = Film([Actor(RED, between(0, 2, 60)), Actor(GREEN, between(2, 4, 200)),
                 Actor(BLUE, between(1, 4, 120))])  # fmt: skip
    people = people_of(film, clock(4))
    assert [whose(p) for p in people] == [{220}, {40}, {40}]
    one = joined(people, [(3, 1)])
    assert [p.numbers for p in one] == [(1, 3), (2,)]
    first = one.numbered(3)
    assert first is one.numbered(1)
    assert whose(first) == {220, 40}
    assert first.seconds_on_screen == pytest.approx(4, abs=0.1)
    assert first.lips.seen.mean() > 0.97
    assert (np.diff(first.times) > 0).all()
    assert one.at(0.5, 80 / 320, 80 / 180) is first
    assert one.at(3.5, 220 / 320, 80 / 180) is first
    assert len(joined(people, [(1, 2), (2, 3)])) == 1
    with pytest.raises(KeyError):
        joined(people, [(1, 4)])


def test_of_two_faces_of_one_person_the_larger_counts():
    large, small = Actor(RED, stays(40, 60, 60)), Actor(GREEN, stays(240, 60, 30))
    (person,) = joined(people_of(Film([small, large]), clock(2)), [(1, 2)])
    assert whose(person) == {220}
    assert person.number == 1
    assert person.seconds_on_screen == pytest.approx(2, abs=0.1)


def hinted(film: Film, times, *hints: Hint, every: int = 5):
    backend = FakeBackend(film)
    return find_people(
        watch(backend, times), backend, FaceSettings(detect_every=every), hints=hints
    )


class Unseen(FakeBackend):
    """A detector that sees nobody; landmarks are there."""

    def detect(self, images):
        return [[] for _ in images]


def test_a_face_that_the_detector_misses_is_followed_from_a_hint_on():
    film = Film([Actor(RED, between(0, 8, 60)), Actor(GREEN, stays(200))])
    backend = Unseen(film)
    assert len(find_people(watch(backend, clock(2)), backend)) == 0
    hint = Hint(1.0, (65 / 320, 62 / 180, 30 / 320, 36 / 180))  # drawn by hand, not exactly
    people = find_people(watch(backend, clock(10)), backend, hints=[hint])
    (person,) = people.persons
    assert whose(person) == {220}
    assert person.first_seen == 0
    assert person.seconds_on_screen == pytest.approx(8, abs=0.1)  # for longer than 2 s unconfirmed


def test_a_hint_counts_for_two_seconds_before_and_after():
    backend = Unseen(Film([Actor(RED, stays(60))]))
    people = find_people(
        watch(backend, clock(9)),
        backend,
        hints=[Hint(5.0, (60 / 320, 60 / 180, 40 / 320, 40 / 180))],
    )
    assert float(people.persons[0].first_seen) == pytest.approx(3.0, abs=0.25)
    late = Unseen(Film([Actor(RED, between(7.5, 9, 60))]))
    hints = [Hint(5.0, (60 / 320, 60 / 180, 40 / 320, 40 / 180))]
    assert len(find_people(watch(late, clock(9)), late, hints=hints)) == 0


def test_a_hint_at_a_face_that_is_seen_changes_nothing():
    film = Film([Actor(RED, stays(60)), Actor(GREEN, stays(200))])
    hint = Hint(1.0, (55 / 320, 55 / 180, 50 / 320, 50 / 180))
    with_hint, without = hinted(film, clock(3), hint), hinted(film, clock(3))
    assert [whose(p) for p in with_hint] == [whose(p) for p in without] == [{220}, {40}]
    for one, other in zip(with_hint, without, strict=True):
        assert np.array_equal(one.boxes, other.boxes)
        assert np.array_equal(one.times, other.times)


def test_a_hint_where_nobody_is_finds_nobody():
    film = Film([Actor(RED, stays(60))])
    people = hinted(film, clock(5), Hint(2.0, (0.7, 0.3, 0.2, 0.3)))
    assert [whose(p) for p in people] == [{220}]


def test_a_face_is_confirmed_in_time_where_pictures_follow_slowly():
    backend = FakeBackend(Film([Actor(RED, stays(60))]))
    seldom = FaceSettings(detect_every=50)
    (person,) = find_people(watch(backend, clock(8, fps=5)), backend, seldom)
    assert person.seconds_on_screen == pytest.approx(8, abs=0.2)


def test_the_assignment_is_the_cheapest_one():
    """Small tables are solved by trying every assignment, large ones by SciPy."""
    dice = np.random.default_rng(0)
    for _ in range(200):
        cost = dice.random(dice.integers(1, 6, 2))
        pairs = assign(cost, gate=2.0)
        rows, columns = linear_sum_assignment(cost)
        assert sorted(pairs) == list(zip(rows.tolist(), columns.tolist(), strict=True))


def test_costs_from_the_gate_on_leave_pairs_out():
    assert assign(np.array([[0.2, 9.0], [9.0, 9.0], [0.1, 0.9]]), gate=1.0) == [(0, 0), (2, 1)]
    assert assign(np.zeros((0, 3)), gate=1.0) == []
