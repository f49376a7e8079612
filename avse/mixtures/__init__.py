"""Test sets from a folder of talking-face clips: planned in a manifest, then mixed.

`avse.mixtures.manifest` defines what a test set holds and reads it back; the other modules make
one. The same clips, settings and seed give the same bytes.
"""
