"""Judging separation: from recordings and references to tables and a report.

`pairing` and `testset` say what is to be judged, `running` makes the estimates where there are none
yet, `scoring` scores them in worker processes, `statistics` sums up, `report` shows it. May import
anything of avse but `avse.cli` and `avse.training`; prints nothing.
"""
