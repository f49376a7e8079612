"""Run one evaluation from beginning to end, with results as plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avse.errors import AvseError, InputError, MissingError, UsageError
from avse.evaluation.items import Mixture, MixtureResult
from avse.evaluation.pairing import RULE, pair
from avse.evaluation.results import Provenance, build
from avse.evaluation.scoring import ScoringPlan, score_mixtures
from avse.evaluation.statistics import summarise
from avse.evaluation.word_errors import word_error_rate
from avse.metrics import METRICS, Score, not_defined
from avse.metrics.extra import package
from avse.settings import Settings
from avse.transcription.transcribers import open_transcriber
from avse.utils.progress import Progress
from avse.utils.sharing import without_folders

if TYPE_CHECKING:
    from avse.evaluation.testset import TestSet
    from avse.inference.networks import SeparationNetwork
    from avse.separation.separator import Separator

Hear = Callable[[Path], str]
"""Path of a file -> the words in it."""

_PACKAGES = {
    "pesq-wb": "pesq",
    "pesq-nb": "pesq",
    "stoi": "pystoi",
    "estoi": "pystoi",
}
_REPORT = ("jinja2", "matplotlib")


@dataclass(frozen=True)
class Request:
    """Options of an evaluation, for estimates and test sets alike.

    Attributes:
        plan: metrics, ceilings, lengths.
        jobs: worker processes for scoring.
        command: the command line, for the report.
        curves: names of robustness curves; they need a test set.
        curve_items: number of mixtures for the curves, from the first on.
        transcriber: a recogniser, see `open_transcriber`; None for no transcripts.
    """

    plan: ScoringPlan = field(default_factory=ScoringPlan)
    jobs: int = 1
    command: Sequence[str] = ()
    curves: Sequence[str] = ()
    curve_items: int = 20
    transcriber: str | None = None


@dataclass(frozen=True)
class Judged:
    """Outcome of an evaluation.

    Attributes:
        results: everything, as JSON values.
        mixtures: the scored mixtures, for examples.
    """

    results: dict[str, Any]
    mixtures: tuple[Mixture, ...]


def read_names(kind: str, text: str, known: Iterable[str]) -> tuple[str, ...]:
    """Read "all", or names with commas between, each once and in the usual order.

    Raises:
        UsageError: one of them is unknown.
    """
    names = tuple(known)
    asked = names if text.strip() == "all" else [name.strip() for name in text.split(",")]
    unknown = [name for name in asked if name not in names]
    if unknown:
        raise UsageError(
            f"there is no {kind} {', '.join(map(repr, unknown))}",
            f"choose from: all, {', '.join(names)}",
        )
    return tuple(name for name in names if name in asked)


def check_packages(metrics: Sequence[str]) -> None:
    """Check the required packages before the work.

    With all metrics, `pesq` may be missing; its scores are then undefined.

    Raises:
        MissingExtraError: the package of a metric, or of the report, is not installed.
    """
    needed = dict.fromkeys([*(_PACKAGES[m] for m in metrics if m in _PACKAGES), *_REPORT])
    if set(metrics) == set(METRICS):
        del needed["pesq"]
    for name in needed:
        package(name)


def judge_folders(
    estimates: Path,
    references: Path,
    mixtures: Path | None,
    request: Request,
    progress: Progress,
) -> Judged:
    """Score given estimates against given references.

    Raises:
        InputError: see `avse.evaluation.pairing.pair`.
        MissingError: a package or a recogniser is missing.
    """
    check_packages(request.plan.metrics)
    hear = _open(request.transcriber)
    pairs = pair(estimates, references, mixtures)
    total = float(len(pairs.mixtures))
    done: list[MixtureResult] = []
    for result in score_mixtures(pairs.mixtures, request.plan, jobs=request.jobs):
        done.append(result)
        progress("Scoring", float(len(done)), total)
    unmatched = {
        "estimates": pairs.estimates,
        "references": pairs.references,
        "items_without_mixture": pairs.without_mixture,
        "mixtures": pairs.mixtures_unused,
    }
    provenance = Provenance(
        "estimates",
        request.command,
        rule=RULE,
        unmatched=unmatched,
        settings={"lengths": "cut to the shorter" if request.plan.trim else "have to be equal"},
    )
    results = build(done, request.plan.metrics, provenance)
    if hear is not None:
        results["transcripts"] = _transcripts(pairs.mixtures, request, hear, progress)
    return Judged(results, pairs.mixtures)


def judge_test_set(
    test_set: TestSet,
    request: Request,
    settings: Settings,
    folder: Path,
    progress: Progress,
    *,
    network_only: bool = False,
) -> Judged:
    """Run a model on a test set, and score it.

    Args:
        test_set: a test set with videos.
        request: options of the evaluation.
        settings: the model, and how to separate.
        folder: folder for the estimates.
        progress: called with the progress.
        network_only: score the network alone, without codecs and without face tracking.

    Raises:
        InputError: the set has no pictures.
        MissingError: weights, a package or a recogniser are missing.
    """
    from avse.evaluation.running import run_network, run_pipeline
    from avse.separation.separator import Separator
    from avse.utils.shipped import find_verified

    check_packages(request.plan.metrics)
    hear = _open(request.transcriber)
    digest = find_verified(settings.model)
    separator = Separator(settings)
    items = test_set.manifest.items
    if all(item.picture is None for item in items):
        raise InputError(
            f"the mixtures of {test_set.path} have no picture",
            "make the test set without --no-video",
        )
    total = sum(item.duration_s for item in items)
    run = run_network if network_only else run_pipeline
    kept: list[Mixture] = []

    def making() -> Iterator[Mixture]:
        stage = "Separating and scoring"
        progress(stage, 0.0, total)
        for mixture in run(test_set, separator, folder, lambda done: progress(stage, done, total)):
            kept.append(mixture)
            yield mixture

    done = list(score_mixtures(making(), request.plan, jobs=request.jobs))
    mode = "network" if network_only else "pipeline"
    provenance = _provenance(mode, test_set, request, settings, separator.engine.network, digest)
    results = build(done, request.plan.metrics, provenance)
    if request.curves:
        results["curves"] = _curves(test_set, separator, request, progress)
    if hear is not None:
        results["transcripts"] = _transcripts(kept, request, hear, progress)
    return Judged(results, tuple(kept))


def _provenance(
    mode: str,
    test_set: TestSet,
    request: Request,
    settings: Settings,
    network: SeparationNetwork,
    digest: str,
) -> Provenance:
    manifest = test_set.manifest
    return Provenance(
        mode,
        request.command,
        model={"name": settings.model, "sha256": digest},
        manifest={
            "name": test_set.path.name,
            "sha256": manifest.sha256,
            "protocol": manifest.protocol,
            "split": manifest.split,
        },
        settings={
            "faces": settings.faces,
            "window_s": settings.window_s,
            "overlap": settings.overlap,
            "device": network.device,
        },
    )


def _curves(
    test_set: TestSet, separator: Separator, request: Request, progress: Progress
) -> dict[str, Any]:
    from avse.evaluation.robustness import CURVES, ON_VIDEO, trace
    from avse.evaluation.testset import network_item
    from avse.evaluation.worse_videos import trace_videos

    whole = [item for item in test_set.manifest.items if not test_set.missing(item)]
    items, inputs = [], []
    for item in whole[: request.curve_items]:
        try:
            inputs.append(network_item(test_set, item, separator.backend))
        except MissingError:
            raise
        except AvseError:
            continue  # an unreadable item is already listed as failed
        items.append(item)
        progress("Looking at faces", float(len(items)), float(request.curve_items))
    found: dict[str, Any] = {}
    for name in request.curves:
        curve, points = CURVES[name], []
        tracing = (
            trace_videos(name, separator, test_set, items)
            if name in ON_VIDEO
            else trace(name, separator.engine.network, inputs, separator.settings)
        )
        for point in tracing:
            points.append(point)
            progress(f"Curve {name}", float(len(points)), float(len(curve.points)))
        found[name] = {"title": curve.title, "mixtures": len(items), "points": points}
    return found


def _open(transcriber: str | None) -> Hear | None:
    if transcriber is None:
        return None
    opened = open_transcriber(transcriber, option="--transcriber")
    return lambda path: opened.hear(path).text


def _transcripts(
    mixtures: Sequence[Mixture], request: Request, hear: Hear, progress: Progress
) -> dict[str, Any]:
    rates: dict[str, list[Score]] = {"estimate": [], "mixture": []}
    groups: dict[str, list[str]] = {"estimate": [], "mixture": []}
    names: list[str] = []
    written = 0
    for number, mixture in enumerate(mixtures, 1):
        mixed = None if mixture.mixture is None else _heard(hear, mixture.mixture)
        for voice in mixture.voices:
            said = _heard(hear if voice.text is None else _read, voice.text or voice.reference)
            written += voice.text is not None
            names.append(voice.name)
            rates["estimate"].append(
                not_defined(voice.failure or "there is no estimate")
                if voice.estimate is None
                else _errors(_heard(hear, voice.estimate), said)
            )
            groups["estimate"].append(mixture.name)
            if mixed is not None:
                rates["mixture"].append(_errors(mixed, said))
                groups["mixture"].append(mixture.name)
        progress("Transcribing", float(number), float(len(mixtures)))
    found: dict[str, Any] = {
        "recogniser": without_folders(str(request.transcriber)),
        "references_from_text": written,
        "references_from_recogniser": len(names) - written,
        "items": {n: s.value for n, s in zip(names, rates["estimate"], strict=True)},
    }
    for system, scores in rates.items():
        if scores:
            found[system] = asdict(summarise(scores, groups[system]))
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", "check the file") from error


def _heard(hear: Hear, path: Path) -> str | Score:
    """The words, or why there are none."""
    try:
        return hear(path)
    except MissingError:
        raise
    except AvseError as error:
        return not_defined(error.message)


def _errors(heard: str | Score, said: str | Score) -> Score:
    if isinstance(said, Score):
        return said
    return heard if isinstance(heard, Score) else word_error_rate(heard, said)


def failed(results: Mapping[str, Any]) -> list[str]:
    """Failures, one line each; empty if all items were scored."""
    lonely = results["unmatched"].get("references", ())
    lines = [
        f"{item['name']}: {item['failure']}"
        for item in results["items"]
        if item["failure"] is not None and item["name"] not in lonely
    ]
    for kind, partner in (("estimates", "reference"), ("references", "estimate")):
        lines += [f"{name}: has no {partner}" for name in results["unmatched"].get(kind, ())]
    return lines
