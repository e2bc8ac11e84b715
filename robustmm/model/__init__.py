"""A model: encoders by kind, a fusion over the present modalities, and both as one module."""
