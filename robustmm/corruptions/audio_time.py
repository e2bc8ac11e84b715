"""Audio in time: speed, pitch, shift."""
