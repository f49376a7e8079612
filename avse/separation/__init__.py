"""Separation of recordings: the Python API, the files that are written, and the job of a verb."""
