"""The transforms of albumentations whose physics is right, with every parameter given.

albumentations takes seconds to import (it imports torch where it finds it), so only the functions that need it do.
"""

import os
import warnings
from functools import cache
from typing import Any

import numpy as np

from robustmm.corruptions.signals import Array


def paint_streaks(shape: tuple[int, int], starts: Array, *, slant: int, length: int, thread: int, light: int) -> Array:
    """A dark picture (H, W, 1) with lines of width `thread` from every start (x, y), `slant` across, `length` down."""
    dark = np.zeros((*shape, 1), np.uint8)
    drawn: Array = _import_functional().add_rain(dark, slant, length, thread, (light,) * 3, 1, 1.0, starts)
    return drawn


def paint_shadow(x: Array, corners: Array, lost: float) -> Array:
    """The picture with `lost` of its pixels' values taken away within the polygon of these corners (x, y)."""
    shadowed: Array = _import_functional().add_shadow(x, [corners], np.array([lost]))
    return shadowed


def adjust_colours(x: Array, brightness: float, contrast: float, saturation: float, hue: float) -> Array:
    """The picture with torchvision's adjustments made in this order: three factors, and a turn of the hue circle."""
    functions = _import_functional()
    x = functions.adjust_brightness_torchvision(np.ascontiguousarray(x), brightness)
    x = functions.adjust_contrast_torchvision(x, contrast)
    x = functions.adjust_saturation_torchvision(x, saturation)
    adjusted: Array = functions.adjust_hue_torchvision(x, hue)
    return adjusted


@cache
def _import_functional() -> Any:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # or its import asks the network for a newer version
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import albumentations.augmentations.pixel.functional as functions
    return functions
