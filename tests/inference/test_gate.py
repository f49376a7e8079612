"""The gate closes on silence alone, slowly, smoothly, and however the masks come."""

from __future__ import annotations

import numpy as np
import pytest

from avse.dsp.stft import HOPS_PER_VIDEO_FRAME
from avse.inference.activity_features import COUNT, HEAD, LEVEL, SEEN
from avse.inference.gate import GateRule, gains, gated
from avse.inference.mask_estimator import MaskBlock

RULE = GateRule(threshold=0.5, lead_s=0.08, hang_s=0.16, edge_s=0.05)
HOPS = HOPS_PER_VIDEO_FRAME


def cues(speaks: list[bool | None]) -> np.ndarray:
    """(1, cues, frames); None where the face is out of sight."""
    out = np.zeros((1, COUNT, len(speaks)), np.float32)
    for k, here in enumerate(speaks):
        out[0, SEEN, k] = here is not None
        out[0, HEAD, k], out[0, LEVEL, k] = (20, 0) if here else (-20, -60)
    return out


def blocks(told: np.ndarray, sizes: list[int], frames: int) -> list[MaskBlock]:
    """Masks of ones for `frames` mask frames, in blocks of so many video frames."""
    out, at = [], 0
    for size in sizes:
        stop = min(frames, (at + size) * HOPS)
        ones = np.ones((told.shape[0], 3, stop - at * HOPS), np.complex64)
        out.append(MaskBlock(at * HOPS, ones, told[..., at : at + size]))
        at += size
    return out


def probabilities(text: str) -> np.ndarray:
    return np.array([[{"#": 1.0, ".": 0.0, "?": np.nan}[c] for c in text]], np.float32)


def test_open_from_before_the_onset_to_after_the_tail_with_smooth_edges_outside() -> None:
    gain = gains(probabilities("." * 10 + "###" + "." * 10), 0, 23 * HOPS, RULE)[0]
    first, stop = (10 - 2) * HOPS, (13 + 4) * HOPS
    assert (gain[first:stop] == 1).all()
    assert (gain[: first - 5] == 0).all()
    assert (gain[stop + 4 :] == 0).all()
    rising, falling = gain[first - 5 : first], gain[stop : stop + 5]
    assert (np.diff(rising) > 0).all()
    assert (np.diff(falling) < 0).all()
    assert np.abs(np.diff(gain)).max() < 0.4


def test_who_is_out_of_sight_is_left_alone() -> None:
    assert (gains(probabilities("?" * 9), 0, 36, RULE) == 1).all()


def test_who_never_speaks_is_silent() -> None:
    assert (gains(probabilities("." * 9), 0, 36, RULE) == 0).all()


@pytest.mark.parametrize("sizes", [[60], [1] * 60, [7, 20, 3, 30], [50, 10]])
def test_the_same_however_the_masks_come(sizes: list[int]) -> None:
    rng = np.random.default_rng(0)
    speaks = np.repeat(rng.random(12) < 0.4, 5)
    told = cues(speaks.tolist())
    frames = 60 * HOPS - 3
    out = list(gated(blocks(told, sizes, frames), RULE))
    assert [b.first for b in out] == [HOPS * int(n) for n in np.cumsum([0, *sizes[:-1]])]
    masks = np.concatenate([b.masks for b in out], axis=-1)
    assert masks.shape[-1] == frames
    expected = gains(speaks[None].astype(np.float32), 0, frames, RULE)
    np.testing.assert_allclose(masks[:, 0].real, expected, atol=1e-6)


def test_blocks_come_out_before_the_end() -> None:
    """Memory must not grow with the recording."""
    given = 0

    def counted() -> object:
        nonlocal given
        for block in blocks(cues([True] * 200), [10] * 20, 800):
            given += 1
            yield block

    stream = gated(counted(), RULE)  # type: ignore[arg-type]
    next(stream)
    assert given <= 3
