"""A task whose truth is known: M modalities, each a signal of strength d_m in standard normal noise.

Of two equally likely classes y, modality m observes (2 y - 1) d_m + N(0, 1), independently given y. The Bayes
classifier of a subset S has the logit sum_(m in S) 2 d_m x_m for class 1 and is right with probability
Phi(sqrt(sum_(m in S) d_m^2)); of nothing, and of a signal of no strength, it is right half the time: a coin.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from robustmm.metrics.contribution import subset_masks

PRIOR = (0.5, 0.5)


class Planted(NamedTuple):
    inputs: dict[str, NDArray[np.float32]]  # m0, m1, ...: (n, 1)
    target: NDArray[np.int64]  # (n,)
    truth: NDArray[np.float64]  # (2**M,) accuracy of the Bayes classifier of subset k, which holds m iff (k >> m) & 1


def planted(n: int, d: Sequence[float], seed: int) -> Planted:
    rng = np.random.default_rng(seed)
    target = rng.integers(2, size=n)
    observed = (2 * target[:, None] - 1) * np.asarray(d) + rng.normal(size=(n, len(d)))
    inputs = {f"m{m}": observed[:, [m]].astype(np.float32) for m in range(len(d))}
    return Planted(inputs, target, ndtr(strength(d)))


def strength(d: Sequence[float]) -> NDArray[np.float64]:
    """sqrt(sum of d_m^2) of every subset (2**M,)."""
    return np.sqrt(subset_masks(len(d)) @ np.square(d))


def bayes(inputs: dict[str, NDArray[np.float32]], d: Sequence[float]) -> NDArray[np.float64]:
    """What the Bayes classifier of every subset answers: probabilities (n, 2**M, 2)."""
    observed = np.concatenate(list(inputs.values()), axis=1).astype(np.float64)
    one = expit(2 * (observed * d) @ subset_masks(len(d)).T)
    return np.stack([1 - one, one], axis=2)
