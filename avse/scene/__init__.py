"""A recording and the people in it: sound, faces, corrections, which part, which speakers."""
