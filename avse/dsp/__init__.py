"""Signal processing: the STFT, and overlapping windows over long recordings."""
