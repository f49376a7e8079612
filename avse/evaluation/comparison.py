"""Paired comparison of two evaluations of the same items, with confidence intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from avse.errors import InputError
from avse.evaluation.results import scores_of
from avse.evaluation.statistics import interval


def compare(this: Mapping[str, Any], other: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Paired differences, this minus other, over the items that are scored in both.

    Args:
        this: results as `avse.evaluation.results.build` gives them.
        other: the same.
        name: name of the other, for the reader.

    Returns:
        "with", "same_manifest" (None where there are none), "metrics": metric -> paired items,
        items scored in only one of them, mean of both, mean and median difference, and the 95 %
        bootstrap interval of the mean difference.

    Raises:
        InputError: they have no item in common.
    """
    mixtures = {item["name"]: item["mixture"] for item in this["items"]}
    found: dict[str, Any] = {}
    for metric in this["metrics"]:
        if metric not in other["metrics"]:
            continue
        mine, theirs = scores_of(this, metric), scores_of(other, metric)
        triples = []
        only_this = only_other = 0
        for item in sorted(set(mine) & set(theirs)):
            a, b = mine[item].value, theirs[item].value
            if a is not None and b is not None:
                triples.append((item, a, b))
            only_this += a is not None and b is None
            only_other += a is None and b is not None
        differences = np.array([a - b for _, a, b in triples])
        low, high = interval(differences, [mixtures[item] for item, _, _ in triples])
        found[metric] = {
            "paired": len(triples),
            "only_this_scored": only_this,
            "only_other_scored": only_other,
            "this_mean": _mean([a for _, a, _ in triples]),
            "other_mean": _mean([b for _, _, b in triples]),
            "mean_difference": _mean(list(differences)),
            "median_difference": float(np.median(differences)) if triples else None,
            "low": low,
            "high": high,
        }
    if not {i["name"] for i in other["items"]} & set(mixtures):
        raise InputError(
            f"{name} has no item in common with this evaluation",
            "compare evaluations of the same test set",
        )
    hashes = [(results["manifest"] or {}).get("sha256") for results in (this, other)]
    return {
        "with": name,
        "same_manifest": None if None in hashes else hashes[0] == hashes[1],
        "metrics": found,
    }


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None
