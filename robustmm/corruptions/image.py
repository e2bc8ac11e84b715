"""Image: uint8 (H, W, C). The physics here only asks for the last axis to be the channels, so video shares it."""

import numpy as np

from robustmm.corruptions.base import corruption
from robustmm.corruptions.draws import patches
from robustmm.corruptions.signals import Array

GREY = 128


@corruption(
    "gaussian",
    kind="image",
    unit="standard deviation of the noise, on the 0-255 scale",
    table=(20.4, 30.6, 45.9, 66.3, 96.9),
    small=(10.2, 15.3, 20.4, 22.95, 25.5),
    source="ImageNet-C gaussian_noise: .08 .12 .18 .26 .38 of 255, for small images .04 .06 .08 .09 .10",
)
def gaussian(x: Array, sigma: float, rng: np.random.Generator) -> Array:
    """White Gaussian noise, independent in every pixel and channel."""
    noisy: Array = x + np.float32(sigma) * rng.standard_normal(x.shape, dtype=np.float32)
    return noisy


@corruption(
    "salt-pepper",
    kind="image",
    unit="fraction of the pixels",
    table=(0.03, 0.06, 0.09, 0.17, 0.27),
    source="ImageNet-C impulse_noise; there each channel of a pixel is struck by itself, here the whole pixel",
)
def salt_pepper(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Dead pixels, half of them black and half white in all channels."""
    struck = rng.random(x.shape[:-1], dtype=np.float32) < fraction
    white = rng.random(x.shape[:-1], dtype=np.float32) < 0.5
    x[struck] = np.where(white, 255, 0)[struck][:, None]
    return x


@corruption(
    "blank",
    kind="image",
    unit="fraction of the square patches, 8 along the longer side",
    table=(0.1, 0.2, 0.3, 0.4, 0.5),
    source="ours",
)
def blank(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Square patches painted mid-grey."""
    x[patches(x.shape[0], x.shape[1], fraction, rng), :] = GREY
    return x
