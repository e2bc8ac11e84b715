"""How far an input lies from those of the train split: Mahalanobis distances of its embedding and of its statistics.

Of the embedding there are four, to the nearest class mean and to the mean of all, as it is and brought to length one
(Mahalanobis++, arXiv 2505.18032): no one of them serves every encoder. A distance is told on a scale of its own: 0 is
the median of clean valid samples, 1 their 99th percentile, in the logarithm.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from robustmm.guard.detectors.broken import replace_nan
from robustmm.guard.graph.operators import Operators

Array = NDArray[np.float64]

WIDEST = 128
"""Principal axes of an embedding that distances are measured along."""
TALLEST = 2048
"""Numbers of an embedding that are looked at: those that vary most."""
SHRINKAGE = 0.01
"""Share of the mean variance that is added to every variance."""
LARGEST = 50.0
"""Standard deviations that a statistic is believed to be off at most."""
SMALLEST = 1e-6
FARTHEST = 1e38
"""Square of a distance that is no number: of an embedding whose own squares are none in single precision."""
LOWEST, HIGHEST = -3.0, 10.0
"""Ends of the scale of a distance."""


class Mahalanobis(NamedTuple):
    """|(x - m) W| for the nearest of some means: `whitening` W (n, k), `means` (class, k) in its coordinates, which
    begin at `centre` (n,): far from 0, squares in single precision would leave nothing of a difference."""

    centre: NDArray[np.float32]
    whitening: NDArray[np.float32]
    means: NDArray[np.float32]


class Scale(NamedTuple):
    """Of the logarithm of distances: the median and the 99th percentile of clean samples."""

    median: Array
    high: Array


def fit_mahalanobis(x: Array, group: NDArray[np.int64]) -> Mahalanobis:
    """Of x (sample, n) in groups (one group: class-free), with the covariance that they share."""
    kinds, index = np.unique(group, return_inverse=True)
    means = np.stack([x[index == k].mean(0) for k in range(len(kinds))])
    residual = x - means[index]
    covariance = residual.T @ residual / len(x)
    floor = SHRINKAGE * np.trace(covariance) / len(covariance) + SMALLEST**2
    values, vectors = np.linalg.eigh(covariance)
    whitening = vectors / np.sqrt(np.maximum(values, 0) + floor)
    centre = x.mean(0).astype(np.float32)
    return Mahalanobis(centre, whitening.astype(np.float32), ((means - centre) @ whitening).astype(np.float32))


def fit_projection(x: Array) -> tuple[NDArray[np.int64], NDArray[np.float32] | None]:
    """Which numbers of embeddings x (sample, n) are looked at, and the principal axes (n, k) that they are projected
    to; none where they are few."""
    kept = np.sort(np.argsort(-x.var(0), kind="stable")[:TALLEST])
    if len(kept) <= WIDEST:
        return kept, None
    some = x[:, kept]
    _, _, axes = np.linalg.svd(some - some.mean(0), full_matrices=False)
    return kept, axes[:WIDEST].T.astype(np.float32)


def fit_scale(distances: Array) -> Scale:
    """Of log distances (sample, distance) of clean samples."""
    return Scale(np.median(distances, 0), np.quantile(distances, 0.99, axis=0))


def measure_mahalanobis(ops: Operators, x: str, fitted: Mahalanobis) -> str:
    """The logarithm (batch, 1) of the distance of x (batch, n)."""
    y = ops("MatMul", ops("Sub", x, ops.constant(fitted.centre)), ops.constant(fitted.whitening))
    own = ops.reduce("ReduceSum", ops("Mul", y, y), [1])
    cross = ops("MatMul", y, ops.constant(-2 * fitted.means.T))
    squares = ops("Add", ops("Add", own, cross), ops.constant((fitted.means.astype(np.float64) ** 2).sum(1)))
    nearest = ops("Max", ops.reduce("ReduceMin", replace_nan(ops, squares, FARTHEST), [1]), ops.constant(SMALLEST))
    return ops("Mul", ops("Log", nearest), ops.constant(0.5))


def normalise(ops: Operators, x: str) -> str:
    """x (batch, n) at length one."""
    length = ops("Sqrt", ops.reduce("ReduceSum", ops("Mul", x, x), [1]))
    return ops("Div", x, ops("Max", length, ops.constant(SMALLEST)))


def standardise(ops: Operators, x: str, mean: Array, std: Array) -> str:
    """Statistics (batch, k) in standard deviations of the train split's."""
    off = ops("Div", ops("Sub", x, ops.constant(mean)), ops.constant(std))
    return ops("Clip", off, ops.constant(-LARGEST), ops.constant(LARGEST))


def put_on_scale(ops: Operators, distances: str, scale: Scale) -> str:
    """Log distances (batch, k) as multiples of the way from the median to the 99th percentile."""
    width = np.maximum(scale.high - scale.median, 1e-3)
    off = ops("Div", ops("Sub", distances, ops.constant(scale.median)), ops.constant(width))
    return ops("Clip", off, ops.constant(LOWEST), ops.constant(HIGHEST))
