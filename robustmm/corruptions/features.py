"""Features: float32 (D,), standardised by the wrapper: mean 0, std 1 in training. Series share what fits any shape."""

import numpy as np

from robustmm.corruptions.base import corruption
from robustmm.corruptions.draws import draw_spans, draw_subset
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
    z[draw_subset(len(z), fraction, rng)] = 0
    return z


@corruption(
    "block-loss",
    kind="features",
    unit="fraction of the entries, in blocks of 5 %",
    table=(0.1, 0.2, 0.3, 0.4, 0.5),
    source="ours: one of several instruments whose readings lie side by side is gone",
)
def block_loss(z: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Blocks of neighbouring entries that hold their training mean."""
    z[draw_spans(len(z), fraction, rng)] = 0
    return z


@corruption(
    "uniform-noise",
    kind="features",
    unit="largest size of the noise, in training standard deviations",
    table=(0.5, 1, 2, 4, 8),
    source="ours",
)
def uniform_noise(z: Array, largest: float, rng: np.random.Generator) -> Array:
    """Noise drawn evenly from both sides of zero, independent in every value."""
    return z + largest * rng.uniform(-1, 1, z.shape)


@corruption(
    "speckle-noise",
    kind="features",
    unit="standard deviation of the noise, as a fraction of the value's distance from its training mean",
    table=(0.15, 0.2, 0.35, 0.45, 0.6),
    source="ImageNet-C's constants for its speckle noise",
)
def speckle_noise(z: Array, sigma: float, rng: np.random.Generator) -> Array:
    """Noise in proportion to what is measured; a value at its training mean stays."""
    return z * (1 + sigma * rng.standard_normal(z.shape))


@corruption(
    "spikes",
    kind="features",
    unit="fraction of the entries",
    table=(0.01, 0.02, 0.05, 0.1, 0.2),
    source="ours; the fault: spikes of Ni et al. 2009, Sensor Network Data Fault Types",
)
def spikes(z: Array, fraction: float, rng: np.random.Generator, *, height: float = 5.0) -> Array:
    """Entries that jump by `height` training standard deviations, up or down."""
    corrupted, signs = draw_subset(len(z), fraction, rng), rng.choice((-1.0, 1.0), z.shape)
    z[corrupted] += height * signs[corrupted]
    return z


@corruption(
    "salt-pepper",
    kind="features",
    unit="fraction of the values",
    table=(0.03, 0.06, 0.09, 0.17, 0.27),
    source="ImageNet-C's constants for its impulse noise",
)
def salt_pepper(z: Array, fraction: float, rng: np.random.Generator, *, rail: float = 4.0) -> Array:
    """Values that read one end of the range, `rail` training standard deviations above or below the mean."""
    corrupted, signs = _draw_value_mask(z, fraction, rng), rng.choice((-1.0, 1.0), z.shape)
    return np.where(corrupted, rail * signs, z)


@corruption(
    "sign-flips",
    kind="features",
    unit="fraction of the values",
    table=(0.05, 0.1, 0.2, 0.3, 0.5),
    source="ours",
)
def sign_flips(z: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Values that lie as far on the other side of their training mean."""
    return np.where(_draw_value_mask(z, fraction, rng), -z, z)


@corruption(
    "swap-entries",
    kind="features",
    unit="fraction of the entries",
    table=(0.1, 0.2, 0.4, 0.6, 1),
    source="ours: columns in the wrong order",
)
def swap_entries(z: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Entries that go round among themselves, in training standard deviations of their new place; one alone stays."""
    corrupted = rng.permutation(len(z))[: round(fraction * len(z))]
    z[corrupted] = z[np.roll(corrupted, 1)]
    return z


@corruption(
    "offset",
    kind="features",
    unit="offset, in training standard deviations",
    table=(0.25, 0.5, 1, 2, 4),
    source="ours; the fault: calibration offset of Ni et al. 2009, Sensor Network Data Fault Types",
)
def offset(z: Array, deviations: float, rng: np.random.Generator) -> Array:
    """Every entry reads too high by the same offset, in every sample: an instrument out of calibration."""
    return z + deviations


@corruption(
    "wrong-scale",
    kind="features",
    unit="factor",
    table=(1.25, 1.5, 2, 3, 5),
    zero=1,
    source="ours: a normalisation that is not the one of training",
)
def wrong_scale(z: Array, factor: float, rng: np.random.Generator) -> Array:
    """The whole vector lies this many times as far from the training mean, in every sample."""
    return z * factor


@corruption(
    "gain",
    kind="features",
    unit="largest factor by which an entry is multiplied or divided",
    table=(1.1, 1.25, 1.5, 2, 3),
    zero=1,
    source="ours; the fault: calibration gain of Ni et al. 2009, Sensor Network Data Fault Types",
)
def gain(z: Array, factor: float, rng: np.random.Generator) -> Array:
    """Every entry has a gain of its own about its training mean, the furthest out this factor or its inverse."""
    return z * factor ** draw_deviations(z.shape[-1], rng)


@corruption(
    "clipping",
    kind="features",
    unit="largest value that is read, in training standard deviations from the mean",
    table=(1.5, 1.25, 1, 0.75, 0.5),
    zero=4,
    source="ours; the fault: clipping of Ni et al. 2009, Sensor Network Data Fault Types",
)
def clipping(z: Array, limit: float, rng: np.random.Generator) -> Array:
    """Values beyond the range, on either side, read its end."""
    return np.clip(z, -limit, limit)


@corruption(
    "quantisation",
    kind="features",
    unit="step, in training standard deviations",
    table=(0.1, 0.25, 0.5, 1, 2),
    zero=0.01,
    source="ours",
)
def quantisation(z: Array, step: float, rng: np.random.Generator) -> Array:
    """Values are rounded to whole steps from their training mean."""
    return np.asarray(step * np.rint(z / step))


def draw_deviations(size: int, rng: np.random.Generator) -> Array:
    """Random numbers in [-1, 1], the largest in size exactly 1 or -1."""
    numbers = 1 - rng.random(size)  # never 0
    return np.asarray(rng.choice((-1.0, 1.0), size) * numbers / numbers.max())


def _draw_value_mask(z: Array, fraction: float, rng: np.random.Generator) -> Array:
    """A mask over single values, whatever the shape."""
    return draw_subset(z.size, fraction, rng).reshape(z.shape)
