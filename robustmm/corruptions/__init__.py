"""Corruptions: pure functions `(x, level, rng) -> x'` on one sample of one kind, each with its physical table."""

from robustmm.corruptions import (  # noqa: F401  (they fill the registry; video, made from images, comes after them)
    audio,
    delay,
    features,
    image,
    qmf,
    series,
    text,
    video,
)
from robustmm.corruptions.base import (
    SCALES,
    Corruption,
    canonical_name,
    corrupt,
    corruption,
    family,
    find_corruption,
    kinds,
    list_families,
    names,
)
from robustmm.corruptions.draws import LEVELS, generator, strength
from robustmm.corruptions.signals import KINDS

__all__ = [
    "KINDS",
    "LEVELS",
    "SCALES",
    "Corruption",
    "canonical_name",
    "corrupt",
    "corruption",
    "family",
    "find_corruption",
    "generator",
    "kinds",
    "list_families",
    "names",
    "strength",
]
