"""Measures over arrays: scores, contributions, robustness, and the statistics of their uncertainty."""
