"""Corruptions of images: uint8 (H, W, C). Only the last axis must be the channels, so video shares them."""

from robustmm.corruptions.image import blur, camera, digital, noise, scene, weather  # noqa: F401  (they fill the registry)
