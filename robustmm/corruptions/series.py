"""Series: float32 (T, D), standardised by the wrapper: what the physics sees has mean 0 and std 1 in training."""

import numpy as np

from robustmm.corruptions import features
from robustmm.corruptions.base import corruption
from robustmm.corruptions.draws import spans
from robustmm.corruptions.signals import Array


@corruption(
    "gaussian",
    kind="series",
    unit=features.gaussian.unit,
    table=features.gaussian.table,
    source=features.gaussian.source,
)
def gaussian(z: Array, sigma: float, rng: np.random.Generator) -> Array:
    """White Gaussian noise, independent in every step and channel."""
    noisy: Array = features.gaussian.function(z, sigma, rng)
    return noisy


@corruption(
    "blank",
    kind="series",
    unit="fraction of the duration, in spans of 5 %",
    table=(0.1, 0.2, 0.3, 0.4, 0.5),
    source="ours",
)
def blank(z: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Spans in which every channel holds its training mean."""
    z[spans(len(z), fraction, rng)] = 0
    return z
