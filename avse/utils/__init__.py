"""Helpers that every package uses: paths, text, fingerprints, schemas, processes, shipped files.

This package imports `avse.errors` only.
"""
