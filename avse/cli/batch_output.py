"""Final output of `avse batch`: the plan, or the summary, and the exit code."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import typer

from avse.batch.plan import expected_outputs
from avse.batch.run import Batch, Outcome
from avse.cli.batch_progress import clock, failure
from avse.cli.error_handling import FAILED, INTERRUPTED
from avse.cli.tables import table
from avse.cli.terminal import Terminal, printable

_LISTED = 20
"""Failures that are listed; the report and the manifest hold all."""


def tell(
    batch: Batch, outcome: Outcome, terminal: Terminal, *, as_json: bool, machine: bool
) -> None:
    """Report the result of a batch to the user or to a program.

    Args:
        batch: the request.
        outcome: the result.
        terminal: writes to the user.
        as_json: one JSON object on stdout.
        machine: also write the summary to stderr as JSON.

    Raises:
        typer.Exit: with the exit code, unless all recordings are done.
    """
    summary = outcome.summary
    if batch.dry_run:
        _tell_plan(batch, outcome, terminal, as_json=as_json)
        failed = any(item.trouble is not None for item in outcome.plan.todo)
    else:
        _tell_summary(batch, outcome, terminal, as_json=as_json, machine=machine)
        failed = bool(summary.failed or summary.halted)
    if summary.interrupted:
        raise typer.Exit(INTERRUPTED)
    if failed:
        raise typer.Exit(FAILED)


def _tell_plan(batch: Batch, outcome: Outcome, terminal: Terminal, *, as_json: bool) -> None:
    rows, listed = [], []
    for item in outcome.plan.todo:
        outputs = [str(p) for p in expected_outputs(item, batch.request, batch.output)]
        length = None if item.probed is None else item.probed.media_s
        trouble = item.trouble
        what = trouble.message if trouble is not None else ", ".join(outputs)
        rows.append([printable(str(item.source)), clock(length or 0), printable(what)])
        listed.append(
            {
                "input": str(item.source),
                "media_s": length,
                "outputs": [] if trouble is not None else outputs,
                "error": None if trouble is None else asdict(trouble),
            }
        )
    if as_json:
        terminal.result_json({"plan": listed, **asdict(outcome.outlook)})
    elif rows:
        for line in table(["input", "length", "output"], rows, right="length"):
            terminal.result(line)
    everybody = batch.request.verb == "separate" and batch.request.speakers.all
    if everybody and rows:
        terminal.note("the plan shows person 1 in place of all people")
    terminal.note("dry run: nothing was written")


def _tell_summary(
    batch: Batch, outcome: Outcome, terminal: Terminal, *, as_json: bool, machine: bool
) -> None:
    summary = outcome.summary
    about = {
        "total": summary.total,
        "done": summary.done,
        "done_before": summary.done_before,
        "failed": [{"input": str(path), **asdict(trouble)} for path, trouble in summary.failed],
        "not_begun": summary.not_begun,
        "left_alone": summary.left_alone,
        "interrupted": summary.interrupted,
        "halted": summary.halted or None,
        "outputs": summary.outputs,
        "media_s": round(summary.media_s, 3),
        "seconds": round(summary.seconds, 3),
        "manifest": str(batch.manifest_path),
        "report": None if outcome.report is None else str(outcome.report),
    }
    if as_json:
        terminal.result_json(about)
    if machine:
        print(json.dumps({"event": "summary", **about}), file=sys.stderr, flush=True)
        return
    _tell_people(outcome, terminal)


def _tell_people(outcome: Outcome, terminal: Terminal) -> None:
    summary = outcome.summary
    rows = [
        ["done", str(summary.done)],
        ["done before", str(summary.done_before)],
        ["failed", str(len(summary.failed))],
        *([["not started", str(summary.not_begun)]] if summary.not_begun else []),
        *([["left out", str(summary.left_alone)]] if summary.left_alone else []),
        ["files written", str(summary.outputs)],
        ["warnings", str(summary.warnings)],
        ["recorded time", clock(summary.media_s)],
        ["time taken", clock(summary.seconds)],
    ]
    for line in table(["", "sum"], rows, right="sum")[1:]:
        terminal.note(line)
    for path, trouble in summary.failed[:_LISTED]:
        terminal.error(printable(failure(str(path), trouble.message)), trouble.hint)
    if len(summary.failed) > _LISTED:
        terminal.error(f"{len(summary.failed) - _LISTED} more failed: see the report or manifest")
    if summary.halted:
        terminal.error(summary.halted, "run the same command again to continue")
    if outcome.report is not None:
        terminal.note(f"report: {printable(str(outcome.report))}")
