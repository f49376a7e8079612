"""Visibility weight: how long a mask is estimated after the lips go off-screen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from avse.dsp.stft import VIDEO_RATE

HOLD_S, FADE_S = 0.4, 0.4
"""The network bridges up to `HOLD_S` seconds without lips; over the next `FADE_S` the weight falls
to 0. Later the mask would be that of a face without any lips, which holds parts of every voice, and
would take them from the visible speakers."""

REACH = math.ceil((HOLD_S + FADE_S) * VIDEO_RATE)
"""Number of video frames to each side that the weight depends on."""


def presence(seen: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Visibility weight: 1 up to `HOLD_S` from a frame with lips, 0 from `FADE_S` later.

    Args:
        seen: (..., video frames), where the lips are visible; outside of the range they are not.

    Returns:
        (..., video frames), 0..1.
    """
    there, place = seen > 0, np.arange(seen.shape[-1], dtype=np.float64)
    before = np.maximum.accumulate(np.where(there, place, -np.inf), axis=-1)
    after = np.minimum.accumulate(np.where(there, place, np.inf)[..., ::-1], axis=-1)[..., ::-1]
    past_s = np.minimum(place - before, after - place) / VIDEO_RATE - HOLD_S
    return np.asarray(np.clip(1 - past_s / FADE_S, 0, 1), np.float32)
