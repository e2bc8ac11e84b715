"""Corruptions of text: str, in any script."""

from robustmm.corruptions.text import characters, words  # noqa: F401  (they fill the registry)
