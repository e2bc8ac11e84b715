"""Statistics of an input as the graph gets it, whatever its kind: level, spread, steps between neighbours, how much of
it lies at its ends. They tell a signal that looks like no training signal where its embedding does not."""

from collections.abc import Sequence
from math import prod

from robustmm.guard.graph.operators import Operators

MOST = 2**15
"""Numbers of a sample that are looked at; of a larger signal every second, third, ... along its longest axes."""
SORTED = 2**10
"""Numbers of a sample that quantiles are taken of."""
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
SMALLEST = 1e-6
"""Added to spreads before their logarithm."""
LONG = 8
"""Length from which neighbours along an axis are compared: shorter ones are colours and channels."""


def measure_signal(ops: Operators, x: str, shape: Sequence[int]) -> tuple[str, str, str]:
    """Of finite numbers (batch, *shape): statistics (batch, k); the logarithms (batch, 2) of its spread and of its
    detail, the mean step between neighbours; and the largest share (batch, 1) of it that is stuck, equal to a neighbour
    or at the signal's own lowest or highest value."""

    def flat(y: str) -> str:
        return ops("Reshape", y, ops.numbers(0, -1))

    def mean(y: str) -> str:
        return ops.reduce("ReduceMean", y, [1])

    def share(y: str, value: str) -> str:
        return mean(ops.cast(ops("Equal", y, value)))

    def log(y: str) -> str:
        return ops("Log", ops("Add", y, ops.constant(SMALLEST)))

    whole = flat(ops.cast(_thin(ops, x, shape, MOST)))
    centre = mean(whole)
    offset = ops("Sub", whole, centre)
    spread = ops("Sqrt", mean(ops("Mul", offset, offset)))
    low, high = ops.reduce("ReduceMin", whole, [1]), ops.reduce("ReduceMax", whole, [1])
    at_low, at_high = share(whole, low), share(whole, high)
    found, stuck, details = [centre, spread, low, high, at_low, at_high], [at_low, at_high], list[str]()
    found.append(_quantiles(ops, flat(ops.cast(_thin(ops, x, shape, SORTED))), _thinned(shape, SORTED)))
    for axis in _long_axes(shape):
        part, length = ops.cast(_thin(ops, x, shape, MOST, axis)), shape[axis]
        step = flat(ops("Sub", ops.slice(part, axis + 1, 1, length), ops.slice(part, axis + 1, 0, length - 1)))
        size, equal = ops("Abs", step), share(step, ops.constant(0.0))
        details.append(mean(size))
        stuck.append(equal)
        found += [details[-1], ops.reduce("ReduceMax", size, [1]), equal]
    detail = ops("Mean", *details) if details else spread
    levels = ops("Concat", log(spread), log(detail), axis=1)
    return ops("Concat", *found, axis=1), levels, ops("Max", *stuck)


def _quantiles(ops: Operators, x: str, length: int) -> str:
    """(batch, quantile) of x (batch, length): the nearest rank."""
    ranks = [round((1 - q) * (length - 1)) for q in QUANTILES]
    return ops("Gather", ops.sort(x, length), ops.numbers(*ranks), axis=1)


def _long_axes(shape: Sequence[int]) -> list[int]:
    return [axis for axis, length in enumerate(shape) if length >= LONG]


def _strides(shape: Sequence[int], most: int, kept: int = -1) -> list[int]:
    """A step for every axis, so that at most so many numbers are left; the axis `kept` stays whole while others can
    give way."""
    strides = [1] * len(shape)
    left = list(shape)
    while prod(left) > most:
        free = [axis for axis in range(len(shape)) if axis != kept and left[axis] > 1] or [kept]
        if free == [kept]:
            break
        axis = max(free, key=lambda axis: left[axis])
        strides[axis] += 1
        left[axis] = -(-shape[axis] // strides[axis])
    return strides


def _thinned(shape: Sequence[int], most: int) -> int:
    return prod(-(-n // step) for n, step in zip(shape, _strides(shape, most), strict=True))


def _thin(ops: Operators, x: str, shape: Sequence[int], most: int, kept: int = -1) -> str:
    for axis, step in enumerate(_strides(shape, most, kept)):
        if step > 1:
            x = ops.slice(x, axis + 1, 0, shape[axis], step)
    return x
