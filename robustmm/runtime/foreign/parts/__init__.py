"""A foreign graph in parts: what depends on what, the cut, an encoder for each modality."""
