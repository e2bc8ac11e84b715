"""Augmentations of sound. The masks of SpecAugment (Park et al. 2019) are made on the wave.

The spectrogram is inside the graph, the same in training and in the exported file. On the wave the masks serve every
encoder, also those without a spectrogram. What is masked is silent, where SpecAugment puts the spectrogram's mean.
"""

from typing import Annotated

import numpy as np
from pydantic import Field

from robustmm.augmentations.base import Count, Share, augmentation
from robustmm.corruptions.signals import Array


@augmentation("volume", "audio")
def change_volume(x: Array, rng: np.random.Generator, *, decibels: Annotated[float, Field(ge=0, le=60)] = 6.0) -> Array:
    """Louder or quieter by at most `decibels`; what exceeds full scale is clipped."""
    return x * 10 ** (rng.uniform(-decibels, decibels) / 20)


@augmentation("time-mask", "audio")
def mask_time(x: Array, rng: np.random.Generator, *, count: Count = 2, longest: Share = 0.1) -> Array:
    """`count` spans of time are silent, each of at most `longest` of the clip."""
    for start, end in draw_spans(count, longest, rng) * len(x):
        x[round(start) : round(end)] = 0
    return x


@augmentation("frequency-mask", "audio")
def mask_frequencies(x: Array, rng: np.random.Generator, *, rate: int, count: Count = 2, widest: Share = 0.15) -> Array:
    """`count` bands of frequencies are silent, each of at most `widest` of the mel scale.

    The scale goes from 0 Hz to half the rate; a band is silent in the whole clip.
    """
    spectrum = np.fft.rfft(x)
    mel = np.log1p(np.fft.rfftfreq(len(x), 1 / rate) / 700) / np.log1p(rate / 2 / 700)  # HTK's, as a share
    for start, end in draw_spans(count, widest, rng):
        spectrum[(mel >= start) & (mel < end)] = 0
    return np.fft.irfft(spectrum, len(x))


def draw_spans(count: int, longest: float, rng: np.random.Generator) -> Array:
    """Starts and ends (count, 2) within [0, 1]: lengths up to `longest`, then where they stand, both evenly drawn."""
    lengths = rng.random(count) * longest
    starts = rng.random(count) * (1 - lengths)
    return np.stack([starts, starts + lengths], 1)
