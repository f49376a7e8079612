"""A/V offset (lip sync): measured from lips and voices over time."""
