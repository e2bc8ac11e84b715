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
"""

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import ndtri

from robustmm.metrics.power import paired_samples_to_decide
from robustmm.metrics.statistics import Interval

Outcome = Literal["holds", "fails", "undecided"]


class Pairs(NamedTuple):
    """Counts of samples: right both times, only under the condition, only when clean, and neither time."""

    both: int
    gained: int
    lost: int
    neither: int


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
    return Verdict("undecided", paired_samples_to_decide(sum(pairs), score, confidence))
