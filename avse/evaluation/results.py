"""The results of an evaluation as plain data: what JSON, CSV and the report are made from."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from avse import __version__
from avse.errors import InputError
from avse.evaluation.ceilings import CEILINGS
from avse.evaluation.items import ESTIMATE, MIXTURE, ItemResult, MixtureResult
from avse.evaluation.statistics import summarise
from avse.media.atomic_files import appearing, writing
from avse.metrics import METRICS, Score
from avse.utils.schema import RecordError, fit, load_json
from avse.utils.sharing import without_folders

FORMAT = "avse-evaluation-1"
SYSTEMS = {
    ESTIMATE: "what is judged",
    MIXTURE: "the unprocessed mixture: the floor",
    **CEILINGS,
}
IN_STEP_S = 0.001
"""Lags up to this count as none."""

_PACKAGES = ("numpy", "scipy", "onnxruntime", "pesq", "pystoi")


@dataclass(frozen=True)
class Provenance:
    """Where results come from.

    Attributes:
        mode: "estimates", "pipeline" or "network".
        command: as it was typed; absolute paths are shortened to names.
        model: name and sha256 of the weights; None for given estimates.
        manifest: name and sha256 of the test set; None for folders.
        rule: how names were matched, in words; None for a manifest.
        unmatched: kind -> names of files without a partner.
        settings: other choices that shape scores.
    """

    mode: str
    command: Sequence[str] = ()
    model: Mapping[str, str] | None = None
    manifest: Mapping[str, str] | None = None
    rule: str | None = None
    unmatched: Mapping[str, Sequence[str]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


def versions() -> dict[str, str]:
    """Of avse, Python, and the packages that compute scores."""
    import platform

    found = {"avse": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def build(
    results: Iterable[MixtureResult], metrics: Sequence[str], provenance: Provenance
) -> dict[str, Any]:
    """Build the results as JSON values.

    Args:
        results: in any order; sorted by name here, so that worker processes do not show.
        metrics: names, in order.
        provenance: where the results come from.

    Results may be sent to others, so that files are given by name, without folders.
    """
    mixtures = sorted(map(_sendable, results), key=lambda mixture: mixture.name)
    items = sorted((i for m in mixtures for i in m.items), key=lambda item: item.name)
    systems = [system for system in SYSTEMS if any(system in i.scores for i in items)]
    summary = {
        system: {
            metric: asdict(
                summarise(
                    [i.scores[system][metric] for i in items if metric in i.scores.get(system, {})],
                    [i.mixture for i in items if metric in i.scores.get(system, {})],
                )
            )
            for metric in metrics
            if any(metric in i.scores.get(system, {}) for i in items)
        }
        for system in systems
    }
    return {
        "format": FORMAT,
        "mode": provenance.mode,
        "command": [_plain(word) for word in provenance.command],
        "versions": versions(),
        "model": _named(provenance.model),
        "manifest": None if provenance.manifest is None else dict(provenance.manifest),
        "settings": dict(provenance.settings),
        "rule": provenance.rule,
        "unmatched": {kind: list(names) for kind, names in provenance.unmatched.items()},
        "metrics": {name: asdict(METRICS[name]) for name in metrics},
        "systems": {system: SYSTEMS[system] for system in systems},
        "counts": {"mixtures": len(mixtures), **_counts(items)},
        "summary": summary,
        "contrast": {
            "estimate": asdict(summarise([m.contrast for m in mixtures], _names(mixtures))),
            "reference": asdict(
                summarise([m.reference_contrast for m in mixtures], _names(mixtures))
            ),
        },
        "alignment": _alignment(items),
        "mixtures": [
            {"name": m.name, "contrast": m.contrast.value, "reason": m.contrast.reason}
            for m in mixtures
        ],
        "items": [_item(item) for item in items],
    }


def _plain(word: str) -> str:
    """A word of a command, or the name of weights, without the folders of an absolute path."""
    return Path(word).name if Path(word).is_absolute() else without_folders(word)


def _named(model: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if model is None else {**model, "name": _plain(model["name"])}


def _sendable(mixture: MixtureResult) -> MixtureResult:
    """The same with no folder of this machine in its messages."""

    def said(score: Score) -> Score:
        return score if score.reason is None else Score(None, without_folders(score.reason))

    items = tuple(
        replace(
            item,
            failure=None if item.failure is None else without_folders(item.failure),
            scores={
                system: {metric: said(score) for metric, score in scores.items()}
                for system, scores in item.scores.items()
            },
        )
        for item in mixture.items
    )
    return replace(
        mixture,
        items=items,
        contrast=said(mixture.contrast),
        reference_contrast=said(mixture.reference_contrast),
    )


def _counts(items: Sequence[ItemResult]) -> dict[str, int]:
    """Each item once: scored by some metric, by none, or without an estimate to score."""
    failed = sum(item.failure is not None for item in items)
    scored = sum(
        any(score.value is not None for score in item.scores.get(ESTIMATE, {}).values())
        for item in items
    )
    undefined = len(items) - scored - failed
    return {"items": len(items), "scored": scored, "undefined": undefined, "failed": failed}


def _names(mixtures: Sequence[MixtureResult]) -> list[str]:
    return [mixture.name for mixture in mixtures]


def _alignment(items: Sequence[ItemResult]) -> dict[str, Any]:
    known = [(item, item.lag) for item in items if item.lag is not None]
    late = [(item, lag) for item, lag in known if abs(lag.seconds) > IN_STEP_S]
    return {
        "in_step": len(known) - len(late),
        "out_of_step": len(late),
        "unclear": len(items) - len(known),
        "worst": [
            {"name": item.name, "lag_ms": 1000 * lag.seconds}
            for item, lag in sorted(late, key=lambda pair: -abs(pair[1].seconds))[:20]
        ],
    }


def _item(item: ItemResult) -> dict[str, Any]:
    return {
        "name": item.name,
        "mixture": item.mixture,
        "seconds": item.seconds,
        "rate_hz": item.rate_hz,
        "failure": item.failure,
        "lag_samples": None if item.lag is None else item.lag.samples,
        "lag_ms": None if item.lag is None else 1000 * item.lag.seconds,
        "trimmed_samples": item.trimmed,
        "scores": {
            system: {metric: score.value for metric, score in scores.items()}
            for system, scores in item.scores.items()
        },
        "reasons": {
            system: reasons
            for system, scores in item.scores.items()
            if (reasons := {m: s.reason for m, s in scores.items() if s.reason is not None})
        },
    }


def as_csv(results: Mapping[str, Any]) -> str:
    """A line for each item and system; an empty cell where a metric is not defined."""
    metrics = list(results["metrics"])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            *("name", "mixture", "system", "seconds", "rate_hz", "lag_ms", "trimmed_samples"),
            *metrics,
            *("failure", "reasons"),
        ]
    )
    for item in results["items"]:
        for system in results["systems"]:
            scores = item["scores"].get(system)
            if scores is None and system != ESTIMATE:
                continue
            reasons = item["reasons"].get(system, {})
            estimate = system == ESTIMATE
            writer.writerow(
                [
                    *(item["name"], item["mixture"], system, item["seconds"], item["rate_hz"]),
                    item["lag_ms"] if estimate and item["lag_ms"] is not None else "",
                    item["trimmed_samples"] if estimate else "",
                    *(
                        "" if (value := (scores or {}).get(metric)) is None else repr(value)
                        for metric in metrics
                    ),
                    (item["failure"] or "") if estimate else "",
                    "; ".join(f"{metric}: {reason}" for metric, reason in reasons.items()),
                ]
            )
    return text.getvalue()


def as_json(results: Mapping[str, Any]) -> str:
    """Indented, with a final newline."""
    return json.dumps(results, indent=1, allow_nan=False) + "\n"


def read_results(path: Path) -> dict[str, Any]:
    """Read a file that `as_json` has made.

    Raises:
        InputError: the file cannot be read, or is not a file of results.
    """
    try:
        results = load_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}", "name a results.json") from error
    if not isinstance(results, dict) or results.get("format") != FORMAT:
        raise InputError(
            f"{path} holds no results of this version of `avse evaluate`",
            "name the results.json of another evaluation",
        )
    try:
        fit(results.get("metrics"), dict[str, dict[str, Any]], "metrics")
        if "manifest" not in results:
            raise RecordError("there is no manifest")
        fit(results["manifest"], dict[str, Any] | None, "manifest")
        for item in fit(results.get("items"), list[dict[str, Any]], "items"):
            named = {key: item.get(key) for key in _Compared.__dataclass_fields__}
            read = fit(named, _Compared, "an item")
            for system, scores in read.scores.items():
                reasons = read.reasons.get(system, {})
                if any((value is None) != (name in reasons) for name, value in scores.items()):
                    raise RecordError(f"{read.name}: a score has either a value or a reason")
    except RecordError as error:
        raise InputError(f"{path}: {error.message}", "name another results.json") from error
    return results


@dataclass(frozen=True)
class _Compared:
    """The part of an item that a comparison needs."""

    name: str
    mixture: str
    scores: dict[str, dict[str, float | None]]
    reasons: dict[str, dict[str, str]]


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """Create the folder of the results; if the work fails, remove what was created.

    Raises:
        OutputError: it cannot be created.
    """
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # something else is in it by now
            for path in new:
                path.rmdir()
        raise


def write(path: Path, text: str, *, overwrite: bool) -> None:
    """Write a text file, which appears complete or not at all.

    Names of files that are not valid text are written as the system stores them.

    Raises:
        OutputExistsError: the file exists and `overwrite` is false.
        OutputError: it cannot be written.
    """
    with appearing(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")


def scores_of(results: Mapping[str, Any], metric: str, system: str = ESTIMATE) -> dict[str, Score]:
    """Item -> score, of results as `build` gives them."""
    found = {}
    for item in results["items"]:
        scores = item["scores"].get(system, {})
        if metric in scores:
            reason = item["reasons"].get(system, {}).get(metric)
            found[item["name"]] = Score(scores[metric], reason)
    return found
