"""Augmentations of series (T, D) and features (D,), in units of the training deviation."""

from typing import Annotated

import numpy as np
from pydantic import Field

from robustmm.augmentations.base import Share, augmentation
from robustmm.corruptions.signals import Array

Deviation = Annotated[float, Field(ge=0, le=10)]


@augmentation("jitter", "series", "features")
def jitter(z: Array, rng: np.random.Generator, *, deviation: Deviation = 0.05) -> Array:
    """Gaussian noise of `deviation` training deviations on every number (Um et al. 2017)."""
    return z + deviation * rng.standard_normal(z.shape)


@augmentation("scaling", "series")
def scale_channels(z: Array, rng: np.random.Generator, *, deviation: Deviation = 0.1) -> Array:
    """Each channel, about its training mean, times a factor of its own: 1 ± `deviation` (Um et al. 2017)."""
    return z * (1 + deviation * rng.standard_normal(z.shape[1]))


@augmentation("dropout", "features")
def drop_features(z: Array, rng: np.random.Generator, *, share: Share = 0.1) -> Array:
    """Each number becomes its training mean with probability `share`."""
    return np.where(rng.random(z.shape) < share, 0, z)
