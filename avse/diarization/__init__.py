"""Who speaks when: from lips and sound to segments, and to the files that others read."""
