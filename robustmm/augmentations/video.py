"""Augmentations of the frames of a video; all of images serve it as well."""

import numpy as np

from robustmm.augmentations.base import Count, augmentation
from robustmm.corruptions.signals import Array


@augmentation("jitter", "video")
def jitter_frames(x: Array, rng: np.random.Generator, *, frames: Count = 1) -> Array:
    """Each frame is one of up to `frames` before or after it.

    They stay in order, so that some repeat and some are left out.
    """
    places = np.arange(len(x)) + rng.integers(-frames, frames + 1, len(x))
    jittered: Array = x[np.sort(np.clip(places, 0, len(x) - 1))]
    return jittered
