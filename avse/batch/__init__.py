"""Many recordings, unattended: plan, manifest, processes, report, cluster.

The work on one recording is that of `avse.separation.job`; here it is shared out, watched,
committed and remembered. `crew` and `cluster` are two workforces for the same run. May import
everything but `avse.cli`; imports nothing heavy at the top, since the parent of the workers
computes nothing.
"""
