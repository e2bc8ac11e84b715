"""Image noise: what sensors and wires add to single pixels."""

from functools import lru_cache

import cv2
import numpy as np

from robustmm.corruptions.base import corruption
from robustmm.corruptions.draws import PARTS, draw_normals, draw_words, hash_places, normal_edges
from robustmm.corruptions.signals import Array

GREYS = 256
CELLS = 1024
"""Equal parts of [0, 1), in each of which a Poisson count is the same, or unsure."""
UNSURE = 256


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
    from scipy.special import ndtri

    coarse, key = draw_words(x.size, rng), rng.bit_generator.random_raw()
    noise = _normal_steps(sigma).take(coarse)
    unsure = np.flatnonzero(noise == UNSURE)
    uniform = (coarse[unsure] + hash_places(unsure, key)) / PARTS
    noise[unsure] = _round_steps(sigma * ndtri(uniform))
    return cv2.add(x.reshape(len(x), -1), noise.reshape(len(x), -1), dtype=cv2.CV_8U).reshape(x.shape)


@corruption(
    "salt-pepper",
    kind="image",
    unit="fraction of the pixels",
    table=(0.03, 0.06, 0.09, 0.17, 0.27),
    source="ImageNet-C impulse_noise; there each channel of a pixel is corrupted by itself, here the whole pixel",
)
def salt_pepper(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Dead pixels, half of them black and half white in all channels."""
    corrupted = rng.random(x.shape[:-1], dtype=np.float32) < fraction
    white = rng.random(x.shape[:-1], dtype=np.float32) < 0.5
    x[corrupted] = np.where(white, 255, 0)[corrupted][:, None]
    return x


@corruption(
    "shot-noise",
    kind="image",
    unit="photons that make full white",
    table=(60, 25, 12, 5, 3),
    small=(500, 250, 100, 75, 50),
    zero=10_000,
    source="ImageNet-C shot_noise",
)
def shot_noise(x: Array, photons: float, rng: np.random.Generator) -> Array:
    """Too little light: every channel value is a Poisson count of photons; black stays black."""
    first, rising, seen, lowest = _poisson_tables(photons)
    draw = draw_words(x.size, rng).reshape(x.shape)
    place = x.astype(np.intp)
    place *= CELLS
    place += draw // (2**16 // CELLS)
    y = seen.take(place)
    unsure = np.flatnonzero(y == UNSURE)
    grey = x.ravel()[unsure].astype(np.intp)
    value = grey + (draw.ravel()[unsure] + 0.5) / 2**16
    reached = lowest.take(place.ravel()[unsure])
    while (beyond := rising.take(reached) <= value).any():  # of each step that lies in this part of [0, 1)
        reached += beyond
    counts = reached - grey * rising.shape[1] + first[grey]
    y.ravel()[unsure] = _scale_counts(counts, photons)
    return y.astype(np.uint8)


@corruption(
    "impulse-noise",
    kind="image",
    unit="fraction of the channel values",
    table=(0.03, 0.06, 0.09, 0.17, 0.27),
    small=(0.01, 0.02, 0.03, 0.05, 0.07),
    source="ImageNet-C impulse_noise",
)
def impulse_noise(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Bit errors: each channel value is corrupted by itself, half of them become 0 and half 255."""
    place = draw_words(x.size, rng).reshape(x.shape)
    half = round(fraction * 2**15)
    x *= place >= half
    white: Array = (place >= 2**16 - half) * np.uint8(255)
    return np.maximum(x, white)


@corruption(
    "speckle-noise",
    kind="image",
    unit="standard deviation of the noise, as a share of the value it sits on",
    table=(0.15, 0.2, 0.35, 0.45, 0.6),
    small=(0.06, 0.1, 0.12, 0.16, 0.2),
    source="ImageNet-C speckle_noise",
)
def speckle_noise(x: Array, sigma: float, rng: np.random.Generator) -> Array:
    """Gaussian noise in proportion to each channel value, as in radar and ultrasound; black stays black."""
    noise = draw_normals(x.shape, rng)
    noise *= np.float32(sigma)
    noise += 1
    noise *= x
    return noise


@lru_cache(maxsize=8)
def _normal_steps(sigma: float) -> Array:
    """int16 (65536,): the normal noise of each 16-bit draw, in whole grey steps, for a picture of whole grey steps
    rounds as its noise does: six times as fast as normal numbers added and rounded.

    The draws cut the normal distribution into parts of one chance; UNSURE are those within which the step changes.
    """
    edges = _round_steps(sigma * normal_edges())
    return np.where(edges[:-1] == edges[1:], edges[1:], np.int16(UNSURE))


def _round_steps(noise: Array) -> Array:
    """Noise in whole steps; more than 255 either way is as good as 255."""
    return np.clip(np.rint(noise), -255, 255).astype(np.int16)


@lru_cache(maxsize=8)
def _poisson_tables(photons: float) -> tuple[Array, Array, Array, Array]:
    """Poisson counts by inversion of a 16-bit draw: ten times as fast as `rng.poisson`, and of use at every strength.

    The first count of each grey; grey + P(count <= first + i) for i = 0, 1, ...; what the count in each of the CELLS
    parts of [0, 1) is seen as, UNSURE where it changes within; and where each part begins among those sums. Counts
    further than 9 standard deviations and 15 from the mean are left out.
    """
    grey = np.arange(GREYS)[:, None]
    mean = grey * (photons / 255)
    margin = 9 * np.sqrt(mean) + 15
    first = np.maximum(mean - margin, 0).astype(np.intp)
    k = first + np.arange(int(2 * margin[-1, 0]) + 1)
    log_factorial = np.append(0, np.log(np.arange(1, k.max() + 1)).cumsum())
    chance = np.exp(k * np.log(np.maximum(mean, 1e-300)) - mean - log_factorial[k])  # at black only 0 has any
    rising = grey + chance.cumsum(axis=1) / chance.sum(axis=1, keepdims=True)
    rising[:, -1] = grey[:, 0] + 1
    edges = grey + np.arange(CELLS + 1) / CELLS
    edges[:, -1] -= 1e-12
    reached = np.searchsorted(rising.ravel(), edges, side="right")
    at_edges = reached - grey * k.shape[1] + first
    seen = _scale_counts(at_edges[:, :-1], photons)
    seen[at_edges[:, :-1] != at_edges[:, 1:]] = UNSURE
    return first.ravel(), rising, seen, np.ascontiguousarray(reached[:, :-1])


def _scale_counts(counts: Array, photons: float) -> Array:
    """Counts on the 0-255 scale."""
    return np.minimum(np.rint(counts * (255 / photons)), 255).astype(np.uint16)
