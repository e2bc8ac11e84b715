"""A training run: data, model, method and loop, in a folder from which it can be resumed."""
