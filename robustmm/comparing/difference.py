"""How much accuracy differs between two runs on the same samples, and whether at most a margin is lost.

The interval is that of `metrics.noninferiority.estimate_difference`. p is McNemar's exact one: that of the
randomisation test with all swaps instead of some, so that it has no lowest value and can stand beside those of hundreds
of conditions; of samples in clusters it is that of the randomisation test cluster by cluster.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import bdtr

from robustmm.metrics.noninferiority import Pairs, Verdict, count_pairs, difference_score, estimate_difference
from robustmm.metrics.power import paired_samples_to_decide, samples_to_clear
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


def mcnemar(pairs: Pairs) -> float:
    """The exact two-sided p of "as many are gained as lost"."""
    few, both = min(pairs.gained, pairs.lost), pairs.gained + pairs.lost
    return min(1.0, 2 * float(bdtr(few, both, 0.5)))


def judge_difference(after: ArrayLike, before: ArrayLike, margin: float, sampling: Sampling, *, seed: int) -> Shift:
    """The change from correctness (sample,) `before` to `after`. It holds where certainly at most `margin` is lost, and
    fails where certainly more is; of fewer clusters than FEW_CLUSTERS nothing is decided."""
    pairs, (value, interval) = count_pairs(after, before), estimate_difference(after, before, sampling)
    if sampling.clusters is None:
        return Shift(value, interval, mcnemar(pairs), _judge_samples(pairs, interval, margin))
    units = sampling.units(len(np.asarray(after)))
    p = sampling.difference(after, before, seed=seed, resamples=SWAPS).p if units >= FEW_CLUSTERS else 1.0
    return Shift(value, interval, p, _judge_clusters(value, interval, margin, pairs, units))


def _judge_samples(pairs: Pairs, interval: Interval, margin: float) -> Verdict:
    if interval.low >= -margin:
        return Verdict("holds", math.nan)
    if interval.high < -margin:
        return Verdict("fails", math.nan)
    score = difference_score(pairs, -margin) if margin < 1 else math.inf
    return Verdict("undecided", paired_samples_to_decide(round(math.fsum(pairs)), score))


def _judge_clusters(value: float, interval: Interval, margin: float, pairs: Pairs, units: int) -> Verdict:
    if units < FEW_CLUSTERS:  # more samples of the same few would decide nothing either
        return Verdict("undecided", math.nan)
    if interval.low >= -margin:
        return Verdict("holds", math.nan)
    if interval.high < -margin:
        return Verdict("fails", math.nan)
    n = round(math.fsum(pairs))
    samples = samples_to_clear(n, value, interval.low if value > -margin else interval.high, -margin)
    return Verdict("undecided", max(n, samples))
