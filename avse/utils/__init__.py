"""What every package uses: paths, text, fingerprints, schemas, processes, the shipped files.

Imports `avse.errors` only.
"""
