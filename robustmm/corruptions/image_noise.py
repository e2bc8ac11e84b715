"""Image noise: what sensors and wires add to single pixels."""
