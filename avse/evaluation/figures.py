"""Figures and sounds for the report, encoded as text inside the page."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from avse.evaluation.items import ESTIMATE, MIXTURE
from avse.evaluation.results import scores_of
from avse.types import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST_S = 10.0
"""Examples are cut to this, so that the page stays small."""

_BLUE, _GREY, _RED = "#1f5fa8", "#8a8f98", "#b3402a"
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: sharp, searchable and small
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555",
    "axes.labelcolor": "#333",
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "legend.frameon": False,
}
_RANGE_DB = 70.0


def distributions(results: Mapping[str, Any]) -> str:
    """Histograms of each metric for estimate and mixture, as SVG."""
    drawn = []
    for metric, about in results["metrics"].items():
        values = _values(results, metric, ESTIMATE)
        if len(values) and metric != "wrong-speaker":
            drawn.append((metric, about, values, _values(results, metric, MIXTURE)))
    if not drawn:
        return ""
    rows = -(-len(drawn) // 3)

    def draw(figure: Figure) -> None:
        for place, (_, about, values, floor) in enumerate(drawn, 1):
            axes = figure.add_subplot(rows, 3, place)
            everything = np.concatenate([values, floor])
            low, high = float(everything.min()), float(everything.max())
            bins = int(np.clip(2 * np.sqrt(len(values)), 8, 30))
            edges = np.linspace(low, high if high > low else low + 1, bins + 1).tolist()
            if len(floor):
                axes.hist(
                    floor, edges, color=_GREY, alpha=0.45, ec="white", lw=0.5, label="mixture"
                )
            axes.hist(values, edges, color=_BLUE, alpha=0.75, ec="white", lw=0.5, label="estimate")
            axes.axvline(float(np.median(values)), color=_RED, linewidth=1.5, label="median")
            axes.set_title(_wrapped(about["title"]))
            axes.set_xlabel(about["unit"])
            axes.set_ylabel("items")
            axes.locator_params(axis="y", integer=True)
            if place == 1:
                figure.legend(loc="outside upper right", ncols=3, fontsize=9)

    return _svg(draw, (9.6, 2.5 * rows), "distributions")


def improvement(results: Mapping[str, Any]) -> str:
    """Improvement against the SI-SDR of the mixture, with the median in bins: SVG."""
    if "si-sdri" not in results["metrics"]:
        return ""
    after = scores_of(results, "si-sdri")
    before = {
        name: score.value
        for name, score in scores_of(results, "si-sdr", MIXTURE).items()
        if score.value is not None and name in after and after[name].value is not None
    }
    if len(before) < 2:
        return ""
    x = np.array(list(before.values()))
    y = np.array([after[name].value for name in before], np.float64)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot(1, 1, 1)
        axes.axhline(0, color="#999", linewidth=0.8)
        axes.scatter(x, y, s=12, color=_BLUE, alpha=0.5, linewidths=0)
        edges = np.quantile(x, np.linspace(0, 1, min(8, max(2, len(x) // 8)) + 1))
        middles, medians = [], []
        for low, high in pairwise(edges):
            inside = (x >= low) & (x <= high)
            if inside.any():
                middles.append(float(np.median(x[inside])))
                medians.append(float(np.median(y[inside])))
        axes.plot(middles, medians, color=_RED, marker="o", markersize=4, label="median of a bin")
        axes.set_xlabel("SI-SDR of the mixture (dB)")
        axes.set_ylabel("SI-SDR improvement (dB)")
        figure.legend(loc="outside upper right", fontsize=9)

    return _svg(draw, (6.4, 3.6), "improvement")


def curves(results: Mapping[str, Any]) -> str:
    """Improvement and wrong-speaker rate along every curve: SVG."""
    found: Mapping[str, Any] = results.get("curves") or {}
    if not found:
        return ""

    def draw(figure: Figure) -> None:
        for row, curve in enumerate(found.values()):
            for column, (metric, label, factor) in enumerate(
                (
                    ("si-sdri", "SI-SDR improvement (dB)", 1),
                    ("wrong-speaker", "wrong speaker (%)", 100),
                )
            ):
                axes = figure.add_subplot(len(found), 2, 2 * row + column + 1)
                _curve(axes, curve["points"], metric, factor)
                axes.set_xlabel(curve["title"])
                axes.set_ylabel(label)
                if metric == "wrong-speaker":
                    axes.set_ylim(-3, 103)

    return _svg(draw, (9.6, 2.6 * len(found)), "curves")


def _curve(axes: Axes, points: Sequence[Mapping[str, Any]], metric: str, factor: float) -> None:
    known = [p for p in points if p[metric]["mean"] is not None]
    at = [p["at"] for p in known]
    axes.plot(at, [factor * p[metric]["mean"] for p in known], color=_BLUE, marker="o", ms=4)
    sure = [p for p in known if p[metric]["low"] is not None]
    axes.fill_between(
        [p["at"] for p in sure],
        [factor * p[metric]["low"] for p in sure],
        [factor * p[metric]["high"] for p in sure],
        color=_BLUE,
        alpha=0.2,
        linewidth=0,
    )
    axes.grid(alpha=0.3)


def spectrogram(samples: FloatArray, rate_hz: int, top_db: float) -> str:
    """The level in time and frequency: PNG as data URI.

    Args:
        samples: (samples,).
        rate_hz: sample rate.
        top_db: level of the brightest colour; the darkest is 70 dB below.
    """
    level = _levels(samples, rate_hz)

    from matplotlib import rc_context

    target = io.BytesIO()
    with rc_context(_STYLE):
        figure = _figure((4.0, 2.3))
        axes = figure.add_subplot(1, 1, 1)
        axes.imshow(
            level,
            origin="lower",
            aspect="auto",
            cmap="magma",
            vmin=top_db - _RANGE_DB,
            vmax=top_db,
            extent=(0, samples.size / rate_hz, 0, rate_hz / 2000),
        )
        axes.set_ylim(0, min(8.0, rate_hz / 2000))
        axes.set_xlabel("seconds")
        axes.set_ylabel("kHz")
        figure.savefig(target, format="png", dpi=110, metadata={"Software": None})
    return _data_uri("image/png", target.getvalue())


def loudest(samples: FloatArray, rate_hz: int) -> float:
    """The highest level in a spectrogram, in dB."""
    return float(_levels(samples, rate_hz).max(initial=-120.0))


def _levels(samples: FloatArray, rate_hz: int) -> FloatArray:
    from scipy.signal import stft

    size = max(16, round(0.032 * rate_hz))
    padded = np.pad(samples, (0, max(0, size - samples.size)))
    _, _, spectrum = stft(padded, rate_hz, nperseg=size, noverlap=size * 3 // 4)
    return np.asarray(20 * np.log10(np.abs(spectrum) + 1e-6), np.float32)


def player(samples: FloatArray, rate_hz: int) -> str:
    """16-bit WAV as data URI; a signal that would clip is attenuated."""
    import soundfile

    peak = float(np.abs(samples).max(initial=0.0))
    target = io.BytesIO()
    soundfile.write(
        target, samples / max(1.0, peak / 0.99), rate_hz, format="WAV", subtype="PCM_16"
    )
    return _data_uri("audio/wav", target.getvalue())


def _values(results: Mapping[str, Any], metric: str, system: str) -> FloatArray:
    scores = scores_of(results, metric, system).values()
    return np.array([s.value for s in scores if s.value is not None], np.float32)


def _wrapped(title: str) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(title, 38))


def _figure(size: tuple[float, float]) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained")


def _svg(draw: Any, size: tuple[float, float], name: str) -> str:
    from matplotlib import rc_context

    # The salt keeps the ids of one figure apart from those of the next on the same page.
    with rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = _figure(size)
        draw(figure)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", svg)  # needless within HTML
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # alike in every figure, and never referred to
    return svg.replace("<svg ", f'<svg role="img" aria-label="{name}" ', 1)


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
