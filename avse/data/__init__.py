"""Packs of `avse prepare` and their clips, for training, mixing and data preparation."""
