"""From voices to words: recognisers that are already there, and subtitles of what they hear."""
