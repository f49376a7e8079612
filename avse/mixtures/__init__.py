"""Test sets from a folder of talking-face clips: planned in a manifest, then mixed.

The manifest is the contract: `avse.mixtures.manifest` says what a test set holds and reads it
back; everything else makes one. The same clips, settings and seed give the same bytes.

This folder may import `avse.media`, `avse.utils.pool`, `avse.utils.paths`, `avse.utils.schema`,
`avse.data.splits` and `avse.errors` only.
"""
