"""Speaker diarization: from lips and sound to segments, and to files for other programs."""
