"""A model as robustmm reads and feeds it, against what its user expects of it."""
