"""Separation of recordings: the Python API, output files, and the job of a verb."""
