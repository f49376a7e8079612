"""Speech recognition of separated voices with external recognisers, and subtitles."""
