"""How much accuracy differs between two runs on the same samples, and whether at most a margin is lost.

Of n samples, b are right in the second run only and c in the first only; the accuracy changes by (b - c) / n. The score
statistic of the hypothesis that it changes by d is

    z = (b - c - n d) / sqrt(n (2 q + d (1 - d))),    q = p(right in the first only) by maximum likelihood given d,

with q the root of 2 n q^2 - (b + c - (2 n - b + c) d) q - c d (1 - d) = 0. Source: Tango, "Equivalence test and
confidence interval for the difference in proportions for the paired-sample design", Statistics in Medicine 17 (1998).
Unlike a bootstrap it does not collapse where no answer differs: 189 samples with the same answers lose at most 2
points, 188 are too few. p is McNemar's exact one: that of the randomisation test with all swaps instead of some, so
that it has no lowest value and can stand beside those of hundreds of conditions.

Of samples in clusters the interval is Student's over the clusters, never narrower than this one, and p is that of the
randomisation test cluster by cluster.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import bdtr, ndtri

from robustmm.metrics.noninferiority import Pairs, Verdict, count_pairs
from robustmm.metrics.power import paired_samples_to_decide
from robustmm.metrics.sampling import FEW_CLUSTERS, Sampling
from robustmm.metrics.statistics import Interval

SWAPS = 20_000
"""Swaps of the randomisation test over clusters: its lowest p, adjusted over a thousand conditions, is still 0.05."""


class Shift(NamedTuple):
    """A change of accuracy with its interval and two-sided p, and whether at most a margin is lost."""

    value: float
    interval: Interval
    p: float
    verdict: Verdict


def difference_score(pairs: Pairs, difference: float) -> float:
    """z of the hypothesis that accuracy changes by `difference`, in (-1, 1): positive where it is higher."""
    _, gained, lost, _ = pairs
    n = math.fsum(pairs)
    half = gained + lost - (2 * n - gained + lost) * difference
    inside = half**2 + 8 * n * lost * difference * (1 - difference)
    root = (half + math.sqrt(max(0.0, inside))) / (4 * n)
    spread = n * (2 * max(root, -difference, 0.0) + difference * (1 - difference))
    return (gained - lost - n * difference) / math.sqrt(spread) if spread > 0 else 0.0


def difference_interval(pairs: Pairs, confidence: float = 0.95) -> Interval:
    """The changes of accuracy that the score test does not reject."""
    value, z = (pairs.gained - pairs.lost) / math.fsum(pairs), float(ndtri((1 + confidence) / 2))
    low = high = value
    if value > -1:
        low = brentq(lambda d: difference_score(pairs, d) - z, -1 + 1e-12, value)
    if value < 1:
        high = brentq(lambda d: difference_score(pairs, d) + z, value, 1 - 1e-12)
    return Interval(float(low), float(high))


def mcnemar(pairs: Pairs) -> float:
    """The exact two-sided p of "as many are gained as lost"."""
    few, both = min(pairs.gained, pairs.lost), pairs.gained + pairs.lost
    return min(1.0, 2 * float(bdtr(few, both, 0.5)))


def judge_difference(after: ArrayLike, before: ArrayLike, margin: float, sampling: Sampling, *, seed: int) -> Shift:
    """The change from correctness (sample,) `before` to `after`. It holds where certainly at most `margin` is lost, and
    fails where certainly more is; of fewer clusters than FEW_CLUSTERS nothing is decided."""
    pairs = count_pairs(after, before)
    if sampling.clusters is None:
        value, interval = (pairs.gained - pairs.lost) / math.fsum(pairs), difference_interval(pairs)
        return Shift(value, interval, mcnemar(pairs), _judge_samples(pairs, interval, margin))
    found = sampling.difference(after, before, seed=seed, resamples=SWAPS)
    units = sampling.units(len(np.asarray(after)))
    alike = not found.high > found.low  # no spread over the clusters: each counts as one sample
    scale = units / math.fsum(pairs) if alike else 1.0
    score = difference_interval(Pairs(*(scale * count for count in pairs)))
    interval = Interval(float(np.fmin(found.low, score.low)), float(np.fmax(found.high, score.high)))
    p = found.p if units >= FEW_CLUSTERS else 1.0
    return Shift(found.value, interval, p, _judge_clusters(found.value, interval, margin, pairs, units))


def _judge_samples(pairs: Pairs, interval: Interval, margin: float) -> Verdict:
    if interval.low >= -margin:
        return Verdict("holds", math.nan)
    if interval.high < -margin:
        return Verdict("fails", math.nan)
    score = difference_score(pairs, -margin) if margin < 1 else math.inf
    return Verdict("undecided", paired_samples_to_decide(round(math.fsum(pairs)), score))


def _judge_clusters(value: float, interval: Interval, margin: float, pairs: Pairs, units: int) -> Verdict:
    if units >= FEW_CLUSTERS and interval.low >= -margin:
        return Verdict("holds", math.nan)
    if units >= FEW_CLUSTERS and interval.high < -margin:
        return Verdict("fails", math.nan)
    n, gap = math.fsum(pairs), abs(value + margin)
    half = value - interval.low if value > -margin else interval.high - value
    return Verdict("undecided", max(n, math.ceil(n * (half / gap) ** 2)) if gap > 0 else math.inf)
