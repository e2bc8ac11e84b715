"""What a signal has lost or gained: spread and detail below those of the train split (dark, blurred, silent, flat), and
above them (noise). Two signals may be equally far from the train split, and one still say what it is."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from robustmm.guard.graph.operators import Operators

Array = NDArray[np.float64]

NARROWEST = 1e-3
"""Least standard deviation of a logarithm."""
HIGHEST = 10.0
LEAST = 0.1
"""Standard deviations that are usual at least."""


class Levels(NamedTuple):
    """Of the train split: mean and standard deviation (2,) of the logarithms of spread and detail."""

    mean: Array
    std: Array


def fit_levels(levels: Array) -> Levels:
    """Of (sample, 2)."""
    return Levels(levels.mean(0), levels.std(0) + NARROWEST)


def usual_change(standardised: Array) -> Array:
    """What 99 of 100 clean samples (sample, k) do not exceed: of each level lost, then of each gained."""
    sides = np.concatenate([-standardised, standardised], 1)
    return np.asarray(np.maximum(np.quantile(sides, 0.99, axis=0), LEAST))


def measure_change(ops: Operators, standardised: str, usual: Array) -> str:
    """(batch, 2 k) of levels (batch, k): lost, then gained, as log2 of 1 + multiples of what is `usual`."""
    sides = ops("Concat", ops("Neg", standardised), standardised, axis=1)
    multiples = ops("Relu", ops("Div", sides, ops.constant(usual)))
    scaled = ops("Mul", ops("Log", ops("Add", multiples, ops.constant(1.0))), ops.constant(1 / np.log(2)))
    return ops("Min", scaled, ops.constant(HIGHEST))
