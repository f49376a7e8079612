"""Write the report: one self-contained HTML file that needs no other files and no network."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from avse.errors import AvseError
from avse.evaluation import figures
from avse.evaluation.items import ESTIMATE, Mixture
from avse.evaluation.results import as_csv, as_json, scores_of, write
from avse.evaluation.sounds import read_sound

TEMPLATE = "report.html.jinja"


@dataclass(frozen=True)
class Panel:
    """A sound in the report.

    Attributes:
        title: what it is.
        picture: its spectrogram, a data URI.
        sound: itself, a data URI.
    """

    title: str
    picture: str
    sound: str


@dataclass(frozen=True)
class Example:
    """An example item with spectrograms and sounds.

    Attributes:
        label: "best", "median" or "worst".
        name: name of the item.
        metric: title of the metric by which it was chosen.
        value: its score, with unit.
        panels: mixture (if known), estimate, reference.
        cut: whether only the beginning is shown.
    """

    label: str
    name: str
    metric: str
    value: str
    panels: tuple[Panel, ...]
    cut: bool


def pick_examples(results: Mapping[str, Any]) -> list[tuple[str, str, str, float]]:
    """(label, item, metric, score) of the best, the median and the worst item.

    They are chosen by SI-SDR improvement if it exists, else by the first metric with scores.
    """
    order = [m for m in ("si-sdri", "si-sdr") if m in results["metrics"]]
    for metric in [*order, *results["metrics"]]:
        scores = scores_of(results, metric)
        ranked = sorted((s.value, name) for name, s in scores.items() if s.value is not None)
        if not ranked:
            continue
        if results["metrics"][metric]["better"] == "lower":
            ranked.reverse()
        chosen = {"best": ranked[-1], "median": ranked[len(ranked) // 2], "worst": ranked[0]}
        unique: dict[str, tuple[str, str, str, float]] = {}
        for label, (value, name) in chosen.items():
            unique.setdefault(name, (label, name, metric, value))
        return list(unique.values())
    return []


def make_examples(results: Mapping[str, Any], mixtures: Iterable[Mixture]) -> list[Example]:
    """Make the examples, with spectrograms and sounds.

    Args:
        results: as `avse.evaluation.results.build` gives them.
        mixtures: the scored mixtures; their files must still exist.
    """
    chosen = {name: (label, m, value) for label, name, m, value in pick_examples(results)}
    found = {}
    for mixture in mixtures:
        for voice in mixture.voices:
            if voice.name not in chosen or voice.estimate is None:
                continue
            label, metric, value = chosen[voice.name]
            about = results["metrics"][metric]
            paths = {
                "mixture": mixture.mixture,
                "estimate": voice.estimate,
                "reference": voice.reference,
            }
            panels, cut = _panels({t: path for t, path in paths.items() if path is not None})
            found[label] = Example(
                label, voice.name, about["title"], _number(value, about["unit"]), panels, cut
            )
    return [found[label] for label in ("best", "median", "worst") if label in found]


def _panels(paths: Mapping[str, Path]) -> tuple[tuple[Panel, ...], bool]:
    sounds, cut = {}, False
    for title, path in paths.items():
        try:
            samples, rate = read_sound(path)
        except AvseError:
            continue  # the item's failure already reports it
        length = round(figures.LONGEST_S * rate)
        cut |= samples.size > length
        sounds[title] = (samples[:length], rate)
    top = max((figures.loudest(*sound) for sound in sounds.values()), default=0.0)
    panels = tuple(
        Panel(title, figures.spectrogram(samples, rate, top), figures.player(samples, rate))
        for title, (samples, rate) in sounds.items()
    )
    return panels, cut


def write_all(
    folder: Path, results: Mapping[str, Any], mixtures: Iterable[Mixture], *, overwrite: bool
) -> None:
    """Write report.html, items.csv and results.json.

    Raises:
        OutputExistsError: one of them exists and `overwrite` is false.
        OutputError: one cannot be written.
    """
    page = render(results, make_examples(results, mixtures))
    write(folder / "report.html", page, overwrite=overwrite)
    write(folder / "items.csv", as_csv(results), overwrite=overwrite)
    write(folder / "results.json", as_json(results), overwrite=overwrite)


def render(results: Mapping[str, Any], examples: Iterable[Example] = ()) -> str:
    """The page.

    Args:
        results: as `avse.evaluation.results.build` gives them, with "curves", "transcripts" and
            "comparison" where requested.
        examples: from `make_examples`.
    """
    import jinja2

    source = files("avse.evaluation").joinpath(TEMPLATE).read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = _number
    return environment.from_string(source).render(
        r=results,
        command=shlex.join(results["command"]),
        examples=list(examples),
        estimate=ESTIMATE,
        distributions=figures.distributions(results),
        improvement=figures.improvement(results),
        curves=figures.curves(results),
    )


def _number(value: float | None, unit: str = "", digits: int = 2, *, signed: bool = False) -> str:
    """A number as text for people; a dash for None."""
    if value is None or not np.isfinite(value):
        return "–"
    if unit == "share":
        return f"{100 * value:{'+' if signed else ''}.1f} %"
    digits = 3 if unit == "" else digits
    text = f"{value:{'+' if signed else ''}.{digits}f}".replace("-", "−")
    return f"{text} {unit}".rstrip() if unit == "dB" else text
