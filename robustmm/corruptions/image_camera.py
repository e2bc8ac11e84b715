"""Cameras that are set wrongly or worn: exposure, gain, colour, dead pixels."""
