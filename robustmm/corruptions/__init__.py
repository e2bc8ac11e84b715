"""Corruptions: pure functions `(x, level, rng) -> x'` on one sample of one kind, each with its physical table."""

from robustmm.corruptions import audio, features, image, series, text, video  # noqa: F401  (they fill the registry)
from robustmm.corruptions.base import Corruption, corrupted, corruption, corruption_for, kinds, names
from robustmm.corruptions.draws import generator, strength
from robustmm.corruptions.signals import KINDS

__all__ = [
    "KINDS",
    "Corruption",
    "corrupted",
    "corruption",
    "corruption_for",
    "generator",
    "kinds",
    "names",
    "strength",
]
