"""Series: float32 (T, D), standardised by the wrapper: what the physics sees has mean 0 and std 1 in training.

What happens to values is here, what happens to time in `time`.
"""

import numpy as np

from robustmm.corruptions import features
from robustmm.corruptions.base import corruption
from robustmm.corruptions.draws import draw_spans
from robustmm.corruptions.features import draw_deviations
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
    z[draw_spans(len(z), fraction, rng)] = 0
    return z


for _same in (
    features.uniform_noise,
    features.speckle_noise,
    features.salt_pepper,
    features.sign_flips,
    features.clipping,
    features.quantisation,
):
    corruption(
        _same.name,
        kind="series",
        unit=_same.unit,
        table=_same.table,
        zero=_same.zero,
        source=_same.source,
        doc=_same.doc,
    )(_same.function)


@corruption(
    "spikes",
    kind="series",
    unit="fraction of the steps",
    table=features.spikes.table,
    source=features.spikes.source,
)
def spikes(z: Array, fraction: float, rng: np.random.Generator, *, height: float = 5.0) -> Array:
    """Steps at which every channel jumps by `height` training standard deviations, each up or down."""
    corrupted: Array = features.spikes.function(z, fraction, rng, height=height)
    return corrupted


@corruption(
    "gain",
    kind="series",
    unit="largest factor by which a channel is multiplied or divided",
    table=features.gain.table,
    zero=features.gain.zero,
    source=features.gain.source,
)
def gain(z: Array, factor: float, rng: np.random.Generator) -> Array:
    """Every channel has a gain of its own about its training mean, the furthest out this factor or its inverse."""
    gained: Array = features.gain.function(z, factor, rng)
    return gained


@corruption(
    "bias",
    kind="series",
    unit="largest offset of a channel, in training standard deviations",
    table=features.offset.table,
    source=features.offset.source,
)
def bias(z: Array, offset: float, rng: np.random.Generator) -> Array:
    """Every channel has a constant offset of its own, up or down, the furthest out of this size."""
    return z + offset * draw_deviations(z.shape[1], rng)


@corruption(
    "drift",
    kind="series",
    unit="largest offset of a channel at the end, in training standard deviations",
    table=(0.5, 1, 2, 4, 8),
    source="ours; the fault: calibration drift of Ni et al. 2009, Sensor Network Data Fault Types",
)
def drift(z: Array, end: float, rng: np.random.Generator) -> Array:
    """Every channel moves away on a straight line, up or down, the fastest to this offset at the last step."""
    passed = np.arange(1, len(z) + 1)[:, None] / len(z)
    return z + end * passed * draw_deviations(z.shape[1], rng)


@corruption(
    "random-walk",
    kind="series",
    unit="standard deviation of the offset at the end, in training standard deviations",
    table=(0.5, 1, 2, 4, 8),
    source="ours: the random walk of an inertial sensor's bias",
)
def random_walk(z: Array, sigma: float, rng: np.random.Generator) -> Array:
    """Every channel drifts by a random walk of its own."""
    steps = rng.standard_normal(z.shape)
    walked: Array = z + sigma / np.sqrt(len(z)) * np.cumsum(steps, axis=0)
    return walked


@corruption(
    "mains",
    kind="series",
    unit="amplitude of the sine, in training standard deviations",
    table=(0.1, 0.25, 0.5, 1, 2),
    source="ours: 50 or 60 Hz as an unknown sampling rate folds it",
)
def mains(z: Array, amplitude: float, rng: np.random.Generator) -> Array:
    """A sine on every channel: one frequency, drawn from 0.05 to 0.45 cycles a step, and a phase for each channel."""
    cycles, phases = rng.uniform(0.05, 0.45), rng.random(z.shape[1])
    hum: Array = amplitude * np.sin(2 * np.pi * (cycles * np.arange(len(z))[:, None] + phases))
    return z + hum


@corruption(
    "axis-rotation",
    kind="series",
    unit="angle, degrees",
    table=(5, 10, 20, 45, 90),
    source="ours; the fault: sensor placement of Um et al. 2017, Data Augmentation of Wearable Sensor Data",
)
def axis_rotation(z: Array, angle: float, rng: np.random.Generator) -> Array:
    """Channels 1 to 3, 4 to 6, ... are the axes of a sensor mounted askew, turned about a random direction.

    They turn about their training mean, with the same scale on every axis. Channels left over stay, so that one or
    two channels alone are untouched.
    """
    count = z.shape[1] // 3
    axes = rng.standard_normal((count, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    vectors = z[:, : 3 * count].reshape(len(z), count, 3)
    turn = np.radians(angle)
    along = axes * np.sum(axes * vectors, axis=2, keepdims=True)
    turned = along + np.cos(turn) * (vectors - along) + np.sin(turn) * np.cross(axes, vectors)
    z[:, : 3 * count] = turned.reshape(len(z), -1) if count else 0
    return z


@corruption(
    "swap-channels",
    kind="series",
    unit="fraction of the duration, in spans of 5 %",
    table=(0.1, 0.2, 0.4, 0.6, 0.8),
    source="ours: packets whose columns are in the wrong order",
)
def swap_channels(z: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Spans in which every channel carries another one, always the same, in standard deviations of its new place.

    One channel alone has none to swap with and stays.
    """
    corrupted, order = draw_spans(len(z), fraction, rng), rng.permutation(z.shape[1])
    swapped = np.empty_like(z)
    swapped[:, order] = z[:, np.roll(order, 1)]
    return np.where(corrupted[:, None], swapped, z)
