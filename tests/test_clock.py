"""Times are read and written in one way."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avse.errors import UsageError
from avse.utils.clock import clock, read_clock


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        (90, 90),
        (0.1, Fraction(1, 10)),
        ("12.5s", Fraction(25, 2)),
        ("1:30", 90),
        (" 0:12.5 ", Fraction(25, 2)),
        ("75:00", 4500),
        ("1:02:03.5", Fraction(7447, 2)),
        ("-0:05", -5),
        (Fraction(1, 3), Fraction(1, 3)),
    ],
)
def test_times_are_read(text: float | str | Fraction, seconds: Fraction) -> None:
    assert read_clock(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "x", "1:", ":30", "1:60", "1:60:00", "1:2:3:4", "1,5", "1e3", "٣", "nan", "9" * 99]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a time") as caught:
        read_clock(text)
    assert "1:02:03.5" in caught.value.hint


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e300])
def test_numbers_that_are_no_times(number: float) -> None:
    with pytest.raises(UsageError):
        read_clock(number)


def test_times_are_written() -> None:
    assert [clock(s) for s in (0, 7.41, 59.96, 123.4, 3723.44)] == [
        *("0:00.0", "0:07.4", "1:00.0", "2:03.4", "1:02:03.4")
    ]
    assert clock(90, 0, hours=True) == "0:01:30"
    assert [clock(s, None) for s in (90, 6.4, 0.125, -1)] == ["1:30", "0:06.4", "0:00.125", "-0:01"]
    assert clock(1.5, 3, point=",") == "0:01,500"


@given(st.fractions(0, 10**6).map(lambda s: Fraction(round(s * 1000), 1000)))
def test_what_is_written_is_read(seconds: Fraction) -> None:
    assert read_clock(clock(seconds, None)) == seconds
