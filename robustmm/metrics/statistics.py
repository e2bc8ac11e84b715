"""Uncertainty of numbers: Wilson's interval, the seeded paired bootstrap, paired t-tests, adjusted p-values."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtr, stdtrit

CHUNK = 2**18  # resampled values held at once: bounded memory, and the cache is fast
MAX_KEPT = 2**22  # resampled values that are kept for the next quantity: 21 MB, whatever the number of samples
MAX_DISTINCT = 64  # up to this many distinct values a resample is drawn as their counts, which costs nothing per sample

Array = NDArray[np.float64]


class Interval(NamedTuple):
    low: float
    high: float


class Difference(NamedTuple):
    """`value` with its interval, and the two-sided p-value of "no difference"."""

    value: float
    low: float
    high: float
    p: float


class Estimate(NamedTuple):
    """A mean with its interval, each of the shape of one sample."""

    value: Array
    low: Array
    high: Array


def wilson(successes: int, n: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion: sound at 0 and at n successes, where the bootstrap collapses."""
    if not (n >= 1 and 0 <= successes <= n):
        raise ValueError(f"expected 0 <= successes <= n with n >= 1, got {successes} of {n}")
    return wilson_interval(successes / n, n, float(ndtri(1 - _tail(confidence))))


def wilson_interval(share: float, n: float, quantile: float) -> Interval:
    """Wilson's interval of a share of n samples, which may be an effective number, at a quantile such as 1.96."""
    shrink = 1 + quantile**2 / n
    centre = (share + quantile**2 / (2 * n)) / shrink
    half = quantile * (share * (1 - share) / n + quantile**2 / (4 * n**2)) ** 0.5 / shrink
    return Interval(centre - half if share > 0 else 0.0, centre + half if share < 1 else 1.0)


def paired_bootstrap(
    a: ArrayLike,
    b: ArrayLike,
    *,
    seed: int,
    statistic: Callable[..., Any] = np.mean,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Difference:
    """statistic(a) - statistic(b) of the same samples measured twice, each (sample,).

    The interval is the percentile bootstrap over samples. p is the paired randomisation test, which swaps a and b at
    random, sample by sample: p = (1 + #{|swapped| >= |observed|}) / (1 + resamples). It is never 0; on 0/1 values it is
    McNemar's test. Where a handful of samples differ, trust it rather than the interval. `statistic` takes `axis`.
    """
    x, y = _check_finite(a, "a"), _check_finite(b, "b")
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"expected a and b of one shape (sample,), got {x.shape} and {y.shape}")
    _check_positive(resamples)
    rng = np.random.default_rng(seed)
    if statistic is np.mean:
        value = (x - y).mean()
        drawn = resampled_means((x - y)[:, None], resamples, rng)[:, 0]
        swapped = swapped_means(x - y, resamples, rng)
    else:
        n, gap = len(x), lambda u, v: statistic(u, axis=-1) - statistic(v, axis=-1)
        value = gap(x, y)
        drawn = np.concatenate([gap(x[index], y[index]) for index in _draw_integers(n, resamples, rng, n)])
        swaps = _draw_integers(2, resamples, rng, n)
        swapped = np.concatenate([gap(np.where(swap, y, x), np.where(swap, x, y)) for swap in swaps])
    low, high = np.quantile(drawn, [_tail(confidence), 1 - _tail(confidence)])
    extreme = np.abs(swapped) >= abs(value) * (1 - 1e-9)  # equal up to the order of summation
    return Difference(float(value), float(low), float(high), float((1 + extreme.sum()) / (1 + resamples)))


def paired_t(a: ArrayLike, b: ArrayLike, *, confidence: float = 0.95) -> Difference:
    """mean(a - b) over pairs (pair,), such as seeds, with Student's interval and the two-sided paired t-test.

    Where all n differences are one number, Student's test has no scale, and no interval is given. p is then that of the
    randomisation test, which gives every difference a random sign: 1 if the number is 0, else 2 / 2^n.
    """
    x, y = _check_finite(a, "a"), _check_finite(b, "b")
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise ValueError(f"expected a and b of one shape (pair,), at least two, got {x.shape} and {y.shape}")
    n, gap = len(x), x - y
    mean, error = float(gap.mean()), float(gap.std(ddof=1)) / n**0.5
    if error <= 1e-12 * max(1.0, float(np.abs([x, y]).max())):
        return Difference(mean, float("nan"), float("nan"), 1.0 if abs(mean) <= 1e-12 else 2.0 ** (1 - n))
    half = float(stdtrit(n - 1, 1 - _tail(confidence))) * error
    return Difference(mean, mean - half, mean + half, float(2 * stdtr(n - 1, -abs(mean / error))))


def paired_equivalence(a: ArrayLike, b: ArrayLike, margin: float) -> float:
    """p of "the mean difference reaches the margin on either side", the larger of two one-sided paired t-tests
    (Schuirmann 1987). a and b are (pair,).

    Where all differences are equal, there is no t: 2^-n within the margin, the share of the signs that go as far.
    """
    if not margin > 0:
        raise ValueError(f"expected a margin above 0, got {margin}")
    found = paired_t(a, b)
    n = len(np.asarray(a))
    if found.low != found.low:
        return 2.0**-n if abs(found.value) < margin else 1.0
    error = (found.high - found.value) / float(stdtrit(n - 1, 0.975))
    return float(stdtr(n - 1, (abs(found.value) - margin) / error))


