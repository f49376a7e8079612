"""Estimate the A/V offset of each clip from its agreement curve.

A clip's curve (see `avse.prepare.sync`), divided by a temperature, is the log-likelihood of delays.
Clips of one recording mostly have the same delay. So each recording has a prior, which is estimated
from its clips by expectation maximisation, and to which the prior of all clips is added with a
small weight. If the clips of a recording agree, their prior decides for uncertain clips; if not,
each clip is estimated almost independently.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

TEMPERATURE = 1.5
"""Nats of evidence per nat of log-likelihood, because neighbouring frames are not independent."""

BORROWED = 2.0
"""Weight of the prior of all clips in the prior of a recording, in clips."""

_ROUNDS = 50

Array = npt.NDArray[np.float64]


def estimate(
    curves: Array, groups: Sequence[str | None], *, temperature: float = TEMPERATURE
) -> tuple[npt.NDArray[np.int64], Array]:
    """Estimate the delays of the sound, in video frames.

    Args:
        curves: (clips, 2 · reach + 1) evidence for delays -reach to reach.
        groups: label of each clip's recording; None if unknown.
        temperature: see `TEMPERATURE`.

    Returns:
        delays: (clips,), the most probable.
        confidence: (clips,) 0..1, the probability that the delay is right to within a frame.
    """
    clips, width = curves.shape
    if not clips:
        return np.zeros(0, np.int64), np.zeros(0)
    evidence = curves / temperature
    likelihood = np.exp(evidence - evidence.max(axis=1, keepdims=True))
    names = [f"\0{n}" if group is None else group for n, group in enumerate(groups)]
    _, index = np.unique(np.array(names), return_inverse=True)
    count = int(index.max()) + 1
    size = np.bincount(index, minlength=count)[:, None]
    prior = np.full((count, width), 1 / width)
    posterior = _normalised(likelihood)
    for _ in range(_ROUNDS):
        everybody = (1 / width + posterior.mean(axis=0)) / 2
        total = np.zeros((count, width))
        np.add.at(total, index, posterior)
        prior = (BORROWED * everybody + total) / (BORROWED + size)
        posterior = _normalised(likelihood * prior[index])
    best = posterior.argmax(axis=1)
    near = np.abs(np.arange(width)[None] - best[:, None]) <= 1
    return best - width // 2, (posterior * near).sum(axis=1)


def _normalised(weights: Array) -> Array:
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float64)
