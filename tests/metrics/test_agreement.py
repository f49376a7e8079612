"""Our scores against the packages called directly, to 1e-6."""

from __future__ import annotations

import fast_bss_eval
import numpy as np
import pesq
import pystoi
import pytest
import torch

from avse.media import resample
from avse.metrics import (
    METRICS,
    measure,
    pesq_score,
    score_all,
    sdr_score,
    si_sdr_score,
    stoi_score,
)

from .voices import FloatArray, voice

PAIRS = 120
CLOSE = {"rel": 0, "abs": 1e-6}


def pair(seed: int) -> tuple[FloatArray, FloatArray]:
    """An estimate and a reference: bad, good, late, clipped, turned over, offset, soft, loud."""
    rng = np.random.default_rng(seed)
    reference = voice(seed, rng.uniform(0.7, 1.1))
    other = voice(seed + 1000, 1.2)[: reference.size]
    estimate = rng.uniform(0.1, 2) * reference + 10 ** rng.uniform(-2, 0.3) * other
    kind = seed % 8
    if kind == 1:
        estimate = np.roll(estimate, int(rng.integers(1, 40)))
    elif kind == 2:
        estimate = np.clip(estimate, -0.05, 0.05)
    elif kind == 3:
        estimate = -estimate
    elif kind == 4:
        estimate = estimate + 0.1
    elif kind == 5:
        estimate = 1e-4 * estimate
    elif kind == 6:
        estimate = 50 * estimate
    elif kind == 7:
        estimate = other  # nothing but somebody else
    return estimate, reference


@pytest.fixture(scope="module")
def pairs() -> list[tuple[FloatArray, FloatArray]]:
    return [pair(seed) for seed in range(PAIRS)]


def test_si_sdr(pairs: list[tuple[FloatArray, FloatArray]]) -> None:
    for estimate, reference in pairs:
        (expected,) = fast_bss_eval.si_sdr(reference[None], estimate[None], zero_mean=True)
        assert si_sdr_score(estimate, reference).value == pytest.approx(expected, **CLOSE)


def test_sdr(pairs: list[tuple[FloatArray, FloatArray]]) -> None:
    for estimate, reference in pairs:
        both = torch.tensor(reference[None]), torch.tensor(estimate[None])
        expected = float(fast_bss_eval.sdr(*both))
        assert sdr_score(estimate, reference).value == pytest.approx(expected, **CLOSE)


def test_stoi(pairs: list[tuple[FloatArray, FloatArray]]) -> None:
    scored = 0
    for estimate, reference in pairs:
        for extended in (False, True):
            score = stoi_score(estimate, reference, 16_000, extended=extended)
            if score.value is None:
                continue
            expected = pystoi.stoi(reference, estimate, 16_000, extended=extended)
            assert score.value == pytest.approx(expected, **CLOSE)
            scored += 1
    assert scored > 200


def test_pesq(pairs: list[tuple[FloatArray, FloatArray]]) -> None:
    for estimate, reference in pairs:
        wide = pesq.pesq(16_000, reference, estimate, "wb")
        assert pesq_score(estimate, reference, 16_000, "wb").value == pytest.approx(wide, **CLOSE)


def test_pesq_narrow(pairs: list[tuple[FloatArray, FloatArray]]) -> None:
    for estimate, reference in pairs[:40]:
        low_estimate, low_reference = (
            estimate[: reference.size // 2],
            reference[: reference.size // 2],
        )
        if low_reference.size < 2000:
            continue
        expected = pesq.pesq(8000, low_reference, low_estimate, "nb")
        score = pesq_score(low_estimate, low_reference, 8000, "nb")
        assert score.value == pytest.approx(expected, **CLOSE)


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
def test_other_rates_are_resampled_for_pesq_only(rate: int) -> None:
    reference = voice(1, 1.0, rate)
    estimate = reference + 0.3 * voice(2, 1.0, rate)
    for band, needed in (("wb", 16_000), ("nb", 8_000)):
        both = np.stack([reference, estimate]).astype(np.float32)
        low = resample(both, rate, needed).astype(np.float64)
        expected = pesq.pesq(needed, low[0], low[1], band)
        score = pesq_score(estimate, reference, rate, band)  # type: ignore[arg-type]
        assert score.value == pytest.approx(expected, **CLOSE)
    expected = pystoi.stoi(reference, estimate, rate)
    assert stoi_score(estimate, reference, rate).value == pytest.approx(expected, **CLOSE)


def test_the_battery_gives_the_same() -> None:
    reference, other = voice(1, 1.0), voice(2, 1.0)
    estimate, mixture = reference + 0.2 * other, reference + other
    scores = score_all(
        tuple(METRICS),
        estimate.astype(np.float32),
        reference.astype(np.float32),
        16_000,
        mixture=mixture.astype(np.float32),
        others=[other.astype(np.float32)],
    )
    assert tuple(scores) == tuple(METRICS)
    for name in ("si-sdr", "sdr", "pesq-wb", "pesq-nb", "stoi", "estoi"):
        expected = measure(name, estimate, reference, 16_000).value
        assert scores[name].value == pytest.approx(expected, abs=1e-3)
    before = si_sdr_score(mixture, reference).value
    after = si_sdr_score(estimate, reference).value
    assert before is not None
    assert after is not None
    assert scores["si-sdri"].value == pytest.approx(after - before, abs=1e-3)
    assert scores["wrong-speaker"].value == 0
