"""Metrics by name, and all scores of one item at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy.typing as npt

from avse.metrics.audiovisual import silent_level, wrong_speaker
from avse.metrics.distortion import difference, sdr_score, si_sdr_score
from avse.metrics.perceptual import pesq_score, stoi_score
from avse.metrics.score import Score, not_defined
from avse.types import FloatArray


@dataclass(frozen=True)
class Metric:
    """Description of a metric for reports.

    Attributes:
        name: in options, tables and JSON.
        title: in full, with the variant.
        unit: "" for a plain number.
        better: "higher" or "lower".
        of: the metric that this is the improvement of over the mixture, if it is one.
    """

    name: str
    title: str
    unit: str
    better: str
    of: str | None = None


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("si-sdr", "SI-SDR", "dB", "higher"),
        Metric("si-sdri", "SI-SDR improvement over the mixture", "dB", "higher", "si-sdr"),
        Metric("sdr", "SDR (BSS-Eval, 512 taps)", "dB", "higher"),
        Metric("sdri", "SDR improvement over the mixture", "dB", "higher", "sdr"),
        Metric("pesq-wb", "PESQ wide band (P.862.2, 16 kHz)", "MOS-LQO", "higher"),
        Metric("pesq-nb", "PESQ narrow band (P.862.1, 8 kHz)", "MOS-LQO", "higher"),
        Metric("stoi", "STOI", "", "higher"),
        Metric("estoi", "ESTOI", "", "higher"),
        Metric("wrong-speaker", "Wrong speaker (closer to another)", "share", "lower"),
        Metric("silent-level", "Output while only others speak", "dB re mixture", "lower"),
    )
}
AGAINST_REFERENCE = ("si-sdr", "sdr", "pesq-wb", "pesq-nb", "stoi", "estoi")
NEED_MIXTURE = ("si-sdri", "sdri", "silent-level")


def measure(name: str, estimate: npt.ArrayLike, reference: npt.ArrayLike, rate_hz: int) -> Score:
    """One of `AGAINST_REFERENCE`.

    Args:
        name: of the metric.
        estimate: (samples,).
        reference: (samples,).
        rate_hz: of both.
    """
    if name == "si-sdr":
        return si_sdr_score(estimate, reference)
    if name == "sdr":
        return sdr_score(estimate, reference)
    if name in ("pesq-wb", "pesq-nb"):
        return pesq_score(estimate, reference, rate_hz, "wb" if name == "pesq-wb" else "nb")
    if name in ("stoi", "estoi"):
        return stoi_score(estimate, reference, rate_hz, extended=name == "estoi")
    raise ValueError(f"{name} is not a metric of an estimate against a reference")


def score_all(
    names: Sequence[str],
    estimate: FloatArray,
    reference: FloatArray,
    rate_hz: int,
    *,
    mixture: FloatArray | None = None,
    others: Sequence[FloatArray] = (),
    before: Mapping[str, Score] | None = None,
) -> dict[str, Score]:
    """Compute all requested metrics of one estimate.

    Args:
        names: of the metrics.
        estimate: (samples,).
        reference: (samples,).
        rate_hz: of all signals.
        mixture: (samples,), for improvements and the level in silence.
        others: (samples,) of each other person in the mixture.
        before: scores of the mixture, if already computed; else they are computed here.
    """
    found: dict[str, Score] = {}
    known = dict(before or {})
    for name in names:
        base = METRICS[name].of
        if base is not None:
            if mixture is None:
                found[name] = not_defined("there is no mixture")
                continue
            if base not in found:
                found[base] = measure(base, estimate, reference, rate_hz)
            if base not in known:
                known[base] = measure(base, mixture, reference, rate_hz)
            found[name] = difference(found[base], known[base])
        elif name == "wrong-speaker":
            found[name] = wrong_speaker(estimate, reference, others)
        elif name == "silent-level":
            found[name] = (
                not_defined("there is no mixture")
                if mixture is None
                else silent_level(estimate, reference, mixture, rate_hz)
            )
        elif name not in found:
            found[name] = measure(name, estimate, reference, rate_hz)
    return {name: found[name] for name in names}
