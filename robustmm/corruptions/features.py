"""Features: float32 (D,), standardised by the wrapper: what the physics sees has mean 0 and std 1 in training."""

import numpy as np

from robustmm.corruptions.base import corruption
from robustmm.corruptions.draws import subset
from robustmm.corruptions.signals import Array


@corruption(
    "gaussian",
    kind="features",
    unit="standard deviation of the noise, in training standard deviations",
    table=(0.25, 0.5, 1, 2, 4),
    source="ours",
)
def gaussian(z: Array, sigma: float, rng: np.random.Generator) -> Array:
    """White Gaussian noise, independent in every entry."""
    return z + sigma * rng.standard_normal(z.shape)


@corruption(
    "blank",
    kind="features",
    unit="fraction of the entries",
    table=(0.1, 0.2, 0.3, 0.4, 0.5),
    source="ours",
)
def blank(z: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Entries that hold their training mean."""
    z[subset(len(z), fraction, rng)] = 0
    return z
