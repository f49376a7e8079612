"""Training: recipes, mixtures, losses, the loop and its stages.

Packages for separation must not import this one; it shares the code that reads and measures clips
with `avse.prepare`.
"""
