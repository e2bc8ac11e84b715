"""Shifts in time of audio, video and series."""

import numpy as np

from robustmm.augmentations.base import Share, augmentation
from robustmm.corruptions.signals import Array


def draw_places(length: int, most: float, rng: np.random.Generator) -> Array:
    """Where each step comes from, outside of range(length) where the signal is at an end: all are moved by the same
    number of steps, at most `most` of the length either way."""
    longest = round(most * length)
    return np.arange(length) - int(rng.integers(-longest, longest + 1))


@augmentation("shift", "audio")
def shift_sound(x: Array, rng: np.random.Generator, *, most: Share = 0.1) -> Array:
    """Early or late by at most `most` of the length; silence takes the place."""
    places = draw_places(len(x), most, rng)
    return np.where((places >= 0) & (places < len(x)), x[np.clip(places, 0, len(x) - 1)], 0)


@augmentation("shift", "video", "series")
def shift_steps(x: Array, rng: np.random.Generator, *, most: Share = 0.1) -> Array:
    """Early or late by at most `most` of the length; the first or the last step is held."""
    shifted: Array = x[np.clip(draw_places(len(x), most, rng), 0, len(x) - 1)]
    return shifted
