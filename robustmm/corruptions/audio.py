"""Audio: float32 (T,) in [-1, 1]."""

import numpy as np

from robustmm.corruptions.base import corruption
from robustmm.corruptions.draws import spans
from robustmm.corruptions.signals import Array


@corruption(
    "gaussian",
    kind="audio",
    unit="signal-to-noise ratio over the whole clip, dB",
    table=(30, 20, 10, 5, 0),
    zero=50,
    source="ours, inside the 40 to 0 dB of Speech Robust Bench and AVRobustBench",
)
def gaussian(x: Array, snr: float, rng: np.random.Generator) -> Array:
    """White Gaussian noise at this ratio exactly, before clipping to [-1, 1]; silence has no ratio and stays."""
    noise = rng.standard_normal(x.shape, dtype=np.float32)
    noisy: Array = x + np.float32(_rms(x) / (_rms(noise) or 1) * 10 ** (-snr / 20)) * noise
    return noisy


def _rms(x: Array) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


@corruption(
    "blank",
    kind="audio",
    unit="fraction of the duration, in spans of 5 %",
    table=(0.1, 0.2, 0.3, 0.4, 0.5),
    source="AVRobustBench: muted fraction .1 to .5; the length of the spans is ours",
)
def blank(x: Array, fraction: float, rng: np.random.Generator) -> Array:
    """Spans of silence."""
    x[spans(len(x), fraction, rng)] = 0
    return x
