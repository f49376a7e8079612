"""The network, its specification and its weights. Imports `avse.dsp`, `avse.utils`, errors only."""
