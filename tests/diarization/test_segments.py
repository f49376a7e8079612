"""When speech begins and ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avse.diarization.segments import Hysteresis, Segment, flags_of, runs, segments, speech_in
from avse.errors import UsageError

RULE = Hysteresis(on=0.6, off=0.4, shortest_speech_s=0.12, shortest_pause_s=0.12)


def flags(text: str) -> list[bool]:
    return [letter == "#" for letter in text]


def spoken(probability: list[float], rule: Hysteresis = RULE) -> str:
    found = rule.flags(np.asarray(probability, np.float32))
    return "".join("#" if here else "." for here in found)


def test_a_segment_is_carried_on_between_the_thresholds_to_both_sides() -> None:
    assert spoken([0.1, 0.5, 0.7, 0.5, 0.5, 0.1]) == ".####."


def test_what_never_reaches_the_upper_threshold_is_no_speech() -> None:
    assert spoken([0.1, 0.5, 0.59, 0.5, 0.5, 0.1]) == "......"


def test_short_pauses_are_filled_and_long_ones_kept() -> None:
    assert spoken([0.9] * 4 + [0.0] * 2 + [0.9] * 4 + [0.0] * 3 + [0.9] * 4) == "##########...####"


def test_short_speech_is_left_out_unless_a_filled_pause_made_it_long() -> None:
    assert spoken([0, 0.9, 0.9, 0, 0, 0, 0]) == "......."
    assert spoken([0, 0.9, 0, 0.9, 0, 0, 0]) == ".###..."


def test_unknown_is_not_speech() -> None:
    assert spoken([0.9] * 3 + [np.nan] * 4 + [0.9] * 3) == "###....###"


@given(st.lists(st.floats(0, 1, width=32), max_size=80))
def test_nothing_is_shorter_than_allowed(probability: list[float]) -> None:
    found = RULE.flags(np.asarray(probability, np.float32))
    assert all(b - a >= 3 for a, b in runs(found))
    inner = runs(~found)
    assert all(b - a >= 3 for a, b in inner if a > 0 and b < len(found))


@pytest.mark.parametrize("rule", [(0.4, 0.6), (0.5, 0.0), (1.5, 0.5)])
def test_thresholds_that_make_no_sense(rule: tuple[float, float]) -> None:
    with pytest.raises(UsageError):
        Hysteresis(*rule)


def test_frames_become_seconds_and_frames_again() -> None:
    here = np.array(flags("..###.#"))
    assert segments(here, 1.0) == [Segment(1.08, 1.2), Segment(1.24, 1.28)]
    assert flags_of(segments(here), 7).tolist() == here.tolist()


def test_a_clean_voice_speaks_where_it_is_within_30_db_of_its_loudest() -> None:
    rate = 16_000
    voice = np.zeros(2 * rate, np.float32)
    voice[rate // 2 : rate] = 0.5
    voice[rate:] = 0.5 * 10 ** (-35 / 20)
    found = speech_in(voice, rate)
    assert [(s.start, s.stop) for s in found] == [pytest.approx((0.48, 1.0))]
    assert speech_in(np.zeros(rate, np.float32), rate) == []
