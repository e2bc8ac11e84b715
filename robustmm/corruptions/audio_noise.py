"""Audio noise, by signal-to-noise ratio."""
