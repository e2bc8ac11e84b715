"""The noise attacks of QMF (Zhang et al., ICML 2023, arXiv:2306.02050), on which PDF and CAL-like papers report.

Their epsilon (0, 5, 10) is ten times the level: epsilon 5 is level 0.5. "Gaussian noise of epsilon" has a standard
deviation of 10 epsilon on the 0-255 scale (it is called a variance there, and given to numpy as a scale); each
modality of each sample meets it with probability 0.5, which is the suite's `probability`, not the corruption's. Their
salt and pepper is `salt-pepper` on a tenth of the pixels, with a probability that the suites name.
"""

import re

import numpy as np

from robustmm.corruptions.base import corruption
from robustmm.corruptions.signals import Array

EPSILON = (2, 4, 6, 8, 10)


@corruption(
    "qmf-gaussian",
    kind="image",
    unit="standard deviation of the noise, on the 0-255 scale",
    table=[10 * e for e in EPSILON],
    source="QMF's image-text protocol: 10 epsilon, for epsilon 2, 4, ... 10",
)
def gaussian(x: Array, sigma: float, rng: np.random.Generator) -> Array:
    """White Gaussian noise that is the same in all channels of a pixel, clipped at both ends."""
    return x + sigma * rng.standard_normal(x.shape[:2])[:, :, None]


@corruption(
    "qmf-gaussian-exact",
    kind="image",
    unit="standard deviation of the noise, on the 0-255 scale",
    table=[10 * e for e in EPSILON],
    source="QMF's code: 10 epsilon, numpy's seed set to 0 at each call, negative values wrap around",
)
def gaussian_exact(x: Array, sigma: float, rng: np.random.Generator) -> Array:
    """As the original's code does it: one and the same noise pattern on every image, only values above 255 clipped,
    negative ones wrapped around by the cast to uint8. Needed to repeat published numbers, and for nothing else."""
    noisy = x + np.random.RandomState(0).normal(0.0, sigma, x.shape[:2])[:, :, None]
    return np.asarray(np.minimum(noisy, 255).astype(np.int64) % 256, np.uint8)


@corruption(
    "qmf-blank",
    kind="text",
    unit="probability per word",
    table=[e / 10 for e in EPSILON],
    source='QMF\'s protocol: a word becomes "_" with probability epsilon / 10',
)
def blank(x: str, probability: float, rng: np.random.Generator) -> str:
    """Words between white space replaced by "_"."""
    return re.sub(r"\S+", lambda word: "_" if rng.random() < probability else word[0], x)
