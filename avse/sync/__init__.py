"""Is the sound in step with the picture? Asked of lips and voices, over time."""
