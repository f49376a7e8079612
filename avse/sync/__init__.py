"""The A/V offset (lip sync): measured over time from lips and voices."""
