"""Differences and ratios of two quantities of which only the intervals are known.

The method of variance estimates recovery (MOVER): the distance from a value to its bound stands for its spread, each
side for itself. Sources: Newcombe, "Interval estimation for the difference between independent proportions", Statistics
in Medicine 17 (1998), method 10; Donner and Zou, "Closed-form confidence intervals for functions of the normal mean and
standard deviation", Statistical Methods in Medical Research 21 (2012), for the ratio. Both take the two as independent:
of the same samples, whose numbers go up and down together, the interval is too wide, never too narrow.
"""

import math
from typing import NamedTuple


class Ranged(NamedTuple):
    """A value with its interval."""

    value: float
    low: float
    high: float


def difference(a: Ranged, b: Ranged) -> Ranged:
    """a - b."""
    down = math.hypot(a.value - a.low, b.high - b.value)
    up = math.hypot(a.high - a.value, b.value - b.low)
    value = a.value - b.value
    return Ranged(value, value - down, value + up)


def ratio(a: Ranged, b: Ranged) -> Ranged:
    """a / b, of quantities that are not negative. No interval where that of b reaches 0, and no number where b is
    0."""
    if not b.value > 0:
        return Ranged(math.nan, math.nan, math.nan)
    value = a.value / b.value
    if not b.low > 0:
        return Ranged(value, math.nan, math.nan)
    return Ranged(
        value, _ratio_end(a.value, b.value, a.low, b.high, -1), _ratio_end(a.value, b.value, a.high, b.low, 1)
    )


def _ratio_end(a: float, b: float, end: float, other: float, side: int) -> float:
    """An end of the ratio's interval, from the end of a on this side and that of b on the other."""
    product, divisor = a * b, other * (2 * b - other)
    if not divisor > 0:  # the interval of b is so wide that the ratio has no end here
        return math.nan
    root = max(0.0, product**2 - end * (2 * a - end) * divisor)
    return (product + side * math.sqrt(root)) / divisor