def holm(p: ArrayLike) -> Array:
    """p-values adjusted to control the chance of any false finding: max over smaller ranks k of (n + 1 - k) p_(k)."""
    values = _check_probabilities(p)
    rising = np.argsort(values, kind="stable")
    adjusted = np.empty_like(values)
    steps = values[rising] * np.arange(len(values), 0, -1)
    adjusted[rising] = np.minimum(1.0, np.maximum.accumulate(steps))
    return adjusted


def benjamini_hochberg(p: ArrayLike) -> Array:
    """p-values adjusted to control the false discovery rate: min over larger ranks k of n p_(k) / k."""
    values = _check_probabilities(p)
    falling = np.argsort(-values, kind="stable")
    adjusted = np.empty_like(values)
    adjusted[falling] = np.minimum.accumulate(values[falling] * len(values) / np.arange(len(values), 0, -1))
    return adjusted


def resampled_means(values: Array, resamples: int, rng: np.random.Generator) -> Array:
    """Means (resample, column) of samples (sample, column) drawn with replacement, as counts @ values / n."""
    n = len(values)
    distinct, frequency = np.unique(values, axis=0, return_counts=True)
    if len(distinct) <= MAX_DISTINCT:
        means: Array = rng.multinomial(n, frequency / n, size=resamples) @ distinct / n
        return means
    counts = _keep_draws("counts", n, resamples, rng, lambda: _draw_counts(n, resamples, rng))
    return np.concatenate([each.astype(np.float64) @ values / n for each in counts])


def swapped_means(difference: Array, resamples: int, rng: np.random.Generator) -> Array:
    """Means (resample,) of the differences (sample,) under random signs."""
    n = len(difference)
    size, frequency = np.unique(np.abs(difference), return_counts=True)
    if len(size) <= MAX_DISTINCT:
        means: Array = (2 * rng.binomial(frequency, 0.5, size=(resamples, len(size))) - frequency) @ size / n
        return means
    signs = _keep_draws("signs", n, resamples, rng, lambda: _draw_signs(n, resamples, rng))
    return np.concatenate([each.astype(np.float64) @ difference / n for each in signs])


_KEPT: dict[str, tuple[object, list[NDArray[Any]], Any]] = {}


def _keep_draws(
    name: str, n: int, resamples: int, rng: np.random.Generator, draw: Callable[[], Iterator[NDArray[Any]]]
) -> Iterable[NDArray[Any]]:
    """What `draw` gives, kept for who asks next with a generator in the same state, which is left as after drawing:
    all conditions of an audit are resampled alike, and drawing takes longest."""
    if n * resamples > MAX_KEPT:
        return draw()
    asked = n, resamples, repr(rng.bit_generator.state)
    kept = _KEPT.get(name)
    if kept is None or kept[0] != asked:
        kept = _KEPT[name] = asked, list(draw()), rng.bit_generator.state
    rng.bit_generator.state = kept[2]
    return kept[1]


def _draw_counts(n: int, resamples: int, rng: np.random.Generator) -> Iterator[NDArray[np.uint32]]:
    """How often each sample is drawn (resample, n), a bounded number of resamples at a time."""
    for index in _draw_integers(n, resamples, rng, n):
        index += n * np.arange(len(index))[:, None]  # one run of n counters per resample
        yield np.bincount(index.ravel(), minlength=index.size).reshape(index.shape).astype(np.uint32)


def _draw_signs(n: int, resamples: int, rng: np.random.Generator) -> Iterator[NDArray[np.int8]]:
    """1 or -1 (resample, n), a bounded number of resamples at a time."""
    for swap in _draw_integers(2, resamples, rng, n):
        yield (2 * swap - 1).astype(np.int8)


def _draw_integers(high: int, resamples: int, rng: np.random.Generator, n: int) -> Iterator[NDArray[np.int64]]:
    """Integers below `high`, (resample, n) in all, a bounded number of resamples at a time."""
    rows = max(1, CHUNK // n)
    for start in range(0, resamples, rows):
        yield rng.integers(high, size=(min(rows, resamples - start), n))


def _tail(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"expected a confidence between 0 and 1, got {confidence}")
    return (1 - confidence) / 2


def _check_probabilities(p: ArrayLike) -> Array:
    values = np.asarray(p, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"expected a list of p-values in [0, 1], got {values}")
    return values


def _check_positive(resamples: int) -> None:
    if resamples < 1:
        raise ValueError(f"expected at least 1 resample, got {resamples}")


def _check_finite(values: ArrayLike, name: str) -> Array:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim == 0 or x.size == 0 or not np.isfinite(x).all():
        raise ValueError(f"expected finite values of at least one sample in {name}, got shape {x.shape}")
    return x
