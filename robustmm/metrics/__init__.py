"""Numbers over arrays: scores, contributions, robustness, and the statistics that say what is certain."""
