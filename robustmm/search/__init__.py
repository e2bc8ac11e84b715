"""Attacks that search with queries alone: the worst mix of corruptions within a budget, and the Square attack."""

from robustmm.search.mix import mix
from robustmm.search.square import square

__all__ = ["mix", "square"]
