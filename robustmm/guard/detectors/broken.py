"""A broken signal: one that holds what is no number, or is stuck (constant, silent, saturated, frozen, empty)."""

import numpy as np
from numpy.typing import NDArray

from robustmm.guard.graph.operators import Operators

CERTAIN = 2.0
"""The score of a signal, or an embedding, with NaN or an infinity: such a modality is always dropped."""


def replace_non_finite(ops: Operators, x: str, axes: int) -> tuple[str, str]:
    """Floats (batch, ...) of so many `axes` beside the batch, with 0 for what is no finite number; and (batch, 1):
    `CERTAIN` for a row with such, else 0."""
    wrong = ops("IsNaN", ops("Sub", x, x))  # the difference of an infinity with itself is NaN
    mark = ops("Where", wrong, ops.constant(CERTAIN), ops.constant(0.0))
    found = ops.reduce("ReduceMax", ops("Reshape", mark, ops.numbers(0, -1)) if axes != 1 else mark, [1])
    return ops("Where", wrong, ops.constant(0.0), x), found


def replace_nan(ops: Operators, x: str, value: float) -> str:
    """For what overflows single precision on the way: a number in the place of NaN."""
    return ops("Where", ops("IsNaN", x), ops.constant(value), x)


def score_stuck(ops: Operators, share: str, usual: float) -> str:
    """(batch, 1) in [0, 1] for the share of a signal that is stuck: 0 up to what is `usual` in clean signals."""
    beyond = ops("Sub", share, ops.constant(usual))
    return ops("Clip", ops("Div", beyond, ops.constant(max(1 - usual, 1e-3))), ops.constant(0.0), ops.constant(1.0))


def usual_share(shares: NDArray[np.float64]) -> float:
    """What 99 of 100 clean signals do not exceed."""
    return float(np.quantile(shares, 0.99)) if len(shares) else 1.0
