"""Video: uint8 (F, H, W, C). The physics of images, with a decision on what the frames share."""

import numpy as np

from robustmm.corruptions import image
from robustmm.corruptions.base import corruption
from robustmm.corruptions.draws import patches
from robustmm.corruptions.signals import Array


@corruption(
    "gaussian", kind="video", unit=image.gaussian.unit, table=image.gaussian.table, source=image.gaussian.source
)
def gaussian(x: Array, sigma: float, rng: np.random.Generator) -> Array:
    """White Gaussian noise, independent in every frame, pixel and channel."""
    noisy: Array = image.gaussian.function(x, sigma, rng)
    return noisy


@corruption(
    "salt-pepper",
    kind="video",
    unit=image.salt_pepper.unit,
    table=image.salt_pepper.table,
    source=image.salt_pepper.source,
)
def salt_pepper(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Struck pixels, drawn anew in every frame, half of them black and half white in all channels."""
    struck: Array = image.salt_pepper.function(x, fraction, rng)
    return struck


@corruption("blank", kind="video", unit=image.blank.unit, table=image.blank.table, source=image.blank.source)
def blank(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """The same square patches painted mid-grey in every frame: dirt on the lens, which no other frame can fill in."""
    x[:, patches(x.shape[1], x.shape[2], fraction, rng), :] = image.GREY
    return x
