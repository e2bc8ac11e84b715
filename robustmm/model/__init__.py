"""A model: encoders by kind, a fusion over what is present, and both as one module."""
