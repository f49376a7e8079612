"""Where packages answer with codes, our answer is a reason."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import numpy as np
import pesq
import pystoi
import pytest

from avse.errors import MissingExtraError
from avse.metrics import (
    Score,
    difference,
    pesq_score,
    sdr_score,
    si_sdr_score,
    stoi_score,
)

from .voices import FloatArray, voice

Metric = Callable[[FloatArray, FloatArray], Score]
ALL: dict[str, Metric] = {
    "si-sdr": si_sdr_score,
    "sdr": sdr_score,
    "pesq-wb": lambda e, r: pesq_score(e, r, 16_000),
    "pesq-nb": lambda e, r: pesq_score(e, r, 16_000, "nb"),
    "stoi": lambda e, r: stoi_score(e, r, 16_000),
    "estoi": lambda e, r: stoi_score(e, r, 16_000, extended=True),
}
VOICE = voice(3, 1.0)
NOISY = VOICE + 0.1 * voice(4, 1.0)


def refused(score: Score, why: str) -> None:
    assert score.value is None
    assert score.reason is not None
    assert score.reason.startswith("not defined, because ")
    assert why in score.reason


@pytest.mark.parametrize("metric", ALL.values(), ids=ALL)
def test_what_no_metric_can_measure(metric: Metric) -> None:
    assert metric(NOISY, VOICE).value is not None
    refused(metric(np.zeros(16_000), VOICE), "the estimate is silent")
    refused(metric(NOISY, np.zeros(16_000)), "the reference is silent")
    refused(metric(NOISY, np.full(16_000, 0.5)), "the reference is silent")
    refused(metric(1e-8 * NOISY, VOICE), "the estimate is silent")
    refused(metric(np.zeros(0), np.zeros(0)), "empty")
    refused(metric(NOISY[:-1], VOICE), "the lengths differ: 15999 samples")
    refused(metric(np.where(np.arange(16_000) == 7, np.nan, NOISY), VOICE), "not finite")
    with pytest.raises(ValueError, match="one channel"):
        metric(np.stack([NOISY, NOISY]), VOICE)


def test_perfect_and_hopeless_ratios() -> None:
    refused(si_sdr_score(VOICE, VOICE), "no upper bound")
    tone = np.tile([1.0, -1.0], 500)
    refused(si_sdr_score(np.tile([1.0, 1.0, -1.0, -1.0], 250), tone), "no lower bound")
    refused(sdr_score(np.pad([1.0], (0, 999)), np.pad([1.0], (0, 999))), "no upper bound")


def test_too_short() -> None:
    refused(sdr_score(NOISY[:512], VOICE[:512]), "512 samples are too short")
    refused(pesq_score(NOISY[:3999], VOICE[:3999], 16_000), "too short")
    refused(pesq_score(NOISY[:1], VOICE[:1] + 1, 16_000), "silent")
    for length in (2, 200, 255, 256, 300, 2000, 6000):
        refused(stoi_score(NOISY[:length], VOICE[:length], 16_000), "too short")


def test_too_few_frequencies_for_a_filter() -> None:
    score = sdr_score(NOISY, np.cos(np.pi * np.arange(16_000)))
    assert score.value is None or math.isfinite(score.value)


def test_wrong_rate() -> None:
    refused(pesq_score(NOISY, VOICE, 8_000, "wb"), "8000 Hz is the wrong rate")
    refused(pesq_score(NOISY, VOICE, 7_999, "nb"), "wrong rate")
    refused(stoi_score(NOISY, VOICE, 8_000), "wrong rate")


@pytest.mark.parametrize("code", [-1, -6, -7, 0.0, math.nan])
def test_codes_of_pesq(code: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pesq, "pesq", lambda *a, **k: code)
    refused(pesq_score(NOISY, VOICE, 16_000), "")


def test_pesq_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **more: object) -> float:
        raise ValueError("cannot convert float NaN to integer")

    monkeypatch.setattr(pesq, "pesq", fail)
    refused(pesq_score(NOISY, VOICE, 16_000), "NaN")


@pytest.mark.parametrize("code", [1e-5, 0.0, math.nan])
def test_sentinels_of_stoi(code: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pystoi, "stoi", lambda *a, **k: code)
    refused(stoi_score(NOISY, VOICE, 16_000), "pystoi")


def test_improvement_needs_both() -> None:
    silent = si_sdr_score(np.zeros(16_000), VOICE)
    assert difference(Score(5.0), Score(2.0)) == Score(3.0)
    refused(difference(silent, Score(2.0)), "the estimate is silent")
    refused(difference(Score(5.0), silent), "(of the mixture)")


@pytest.mark.parametrize(("value", "reason"), [(None, None), (1.0, "x"), (math.inf, None)])
def test_a_score_is_a_number_or_a_reason(value: float | None, reason: str | None) -> None:
    with pytest.raises(ValueError, match="score"):
        Score(value, reason)


def test_pesq_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pesq", None)
    for metric in ("pesq-wb", "pesq-nb"):
        refused(ALL[metric](NOISY, VOICE), "'pesq' is not installed (pip install \"avse[metrics]\"")


@pytest.mark.parametrize(("package", "metric"), [("pystoi", "stoi"), ("pystoi", "estoi")])
def test_missing_packages(package: str, metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {package, *(n for n in sys.modules if n.partition(".")[0] == package)}:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError) as caught:
        ALL[metric](NOISY, VOICE)
    assert package in caught.value.message
    assert caught.value.hint == 'pip install "avse[metrics]"'
