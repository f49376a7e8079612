"""Signal processing: the STFT, and the windows in which recordings are worked on."""
