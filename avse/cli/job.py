"""Run a job with progress on the terminal and warnings at the end."""

from __future__ import annotations

from avse.cli.progress import Stages
from avse.cli.terminal import Terminal
from avse.separation import job as jobs


def carry_out(job: jobs.Job, terminal: Terminal) -> jobs.Done:
    """Run a job and print its warnings, notes and outputs.

    Raises:
        AvseError: see `avse.separation.job.carry_out`.
    """
    with Stages(terminal) as progress:
        done = jobs.carry_out(job, progress=progress)
    for warning in done.warnings:
        terminal.warn(warning)
    if job.dry_run:
        terminal.note("dry run: nothing was written")
    return done
