"""Training: mixtures, losses, the loop and its stages. Nothing else in avse may import this."""
