"""From made-up evidence to offsets, certainty and drift."""

from __future__ import annotations

import numpy as np
import pytest

from avse.faces.lips import POINTS, LipSequence
from avse.sync.agreement import slide
from avse.sync.certainty import REACH, judge
from avse.sync.drift import along, find_slope
from avse.sync.measuring import Evidence, conclude
from avse.sync.result import Drift, Offset, Sync

# The lips' own lead moves every offset by 10 ms; 25 ms of tolerance hold it.
AT = np.arange(-REACH, REACH + 1)


def windows(delays: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
    """Bumps at these delays (in steps of 10 ms), on hills as wide as syllables."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1.0, (len(delays), len(AT) + 20))
    smooth = np.stack([np.convolve(row, np.hanning(21) / 2.7, "valid") for row in noise])
    return strength * np.exp(-0.5 * ((AT - delays[:, None]) / 4) ** 2) + smooth


def test_a_peak_says_the_delay_and_how_sure_it_is() -> None:
    clear = judge(windows(np.array([23]), 20.0)[0])
    assert clear.offset_ms == pytest.approx(230, abs=25)
    assert clear.confidence > 0.95
    assert judge(windows(np.array([0]), 0.0)[0]).confidence < 0.5


def test_no_evidence_is_no_offset() -> None:
    assert judge(np.zeros(len(AT))) == Offset(None, 0.0)


@pytest.mark.parametrize("total_ms", [-800, -200, 200, 800])
def test_a_drift_is_found_through_windows_that_are_wrong(total_ms: int) -> None:
    middles = np.arange(24) * 5.0
    delays = np.linspace(-0.5, 0.5, 24) * total_ms / 10
    evidence = windows(delays, 6.0)
    evidence[::4] = windows(np.full(6, -70.0), 6.0, seed=1)
    slope = find_slope(evidence, middles)
    assert slope * (middles[-1] - middles[0]) == pytest.approx(total_ms, abs=60)


def test_a_constant_offset_is_no_drift() -> None:
    for seed in range(10):
        evidence = windows(np.full(24, 30.0), 4.0, seed)
        assert find_slope(evidence, np.arange(24) * 5.0) == 0


def test_few_windows_never_drift() -> None:
    assert find_slope(windows(np.array([-50, 0, 50]), 20.0), np.array([0.0, 5.0, 10.0])) == 0
    assert find_slope(np.zeros((0, len(AT))), np.zeros(0)) == 0


def test_what_lies_beyond_the_last_delay_says_nothing() -> None:
    assert along(np.ones((1, 5)), np.array([2.0])).tolist() == [1, 1, 1, 0, 0]
    assert along(np.ones((1, 5)), np.array([-2.0])).tolist() == [0, 0, 1, 1, 1]


def test_each_person_is_asked_and_all_together() -> None:
    first, second = windows(np.full(6, 20.0), 8.0), windows(np.full(6, 20.0), 0.5, seed=3)
    edges = np.stack([np.arange(6) * 125, np.arange(1, 7) * 125], axis=1)
    found = conclude(Evidence((1, 4), edges, np.stack([first, second])))
    assert found.whole.offset_ms == pytest.approx(200, abs=25)
    assert [person.number for person in found.people] == [1, 4]
    assert found.people[0].offset.confidence > 0.9 > found.people[1].offset.confidence
    assert [(w.start_s, w.end_s) for w in found.windows][:2] == [(0, 5), (5, 10)]
    assert found.drift is None
    assert found.out_of_step
    assert "ms late" in found.describe()


def test_a_drifting_recording_is_judged_in_its_middle() -> None:
    delays = np.linspace(-40, 20, 12)
    edges = np.stack([np.arange(12) * 125, np.arange(1, 13) * 125], axis=1)
    found = conclude(Evidence((1,), edges, windows(delays, 12.0)[None]))
    assert found.drift is not None
    assert found.whole.offset_ms == pytest.approx(-100, abs=30)
    assert found.drift.begin_ms == pytest.approx(-430, abs=60)
    assert found.drift.end_ms == pytest.approx(230, abs=60)
    times = np.array([0.0, 60.0])
    ends = [found.drift.begin_ms / 1000, found.drift.end_ms / 1000]
    np.testing.assert_allclose(found.late_s(times), ends)
    assert "drifts" in found.describe()


def test_without_windows_nothing_is_known() -> None:
    nothing = Evidence((1,), np.zeros((0, 2), np.int64), np.zeros((1, 0, len(AT))))
    found = conclude(nothing)
    assert found.whole == Offset(None, 0.0)
    assert not found.probable
    assert found.as_json()["offset_ms"] is None


@pytest.mark.parametrize(
    ("offset_ms", "confidence", "out_of_step"),
    [(200, 0.95, True), (200, 0.8, False), (-30, 0.99, False), (None, 0.0, False)],
)
def test_only_what_is_certain_and_large_is_out_of_step(
    offset_ms: float | None, confidence: float, out_of_step: bool
) -> None:
    assert Sync(Offset(offset_ms, confidence), (), ()).out_of_step is out_of_step


def lips(frames: int, first: int = 0) -> LipSequence:
    points = np.random.default_rng(0).normal(size=(frames, POINTS, 3)).astype(np.float32)
    return LipSequence(first, points, np.ones((frames, POINTS), np.float32))


def test_lips_are_moved_to_their_sound_and_gaps_with_them() -> None:
    one = lips(50, first=3)
    one.confidence[20:22] = 0
    one.points[20:22] = 0
    moved = Sync(Offset(-80.0, 1.0), (), ()).moved(one)
    assert moved.first == 1
    np.testing.assert_allclose(moved.points, one.points, atol=1e-5)
    np.testing.assert_array_equal(moved.seen, one.seen)


def test_lips_that_drift_are_stretched() -> None:
    sync = Sync(Offset(0.0, 1.0), (), (), Drift(60.0, 0.0, 0.0, middle_s=0.0))
    moved = sync.moved(lips(25 * 120))
    assert len(moved.points) == pytest.approx(25 * 120 * 1.001, abs=1)
    assert moved.seen.all()


def test_sliding_adds_up_what_has_sound() -> None:
    voice = np.zeros((1, 12), np.float32)
    voice[0, 7] = 2.0
    seen = np.array([True, True, False])
    totals, counts = slide(np.ones((1, 3), np.float32), voice, seen, [-5, 3, 7], step=4)
    assert totals.tolist() == [0, 2, 2]  # instant 4 + 3, then 0 + 7; frame 2 is not seen
    assert counts.tolist() == [0, 2, 2]
