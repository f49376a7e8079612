"""Process many recordings unattended: plan, manifest, processes, report, cluster.

`avse.separation.job` does the work on one recording; this package distributes, monitors, commits
and records it. `process_pool` and `cluster` are two executors for the same run. The package may
import everything but `avse.cli`, and no heavy package at the top of a module, since the parent of
the workers computes nothing.
"""
