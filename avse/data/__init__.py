"""Packs of `avse prepare` and the clips in them: what training, mixing and preparing share."""
