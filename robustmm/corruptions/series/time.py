"""Series in time: steps that are lost, late, held, smoothed or at the wrong moment. float32 (T, D), standardised."""

from functools import lru_cache

import numpy as np

from robustmm.corruptions.base import corruption
from robustmm.corruptions.draws import draw_spans, draw_subset
from robustmm.corruptions.features import draw_deviations
from robustmm.corruptions.signals import Array

_NI = "Ni et al. 2009, Sensor Network Data Fault Types"
_HALF_WAVES = 3
"""Half waves in a warp: a curve of size 1 is then nowhere steeper than 3 pi."""


@corruption(
    "dropped-steps",
    kind="series",
    unit="fraction of the steps",
    table=(0.1, 0.2, 0.4, 0.6, 0.8),
    source="ours: lost packets",
)
def dropped_steps(z: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Single steps are lost and the last that arrived is held, before any the first to come.

    Where none arrives, every channel holds its training mean.
    """
    kept = np.flatnonzero(~draw_subset(len(z), fraction, rng))
    if not len(kept):
        return np.zeros_like(z)
    last = np.searchsorted(kept, np.arange(len(z)), side="right") - 1
    held: Array = z[kept[np.maximum(last, 0)]]
    return held


@corruption(
    "missing-spans",
    kind="series",
    unit="fraction of the duration, in spans of 5 %",
    table=(0.1, 0.2, 0.3, 0.5, 0.7),
    source="ours",
)
def missing_spans(z: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Spans are lost and bridged by straight lines; at the ends the nearest value is held.

    Where all is lost, every channel holds its training mean.
    """
    steps, kept = np.arange(len(z)), np.flatnonzero(~draw_spans(len(z), fraction, rng))
    if not len(kept):
        return np.zeros_like(z)
    return _interpolate(z[kept], np.interp(steps, kept, np.arange(len(kept)))[:, None])


@corruption(
    "stuck-sensor",
    kind="series",
    unit="fraction of the duration",
    table=(0.1, 0.2, 0.4, 0.6, 0.8),
    source=f"ours; the fault: stuck-at of {_NI}",
)
def stuck_sensor(z: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Every channel, from a moment of its own, holds its value for so long; one step alone stays."""
    length = round(fraction * len(z))
    start = np.floor(rng.random(z.shape[1]) * (len(z) - length)).astype(int)
    since = np.arange(len(z))[:, None] - start
    return np.where((since >= 0) & (since < length), z[start, np.arange(z.shape[1])], z)


@corruption(
    "dead-channels",
    kind="series",
    unit="fraction of the channels",
    table=(0.2, 0.4, 0.6, 0.8, 1),
    source=f"ours; the fault: connection or hardware failure of {_NI}",
)
def dead_channels(z: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Channels that fail, each at a moment of its own, and hold their training mean from then on."""
    dead, since = draw_subset(z.shape[1], fraction, rng), rng.integers(len(z), size=z.shape[1])
    z[dead & (np.arange(len(z))[:, None] >= since)] = 0
    return z


@corruption(
    "channel-lag",
    kind="series",
    unit="largest delay of a channel, fraction of the duration",
    table=(0.005, 0.01, 0.02, 0.04, 0.08),
    source="ours: sensors that are not synchronised",
)
def channel_lag(z: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Every channel comes late by a delay of its own, the latest by this one, after its first value held."""
    late = fraction * len(z) * np.abs(draw_deviations(z.shape[1], rng))
    return _interpolate(z, np.arange(len(z))[:, None] - late)


@corruption(
    "time-jitter",
    kind="series",
    unit="standard deviation of the time stamps, steps",
    table=(0.5, 1, 2, 4, 8),
    source="ours",
)
def time_jitter(z: Array, sigma: float, rng: np.random.Generator) -> Array:
    """Every step is taken too early or too late, all channels together; between steps the signal is a line."""
    return _interpolate(z, (np.arange(len(z)) + sigma * rng.standard_normal(len(z)))[:, None])


@corruption(
    "time-warp",
    kind="series",
    unit="largest shift in time, fraction of the duration",
    table=(0.01, 0.02, 0.04, 0.06, 0.1),
    source="ours; the idea: time warping of Um et al. 2017, Data Augmentation of Wearable Sensor Data",
)
def time_warp(z: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Time runs faster and slower in turn, never backwards; the two ends keep their place."""
    heights = rng.standard_normal(_HALF_WAVES)
    last = len(z) - 1
    shift, fine = (np.sum(heights * _half_waves(steps), axis=1) for steps in (len(z), 1001))
    return _interpolate(z, (np.arange(len(z)) + fraction * last * shift / np.abs(fine).max())[:, None])


@corruption(
    "resampling",
    kind="series",
    unit="factor by which the sampling rate falls",
    table=(2, 4, 6, 10, 16),
    zero=1,
    source="ours",
)
def resampling(z: Array, factor: float, rng: np.random.Generator) -> Array:
    """A lower sampling rate: one step in so many is measured, and held until the next."""
    measured = np.floor(np.floor(np.arange(len(z)) / factor) * factor).astype(int)
    held: Array = z[measured]
    return held


@corruption(
    "smoothing",
    kind="series",
    unit="standard deviation of the Gaussian window, steps",
    table=(1, 2, 4, 8, 16),
    zero=0.1,
    source="ours: a sensor or filter that is slow",
)
def smoothing(z: Array, sigma: float, rng: np.random.Generator) -> Array:
    """A Gaussian low-pass; beyond its ends the series holds its first and last value."""
    from scipy.ndimage import gaussian_filter1d

    smooth: Array = gaussian_filter1d(z, sigma, axis=0, mode="nearest")
    return smooth


@lru_cache(maxsize=8)
def _half_waves(steps: int) -> Array:
    """1, 2, 3, ... half waves over so many steps, one a column."""
    return np.asarray(np.sin(np.pi * np.linspace(0, 1, steps)[:, None] * np.arange(1, _HALF_WAVES + 1)))


def _interpolate(z: Array, times: Array) -> Array:
    """The series at times between its steps, on straight lines; before and after it its first and last value."""
    times = np.minimum(np.maximum(times, 0), len(z) - 1)
    before = times.astype(np.intp)
    share = times - before
    after = np.minimum(before + 1, len(z) - 1)
    channels = np.arange(z.shape[1]) if times.shape[1] > 1 else slice(None)
    first, second = (z[index if times.shape[1] > 1 else index[:, 0], channels] for index in (before, after))
    between: Array = (1 - share) * first + share * second
    return between
