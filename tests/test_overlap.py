"""Whatever the length and the cutting, windows put together give back what went in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avse.dsp.overlap_add import OverlapAdder, StreamingISTFT, StreamingSTFT, WindowPlan, crossfade
from avse.dsp.stft import HOP, WINDOW, stft

LENGTHS = (0, 1, 2, HOP - 1, HOP, HOP + 1, WINDOW - 1, WINDOW, WINDOW + 1, 997, 7919, 16_000)


@pytest.mark.parametrize("total", LENGTHS)
@pytest.mark.parametrize(("length", "step"), [(640, 640), (640, 320), (640, 1), (641, 213)])
def test_every_position_is_covered_and_the_last_window_is_full(
    total: int, length: int, step: int
) -> None:
    covered = np.zeros(total, int)
    spans = list(WindowPlan(length, step).spans(total))
    for start, stop in spans:
        assert stop - start == min(length, total)
        covered[start:stop] += 1
    assert (covered > 0).all()
    assert spans == sorted(set(spans))


@given(
    total=st.integers(0, 400),
    length=st.integers(1, 90),
    share=st.floats(0, 0.95),
    seed=st.integers(),
)
@settings(max_examples=60, deadline=None)
def test_overlap_add_of_what_was_cut_is_what_was_there(
    total: int, length: int, share: float, seed: int
) -> None:
    step = max(1, round(length * (1 - share)))
    signal = np.random.default_rng(abs(seed)).standard_normal((2, total)).astype(np.float32)
    adder, given_out = OverlapAdder(), [np.zeros((2, 0), np.float32)]
    for start, stop in WindowPlan(length, step).spans(total):
        ready = adder.take(start)
        if ready is not None:
            given_out.append(ready)
        adder.add(start, signal[:, start:stop], crossfade(stop - start, step if step < stop else 1))
    rest = adder.take(total)
    if rest is not None:
        given_out.append(rest)
    np.testing.assert_allclose(np.concatenate(given_out, axis=-1), signal, atol=1e-6)


def test_a_weight_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        OverlapAdder().add(0, np.ones((1, 4), np.float32), np.zeros(4, np.float32))


@pytest.mark.parametrize("total", LENGTHS)
@pytest.mark.parametrize("hop", [HOP, 441, 80])
def test_streaming_transform_equals_the_whole_one_and_inverts(total: int, hop: int) -> None:
    window = 4 * hop
    rng = np.random.default_rng(total + hop)
    signal = rng.standard_normal((2, total)).astype(np.float32)
    forward, back = StreamingSTFT(2, window, hop), StreamingISTFT(2, window, hop)
    spectra, samples, at = [], [], 0
    while at < total:
        n = int(rng.integers(1, 3000))
        spectra.append(forward.push(signal[:, at : at + n]))
        samples.append(back.push(spectra[-1]))
        at += n
    spectra.append(forward.finish())
    samples.append(back.push(spectra[-1]))
    samples.append(back.finish(total))
    if total:
        whole = stft(torch.from_numpy(signal), window=window, hop=hop).numpy()
        np.testing.assert_allclose(np.concatenate(spectra, axis=-1), whole, atol=2e-5)
    np.testing.assert_allclose(np.concatenate(samples, axis=-1), signal, atol=2e-6)
