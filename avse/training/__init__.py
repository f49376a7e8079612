"""Training: recipes, mixtures, losses, the loop and its stages.

Nothing that separates may import this; `avse.prepare` shares what reading and measuring clips need.
"""
