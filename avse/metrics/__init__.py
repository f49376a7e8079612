"""Metrics of an estimate: each returns a `Score`, a number or the reason why it is undefined.

This package imports nothing of avse but `avse.errors` and `avse.media` (to resample). The packages
that only metrics need are imported by the functions that use them; `pesq` may be missing.
"""

from __future__ import annotations

from avse.metrics.alignment import Lag, find_lag
from avse.metrics.audiovisual import face_contrast, silent_level, wrong_speaker
from avse.metrics.battery import METRICS, Metric, measure, score_all
from avse.metrics.distortion import difference, improvement, sdr_score, si_sdr_score
from avse.metrics.perceptual import pesq_score, stoi_score
from avse.metrics.score import Score, not_defined
from avse.metrics.si_sdr import si_sdr

__all__ = [
    "METRICS",
    "Lag",
    "Metric",
    "Score",
    "difference",
    "face_contrast",
    "find_lag",
    "improvement",
    "measure",
    "not_defined",
    "pesq_score",
    "score_all",
    "sdr_score",
    "si_sdr",
    "si_sdr_score",
    "silent_level",
    "stoi_score",
    "wrong_speaker",
]
