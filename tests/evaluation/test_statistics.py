from __future__ import annotations

import numpy as np
import pytest

from avse.evaluation.statistics import interval, summarise
from avse.metrics import Score, not_defined


def test_undefined_scores_are_counted_and_never_averaged() -> None:
    scores = [Score(1.0), not_defined("a"), Score(3.0), not_defined("b"), not_defined("a")]
    found = summarise(scores, list("abcde"))
    assert (found.scored, found.undefined) == (2, 3)
    assert (found.mean, found.median) == (2.0, 2.0)
    assert found.reasons == {"not defined, because a": 2, "not defined, because b": 1}
    nothing = summarise([not_defined("a")], ["a"])
    assert (nothing.mean, nothing.median, nothing.low, nothing.high) == (None,) * 4
    assert summarise([], []).scored == 0


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for trial in range(100):
        values = rng.normal(3, 2, 60)
        low, high = interval(values, [str(n) for n in range(60)], seed=trial)
        assert low is not None
        assert high is not None
        inside += low <= 3 <= high
    assert 85 <= inside <= 100


def test_items_of_one_mixture_count_together() -> None:
    values = np.repeat(np.random.default_rng(0).normal(0, 1, 20), 10)
    alone = interval(values, [str(n) for n in range(200)])
    together = interval(values, [str(n // 10) for n in range(200)])
    assert alone[1] is not None
    assert together[1] is not None
    assert alone[0] is not None
    assert together[0] is not None
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])


def test_intervals_repeat() -> None:
    values, groups = np.random.default_rng(0).normal(size=10), list("aabbccddee")
    assert interval(values, groups, seed=4) == interval(values, groups, seed=4)
    assert interval(values, groups, seed=4) != interval(values, groups, seed=5)
    assert interval(values[:2], ["a", "a"]) == (None, None)
    low, high = interval(np.full(5, 2.5), list("abcde"))
    assert (low, high) == pytest.approx((2.5, 2.5))
