"""Summary statistics of scores; undefined scores are counted, never averaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avse.metrics import Score
from avse.utils.sharing import without_folders

RESAMPLES = 10_000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Summary:
    """The scores of many items by one metric.

    Attributes:
        scored: number of defined scores.
        undefined: number of undefined scores.
        median, mean: of the defined scores; None without any.
        low, high: bounds of the 95 % interval of the mean; None with fewer than two groups.
        reasons: reason -> count, for undefined scores; files by their names.
    """

    scored: int
    undefined: int
    median: float | None
    mean: float | None
    low: float | None
    high: float | None
    reasons: Mapping[str, int]


def summarise(scores: Sequence[Score], groups: Sequence[str], *, seed: int = 0) -> Summary:
    """Summarise the scores of one metric.

    Args:
        scores: one for each item.
        groups: the mixture of each item; items of one mixture are drawn together.
        seed: of the bootstrap.
    """
    pairs = zip(scores, groups, strict=True)
    defined = [(s.value, group) for s, group in pairs if s.value is not None]
    reasons = Counter(without_folders(s.reason) for s in scores if s.reason is not None)
    values = np.array([value for value, _ in defined])
    low, high = interval(values, [group for _, group in defined], seed=seed)
    return Summary(
        scored=len(defined),
        undefined=len(scores) - len(defined),
        median=float(np.median(values)) if defined else None,
        mean=float(values.mean()) if defined else None,
        low=low,
        high=high,
        reasons=dict(reasons.most_common()),
    )


def interval(
    values: npt.NDArray[np.float64], groups: Sequence[str], *, seed: int = 0
) -> tuple[float | None, float | None]:
    """95 % bootstrap interval of the mean (percentiles of 10,000 resamples; Efron 1979).

    The bootstrap draws groups, not items, because the voices of one mixture are not independent.

    Args:
        values: (items,).
        groups: of each item.
        seed: of the resamples; equal seeds give equal intervals.
    """
    names, index = np.unique(np.array(groups, dtype=str), return_inverse=True)
    if len(names) < 2:
        return None, None
    sums = np.bincount(index, weights=values, minlength=len(names))
    counts = np.bincount(index, minlength=len(names)).astype(np.float64)
    rng = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    for start in range(0, RESAMPLES, 500):  # 500 at a time: memory does not grow with resamples
        drawn = rng.integers(len(names), size=(500, len(names)))
        means[start : start + 500] = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    edge = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [edge, 1 - edge])
    return float(low), float(high)
