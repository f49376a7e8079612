"""The network, its specification and its weights. Imports `avse.stft` and `avse.errors` only."""
