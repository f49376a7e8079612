from __future__ import annotations

import numpy as np
import pytest

from avse.evaluation.ceilings import CEILINGS, oracles
from avse.metrics import si_sdr_score

from ..metrics.voices import voice


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_each_oracle_knows_more_than_the_last(rate: int) -> None:
    own, other = (voice(seed, 1.0, rate).astype(np.float32) for seed in (1, 2))
    found = oracles(own + other, own, rate)
    assert list(found) == list(CEILINGS)
    scores = [si_sdr_score(own + other, own).value]
    for estimate in found.values():
        assert estimate.shape == own.shape
        scores.append(si_sdr_score(estimate, own).value)
    assert None not in scores
    assert scores == sorted(scores, key=float)  # type: ignore[arg-type]


def test_nothing_to_separate() -> None:
    own = voice(1, 0.5).astype(np.float32)
    for estimate in oracles(own, own, 16_000).values():
        np.testing.assert_allclose(estimate, own, atol=1e-5)
    silence = np.zeros(8000, np.float32)
    for estimate in oracles(silence, silence, 16_000).values():
        assert not estimate.any()
