"""Delay of audio, video and series: the signal comes late, after silence, its first frame or its first value."""

import math
from typing import Any

import numpy as np

from robustmm.corruptions.base import corruption
from robustmm.corruptions.signals import Array

_DELAY: dict[str, Any] = {
    "unit": "delay, fraction of the duration",
    "table": (0.02, 0.05, 0.1, 0.2, 0.4),
    "source": "ours",
}


def _delay_signal(x: Array, fraction: float, before: Any) -> Array:
    late = np.empty_like(x)
    steps = math.ceil(round(fraction * len(x), 6))  # a clip of few frames is late by one at least
    late[:steps] = before
    late[steps:] = x[: len(x) - steps]
    return late


@corruption("delay", kind="audio", **_DELAY)
def audio(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """The clip comes late, after silence; its end is cut."""
    return _delay_signal(x, fraction, 0)


@corruption("delay", kind="video", **_DELAY)
def video(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """The clip comes late, after its first frame held; its end is cut."""
    return _delay_signal(x, fraction, x[:1])


@corruption("delay", kind="series", **_DELAY)
def series(z: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Every channel comes late, after its first value held; the end is cut."""
    return _delay_signal(z, fraction, z[:1])
