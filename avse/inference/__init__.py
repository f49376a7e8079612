"""Compute stems from lips and sound; `separate`, `who`, the page and the evaluator share it."""
