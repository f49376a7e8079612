"""Evaluation of separation: from recordings and references to tables and a report.

`pairing` and `testset` determine the items to score, `running` makes missing estimates, `scoring`
scores them in worker processes, `statistics` summarises the scores, and `report` writes the
report. This package may import anything of avse but `avse.cli` and `avse.training`; it never
prints.
"""
