"""Whether a model keeps a share of its clean accuracy under a condition: the same samples, measured twice.

With x samples right under the condition and y right when clean, of n, the question is the sign of x - share y, and the
retention x / y has an interval. Of the same samples the two move together, so the four counts of the pairs decide. The
score statistic of the hypothesis p_x = share p_y is

    z = (x - share y) / sqrt(n v),    v = share (p10 + p01) = E (X - share Y)^2 under the hypothesis,

with p10 (right under the condition only) and p01 (right when clean only) by maximum likelihood under the hypothesis: a
root of a quadratic. Source: Nam and Blackwelder, "Analysis of the ratio of marginal probabilities in a matched-pair
setting", Statistics in Medicine 21 (2002); Tang, Tang and Chan, Statistics in Medicine 22 (2003). Unlike a bootstrap or
Wald's interval it does not collapse where no answer changes: 35 samples that are all right twice keep 90 %, 34 are too
few, as with Wilson's interval. At a share of 1 it is McNemar's test.

Of samples in clusters the interval is Student's over the clusters, and never narrower than this one.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from robustmm.metrics.power import paired_samples_to_decide, samples_to_clear
from robustmm.metrics.sampling import FEW_CLUSTERS, Sampling
from robustmm.metrics.statistics import Estimate, Interval

Outcome = Literal["holds", "fails", "undecided"]


class Pairs(NamedTuple):
    """Counts of samples: right both times, only under the condition, only when clean, and neither time."""

    both: float
    gained: float
    lost: float
    neither: float


class Verdict(NamedTuple):
    """`holds`: certainly at least the share is kept; `fails`: certainly less; else `undecided`, and with how many
    samples in all, were they like these, it would be decided (infinite at the share itself, NaN if it is decided)."""

    outcome: Outcome
    samples: float


def count_pairs(right: ArrayLike, before: ArrayLike) -> Pairs:
    """The pairs of correctness (sample,) under a condition and when clean."""
    x, y = np.asarray(right, bool), np.asarray(before, bool)
    if x.ndim != 1 or x.shape != y.shape or not len(x):
        raise ValueError(f"expected two of one shape (sample,), at least one sample, got {x.shape} and {y.shape}")
    return Pairs(int((x & y).sum()), int((x & ~y).sum()), int((~x & y).sum()), int((~x & ~y).sum()))


def retention_score(pairs: Pairs, share: float) -> float:
    """z of the hypothesis that exactly `share` (above 0) of clean accuracy is kept: positive where more is."""
    a, b, c, _ = pairs
    seen = a + b + c
    if seen == 0:
        return 0.0
    half = (a + b + 2 * c - share**2 * (a + c)) / 2
    root = (half + math.sqrt(max(0.0, half**2 - (1 + share) * seen * c * (1 - share)))) / ((1 + share) * seen)
    spread = ((1 + share) * root - (1 - share)) * seen  # n v
    return (a + b - share * (a + c)) / math.sqrt(spread) if spread > 0 else 0.0


def retention_interval(pairs: Pairs, confidence: float = 0.95) -> Interval:
    """The shares of clean accuracy that the score test does not reject; NaN where nothing is right when clean."""
    x, y = pairs.both + pairs.gained, pairs.both + pairs.lost
    if y == 0:
        return Interval(math.nan, math.nan)
    from scipy.optimize import brentq  # slow to import, and `predict` judges nothing

    z, middle = float(ndtri((1 + confidence) / 2)), max(x / y, 1e-9)
    far = middle
    while retention_score(pairs, far) > -z:
        far *= 2
    high = brentq(lambda share: retention_score(pairs, share) + z, middle, far)
    low = brentq(lambda share: retention_score(pairs, share) - z, 1e-9, middle) if x else 0.0
    return Interval(float(low), float(high))


def judge_retention(pairs: Pairs, share: float, confidence: float = 0.95) -> Verdict:
    """Whether the interval of the retention lies above or below `share`, in [0, 1]."""
    if share == 0:
        return Verdict("holds", math.nan)
    score, z = retention_score(pairs, share), float(ndtri((1 + confidence) / 2))
    if abs(score) >= z:
        return Verdict("holds" if score > 0 else "fails", math.nan)
    return Verdict("undecided", paired_samples_to_decide(round(math.fsum(pairs)), score, confidence))


class Retention(NamedTuple):
    """Accuracy divided by clean accuracy, its interval, and what it says of a share; NaN where nothing is right when
    clean."""

    value: float
    interval: Interval
    verdict: Verdict


def judge_samples(right: ArrayLike, before: ArrayLike, share: float, sampling: Sampling) -> Retention:
    """The retention of correctness (sample,) under a condition against that when clean, and whether `share` is kept.
    Of fewer clusters than FEW_CLUSTERS nothing is decided."""
    x, y = np.asarray(right, np.float64), np.asarray(before, np.float64)
    pairs = count_pairs(x, y)
    if not y.any():
        return Retention(math.nan, Interval(math.nan, math.nan), judge_retention(pairs, share))
    value = float(x.mean() / y.mean())
    if sampling.clusters is None:
        return Retention(value, retention_interval(pairs), judge_retention(pairs, share))
    spread = sampling.interval(value, (x - value * y) / y.mean())
    low, high = interval = _widen(spread, pairs, retention_interval, sampling)
    if share == 0:
        return Retention(value, interval, Verdict("holds", math.nan))
    if sampling.units(len(x)) < FEW_CLUSTERS:  # more samples of the same few would decide nothing either
        return Retention(value, interval, Verdict("undecided", math.nan))
    if low >= share or high < share:
        return Retention(value, interval, Verdict("holds" if low >= share else "fails", math.nan))
    samples = samples_to_clear(len(x), value, low if value > share else high, share)
    return Retention(value, interval, Verdict("undecided", max(len(x), samples)))


def _widen(spread: Estimate, pairs: Pairs, score_interval: Callable[[Pairs], Interval], sampling: Sampling) -> Interval:
    """Student's interval over clusters, made as wide as the score interval of the pairs as independent samples. Where
    the clusters do not vary each counts as one sample."""
    n, alike = math.fsum(pairs), not spread.high > spread.low
    scale = sampling.units(round(n)) / n if alike else 1.0
    score = score_interval(Pairs(*(scale * count for count in pairs)))
    return Interval(float(np.fmin(spread.low, score.low)), float(np.fmax(spread.high, score.high)))


def difference_score(pairs: Pairs, difference: float) -> float:
    """z of the hypothesis that accuracy changes by `difference`, in (-1, 1): positive where it is higher.

    Of n samples, b are right the second time only and c the first time only:
    z = (b - c - n d) / sqrt(n (2 q + d (1 - d))), with q, the probability of c by maximum likelihood given d, the root
    of 2 n q^2 - (b + c - (2 n - b + c) d) q - c d (1 - d) = 0. Source: Tango, "Equivalence test and confidence interval
    for the difference in proportions for the paired-sample design", Statistics in Medicine 17 (1998).
    """
    _, gained, lost, _ = pairs
    n = math.fsum(pairs)
    half = gained + lost - (2 * n - gained + lost) * difference
    inside = half**2 + 8 * n * lost * difference * (1 - difference)
    root = (half + math.sqrt(max(0.0, inside))) / (4 * n)
    spread = n * (2 * max(root, -difference, 0.0) + difference * (1 - difference))
    return (gained - lost - n * difference) / math.sqrt(spread) if spread > 0 else 0.0


def difference_interval(pairs: Pairs, confidence: float = 0.95) -> Interval:
    """The changes of accuracy that the score test does not reject. Unlike a bootstrap it does not collapse where no
    answer differs: 189 samples with the same answers lose at most 2 points, 188 are too few."""
    from scipy.optimize import brentq

    value, z = (pairs.gained - pairs.lost) / math.fsum(pairs), float(ndtri((1 + confidence) / 2))
    low = high = value
    if value > -1:
        low = brentq(lambda d: difference_score(pairs, d) - z, -1 + 1e-12, value)
    if value < 1:
        high = brentq(lambda d: difference_score(pairs, d) + z, value, 1 - 1e-12)
    return Interval(float(low), float(high))


def estimate_difference(right: ArrayLike, before: ArrayLike, sampling: Sampling) -> tuple[float, Interval]:
    """Accuracy of correctness (sample,) minus that of `before`, on the same samples. Of clusters the interval is
    Student's, and never narrower than the one of independent samples."""
    x, y = np.asarray(right, np.float64), np.asarray(before, np.float64)
    pairs = count_pairs(x, y)
    value = float((x - y).mean())
    if sampling.clusters is None:
        return value, difference_interval(pairs)
    return value, _widen(sampling.mean(x - y), pairs, difference_interval, sampling)
