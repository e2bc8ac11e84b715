"""Statistics of an input in the graph, against numpy on every kind's shape."""

from math import prod

import numpy as np
import pytest
from nodes import run_nodes
from numpy.typing import NDArray
from signals import clip, course, picture, voice

from robustmm.guard.detectors import statistics
from robustmm.guard.detectors.statistics import LONG, MOST, QUANTILES, SMALLEST, SORTED, measure_signal

Array = NDArray[np.float64]

rng = np.random.default_rng(0)
SIGNALS = {
    "image": np.stack([picture((24, 20, 3), i) for i in range(3)]),
    "large image": np.stack([picture((160, 144, 3), i) for i in range(2)]),
    "audio": np.stack([voice(0.25, 16_000, i) for i in range(3)]),
    "long audio": np.stack([voice(3.0, 16_000, i) for i in range(2)]),
    "video": np.stack([clip(9, (16, 12, 3), i) for i in range(2)]),
    "large video": np.stack([clip(12, (64, 48, 1), i) for i in range(2)]),
    "series": np.stack([course(40, 3, i) for i in range(3)]),
    "wide series": rng.normal(size=(2, 30, 3000)).astype(np.float32),
    "features": rng.normal(size=(4, 20)).astype(np.float32),
    "few features": rng.normal(size=(4, 3)).astype(np.float32),
    "one feature": rng.normal(size=(4, 1)).astype(np.float32),
    "text": rng.integers(0, 900, (3, 12)),
    "halves": rng.normal(size=(2, 9, 9)).astype(np.float16),
}


def thin(x: Array, most: int, kept: int = -1) -> Array:
    """A sample (*shape), every n-th along its longest axes until at most so many numbers are left."""
    step = [1] * x.ndim
    while prod(-(-n // s) for n, s in zip(x.shape, step, strict=True)) > most:
        left = [0 if axis == kept else -(-n // s) for axis, (n, s) in enumerate(zip(x.shape, step, strict=True))]
        if max(left) <= 1:
            break
        step[left.index(max(left))] += 1
    return x[tuple(slice(None, None, s) for s in step)]


def expected(x: Array) -> tuple[list[float], list[float], float]:
    """Statistics, levels and stuck share of one sample (*shape)."""
    whole = thin(x, MOST).ravel()
    at_low, at_high = (whole == whole.min()).mean(), (whole == whole.max()).mean()
    found = [whole.mean(), whole.std(), whole.min(), whole.max(), at_low, at_high]
    stuck, details = [at_low, at_high], []
    for axis in range(x.ndim):
        if x.shape[axis] >= LONG:
            step = np.diff(thin(x, MOST, axis), axis=axis)
            details.append(np.abs(step).mean())
            stuck.append((step == 0).mean())
            found += [details[-1], np.abs(step).max(), stuck[-1]]
    detail = np.mean(details) if details else whole.std()
    return found, [np.log(whole.std() + SMALLEST), np.log(detail + SMALLEST)], max(stuck)


@pytest.mark.parametrize("kind", SIGNALS)
@pytest.mark.parametrize("opset", [13, 20])
def test_the_graph_tells_what_numpy_tells(kind: str, opset: int) -> None:
    x = SIGNALS[kind]
    found, levels, stuck = run_nodes(lambda ops, name: measure_signal(ops, ops.cast(name), x.shape[1:]), x, opset=opset)
    for row, sample in enumerate(x.astype(np.float64)):
        told, scale = expected(sample), np.abs(sample).max()
        quantiles, rest = found[row, 6 : 6 + len(QUANTILES)], np.delete(found[row], np.s_[6 : 6 + len(QUANTILES)])
        np.testing.assert_allclose(rest, told[0], rtol=1e-4, atol=1e-5 * scale)
        ranked = np.sort(thin(sample, SORTED).ravel())
        for q, value in zip(QUANTILES, quantiles, strict=True):
            place = q * (len(ranked) - 1)  # midway between two ranks either is the nearest
            low, high = ranked[int(np.ceil(place - 0.5 - 1e-9))], ranked[int(np.floor(place + 0.5 + 1e-9))]
            assert low - 1e-6 * scale <= value <= high + 1e-6 * scale
        np.testing.assert_allclose(levels[row], told[1], rtol=1e-4, atol=1e-3)
        assert stuck[row, 0] == pytest.approx(told[2], abs=1e-6)


@pytest.mark.parametrize("shape", [(3000, 2, 9), (9, 9), (200_000,), (70, 70, 70), (1, 1), (2, 40_000)])
@pytest.mark.parametrize("most", [10, SORTED, MOST])
def test_no_more_is_looked_at_than_the_limit(shape: tuple[int, ...], most: int) -> None:
    assert statistics._thinned(shape, most) <= most
    for kept in range(len(shape)):
        strides = statistics._strides(shape, most, kept)
        assert strides[kept] == 1
        left = prod(-(-n // s) for n, s in zip(shape, strides, strict=True))
        assert left <= max(most, shape[kept]), "only the axis that is kept may be longer"


def test_a_constant_signal_is_stuck_and_finite() -> None:
    x = np.full((2, 12, 12, 3), 77, np.uint8)
    found, levels, stuck = run_nodes(lambda ops, name: measure_signal(ops, ops.cast(name), x.shape[1:]), x)
    assert (stuck == 1).all()
    assert np.isfinite(found).all()
    np.testing.assert_allclose(levels, np.log(SMALLEST), rtol=1e-5)
