"""Intervals of quantities over samples that were drawn independently, or in clusters whose samples are alike.

A quantity that is no mean is treated as one by its influence: with u_i the influence of sample i, and U_c the sum over
cluster c, of G, the standard error is se^2 = G / (G - 1) sum_c (U_c - mean U)^2 / n^2, and Student's t has G - 1
degrees of freedom; without clusters every sample is one. Sources: Liang and Zeger, "Longitudinal data analysis using
generalized linear models", Biometrika 73 (1986), and Cameron and Miller, "A practitioner's guide to cluster-robust
inference", Journal of Human Resources 50 (2015), with independence as working assumption.

A proportion has Wilson's interval, with the sample size divided by the design effect and Student's quantile, so that it
does not collapse where all samples are right: Korn and Graubard, "Confidence intervals for proportions with small
expected number of positive counts estimated from survey data", Survey Methodology 24 (1998), do so with the exact one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from robustmm.metrics.statistics import (
    Difference,
    Estimate,
    Interval,
    paired_bootstrap,
    resampled_means,
    swapped_means,
    wilson,
    wilson_interval,
)

FEW_CLUSTERS = 10
"""Clusters below which no interval over them is believed: their spread is not known well enough."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sampling:
    """How samples were drawn: `clusters` (sample,) numbers each sample's cluster; None: independently."""

    clusters: NDArray[np.int64] | None = None

    def take(self, rows: NDArray[np.bool_]) -> "Sampling":
        """That of some of the samples (a mask)."""
        return self if self.clusters is None else Sampling(np.unique(self.clusters[rows], return_inverse=True)[1])

    def units(self, n: int) -> int:
        """Independent draws among n samples: samples, or clusters."""
        return n if self.clusters is None else int(self.clusters.max(initial=-1)) + 1

    def totals(self, values: Array) -> Array:
        """Sums (unit, ...) of values (sample, ...) by what was drawn independently."""
        if self.clusters is None:
            return values
        out = np.zeros((self.units(len(values)), *values.shape[1:]))
        np.add.at(out, self.clusters, values)
        return out

    def standard_error(self, influence: ArrayLike) -> Array:
        """Of a quantity with this influence (sample, ...); NaN where there is one draw only."""
        values = np.asarray(influence, np.float64)
        sums = self.totals(values)
        if len(sums) < 2:
            return np.full(values.shape[1:], np.nan)
        found: Array = np.sqrt(len(sums) * sums.var(0, ddof=1)) / len(values)
        return found

    def interval(self, value: ArrayLike, influence: ArrayLike, confidence: float = 0.95) -> Estimate:
        """Student's interval of a quantity (...) with this influence (sample, ...)."""
        values = np.asarray(influence, np.float64)
        units = self.units(len(values))
        quantile = float(stdtrit(units - 1, (1 + confidence) / 2)) if units > 1 else np.nan
        half, middle = quantile * self.standard_error(values), np.asarray(value, np.float64)
        return Estimate(middle, middle - half, middle + half)

    def mean(self, values: ArrayLike, confidence: float = 0.95) -> Estimate:
        """Means (...) of values (sample, ...)."""
        x = np.asarray(values, np.float64)
        return self.interval(x.mean(0), x - x.mean(0), confidence)

    def design_effect(self, values: ArrayLike) -> float:
        """Variance of the mean of values (sample,) over that of as many independent ones; NaN where they do not
        vary."""
        x = np.asarray(values, np.float64)
        alone, together = Sampling().standard_error(x - x.mean()), self.standard_error(x - x.mean())
        return float((together / alone) ** 2) if alone > 0 else float("nan")

    def proportion(self, right: ArrayLike, confidence: float = 0.95) -> Interval:
        """Wilson's interval of a share of 0/1 values (sample,), in the effective number of samples."""
        x = np.asarray(right, np.float64)
        n, share, units = len(x), float(x.mean()), self.units(len(x))
        if self.clusters is None:
            return wilson(int(x.sum()), n, confidence)
        if units < 2:
            return Interval(float("nan"), float("nan"))
        effect = self.design_effect(x)
        effective = units if effect != effect else min(n, n / max(effect, units / n))
        return wilson_interval(share, effective, float(stdtrit(units - 1, (1 + confidence) / 2)))

    def difference(self, a: ArrayLike, b: ArrayLike, *, seed: int, resamples: int = 2000) -> Difference:
        """mean(a - b) of the same samples measured twice. Independent: the paired bootstrap; in clusters: Student's
        interval, and the p of the randomisation test that swaps a and b at random, cluster by cluster."""
        if self.clusters is None:
            return paired_bootstrap(a, b, seed=seed, resamples=resamples)
        gap = np.asarray(a, np.float64) - np.asarray(b, np.float64)
        value, low, high = (float(x) for x in self.mean(gap))
        sums = self.totals(gap)
        swapped = swapped_means(sums, resamples, np.random.default_rng(seed)) * (len(sums) / len(gap))
        extreme = np.abs(swapped) >= abs(value) * (1 - 1e-9)  # equal up to the order of summation
        return Difference(value, low, high, float((1 + extreme.sum()) / (1 + resamples)))

    def resampled_means(self, values: ArrayLike, *, seed: int, resamples: int = 2000) -> Array:
        """Means (resample, column) of values (sample, column) in the bootstrap that draws clusters, or samples, with
        replacement: for what has no influence in closed form."""
        x, rng = np.asarray(values, np.float64), np.random.default_rng(seed)
        if self.clusters is None:
            return resampled_means(x, resamples, rng)
        sums = np.column_stack([self.totals(x), self.totals(np.ones(len(x)))])
        drawn = resampled_means(sums, resamples, rng)
        return drawn[:, :-1] / drawn[:, -1:]
