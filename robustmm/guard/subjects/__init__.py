"""A model as its guard sees it, whoever exported it."""
