"""Augmentations: pure functions `(x, rng) -> x'` on one training sample of one kind, which keep what its label says."""

from robustmm.augmentations import audio, image, series, text, time, video  # noqa: F401  (they fill the registry)
from robustmm.augmentations.base import AUGMENTATIONS, Augmentation, augmentation, find_augmentation

__all__ = ["AUGMENTATIONS", "Augmentation", "augmentation", "find_augmentation"]
