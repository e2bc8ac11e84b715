"""Intervals over samples and over clusters: by hand, against statsmodels' formula, and on planted clustered truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from robustmm.metrics.noninferiority import judge_samples
from robustmm.metrics.sampling import FEW_CLUSTERS, Sampling
from robustmm.metrics.statistics import paired_bootstrap, wilson

Array = NDArray[np.float64]


def draw_clusters(rng: np.random.Generator, groups: int, rho: float, share: float) -> tuple[Array, NDArray[np.int64]]:
    """0/1 values of clusters of 6 to 18 samples, whose correlation within is rho: beta-binomial."""
    sizes = rng.integers(6, 19, groups)
    scale = (1 - rho) / max(rho, 1e-9)
    rates = rng.beta(share * scale, (1 - share) * scale, groups)
    index = np.repeat(np.arange(groups), sizes)
    return (rng.random(len(index)) < rates[index]).astype(float), index


def test_without_clusters_a_mean_has_students_interval() -> None:
    x = np.random.default_rng(0).normal(2, 3, (40, 2))
    found = Sampling().mean(x)
    for column in range(2):
        low, high = stats.t.interval(0.95, 39, x[:, column].mean(), stats.sem(x[:, column]))
        assert (found.low[column], found.high[column]) == pytest.approx((low, high))
    assert np.ndim(Sampling().mean(x[:, 0]).low) == 0


def test_clusters_of_one_sample_are_samples() -> None:
    x = np.random.default_rng(0).normal(size=30)
    np.testing.assert_allclose(Sampling(np.arange(30)).mean(x), Sampling().mean(x))
    assert Sampling(np.arange(30)).design_effect(x) == pytest.approx(1)


def test_equal_clusters_by_hand() -> None:
    """Of equal clusters the means of the clusters are the sample."""
    rng = np.random.default_rng(1)
    index = np.repeat(np.arange(12), 5)
    x = rng.normal(size=12)[index] + rng.normal(size=60)
    means = x.reshape(12, 5).mean(1)
    assert Sampling(index).mean(x)[1:] == pytest.approx(stats.t.interval(0.95, 11, means.mean(), stats.sem(means)))
    effect = (stats.sem(means) / stats.sem(x)) ** 2
    assert Sampling(index).design_effect(x) == pytest.approx(effect)


def test_copies_add_nothing() -> None:
    x = np.random.default_rng(2).normal(size=25)
    copied, index = np.repeat(x, 4), np.repeat(np.arange(25), 4)
    np.testing.assert_allclose(Sampling(index).mean(copied), Sampling().mean(x))
    right = (x > 0).astype(float)
    low, high = Sampling(index).proportion(np.repeat(right, 4))
    exact = wilson(int(right.sum()), 25)
    assert low < exact.low < exact.high < high, "Student's quantile of 24, and Wilson's of infinity"
    assert (low, high) == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize(("groups", "rho"), [(40, 0.0), (40, 0.2), (100, 0.2)])
def test_intervals_of_clustered_samples_hold_the_truth(groups: int, rho: float) -> None:
    """95 % intervals hold the planted share in 94 to 96 of 100 cases, give or take the count of cases."""
    share, cases = 0.75, 2000
    rng = np.random.default_rng(int(100 * rho) + groups)
    held = {"clusters": 0, "mean": 0, "samples": 0}
    for _ in range(cases):
        x, index = draw_clusters(rng, groups, rho, share)
        low, high = Sampling(index).proportion(x)
        held["clusters"] += low <= share <= high
        held["mean"] += bool(np.diff(np.sign(share - np.array(Sampling(index).mean(x)[1:])))[0])
        low, high = Sampling().proportion(x)
        held["samples"] += low <= share <= high
    wiggle = 2 * (0.95 * 0.05 / cases) ** 0.5
    assert 0.94 - wiggle < held["clusters"] / cases < 0.96 + wiggle
    assert 0.94 - wiggle < held["mean"] / cases < 0.96 + wiggle
    assert held["samples"] / cases > 0.94 - wiggle if rho == 0 else held["samples"] / cases < 0.8, "what clusters mend"


def test_the_bootstrap_over_clusters_is_as_wide() -> None:
    rng = np.random.default_rng(3)
    x, index = draw_clusters(rng, 60, 0.3, 0.6)
    sampling = Sampling(index)
    drawn = sampling.resampled_means(np.column_stack([x, 1 - x]), seed=0)
    assert drawn[:, 0].std() == pytest.approx(float(sampling.standard_error(x - x.mean())), rel=0.1)
    np.testing.assert_allclose(drawn.sum(1), 1)
    assert drawn[:, 0].std() > 1.4 * Sampling().resampled_means(x[:, None], seed=0).std()


def test_a_difference_within_clusters() -> None:
    """Of no difference the p-value is uniform over clusters, and far too small over samples."""
    rng, small = np.random.default_rng(4), {"clusters": 0, "samples": 0}
    for seed in range(200):
        index = np.repeat(np.arange(20), 15)
        shift = rng.normal(0, 0.3, 20)[index]
        a, b = rng.normal(shift, 0.2), rng.normal(0, 0.2, 300)
        small["clusters"] += Sampling(index).difference(a, b, seed=seed, resamples=200).p < 0.05
        small["samples"] += Sampling().difference(a, b, seed=seed, resamples=200).p < 0.05
    assert 2 <= small["clusters"] <= 22
    assert small["samples"] > 60
    assert Sampling().difference(a, b, seed=0) == paired_bootstrap(a, b, seed=0)


def test_clusters_that_all_say_the_same_are_as_many_samples() -> None:
    index = np.repeat(np.arange(15), 10)
    low, high = Sampling(index).proportion(np.ones(150))
    assert high == 1
    assert low == pytest.approx(15 / (15 + stats.t.ppf(0.975, 14) ** 2))
    assert Sampling(index).mean(np.ones(150)).low == 1, "a mean has no such floor"
    assert np.isnan(Sampling(np.zeros(9, int)).proportion(np.ones(9))).all(), "one cluster says nothing of others"
    assert np.isnan(Sampling(np.zeros(9, int)).mean(np.arange(9.0)).low)


@given(st.integers(0, 10_000), st.integers(2, 30))
def test_an_interval_is_in_range_and_does_not_depend_on_the_order(seed: int, groups: int) -> None:
    rng = np.random.default_rng(seed)
    x, index = draw_clusters(rng, groups, 0.3, 0.8)
    low, high = Sampling(index).proportion(x)
    assert 0 <= low <= x.mean() <= high <= 1
    order = rng.permutation(len(x))
    assert Sampling(index[order]).proportion(x[order]) == pytest.approx((low, high))
    names = rng.permutation(groups)
    assert Sampling(names[index]).proportion(x) == pytest.approx((low, high))


def test_some_of_the_samples_keep_their_clusters() -> None:
    some = Sampling(np.array([0, 0, 3, 3, 7])).take(np.array([False, True, False, True, True]))
    assert some.clusters is not None
    assert some.clusters.tolist() == [0, 1, 2]
    assert Sampling().take(np.array([True])).clusters is None


def test_retention_over_clusters() -> None:
    rng = np.random.default_rng(5)
    index = np.repeat(np.arange(40), 20)
    before = (rng.random(800) < 0.9).astype(float)
    right = before * (rng.random(800) < rng.beta(2, 2, 40)[index])
    alone, together = (judge_samples(right, before, 0.9, s) for s in (Sampling(), Sampling(index)))
    assert alone.value == together.value == pytest.approx(right.sum() / before.sum())
    assert together.interval.low < alone.interval.low < alone.interval.high < together.interval.high
    assert together.verdict.outcome == "fails"
    same = judge_samples(before, before, 0.9, Sampling(index))
    assert same.value == 1
    assert same.verdict.outcome == "holds"
    few = judge_samples(before, before, 0.9, Sampling(index // 8))
    assert few.verdict.outcome == "undecided", f"{40 // 8} clusters are fewer than {FEW_CLUSTERS}"
    assert math.isnan(few.verdict.samples), "more samples of the same few clusters would not decide"
    assert few.interval.low < same.interval.low
    close = judge_samples(right, before, together.interval.low + 0.01, Sampling(index))
    assert close.verdict.outcome == "undecided"
    assert close.verdict.samples > 800
    assert judge_samples(np.zeros(800), np.zeros(800), 0.9, Sampling(index)).verdict.outcome == "undecided"
    assert judge_samples(right, before, 0.0, Sampling(index)).verdict.outcome == "holds"


def test_retention_over_clusters_holds_the_truth() -> None:
    """A planted retention of 0.8 lies in 95 % of the intervals."""
    rng, held, cases = np.random.default_rng(6), 0, 600
    for _ in range(cases):
        before, index = draw_clusters(rng, 40, 0.2, 0.8)
        kept = rng.beta(8, 2, 40)[index]
        right = before * (rng.random(len(before)) < kept)
        low, high = judge_samples(right, before, 0.9, Sampling(index)).interval
        held += low <= 0.8 <= high
    assert 0.92 < held / cases < 0.975
