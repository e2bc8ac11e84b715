"""The paired difference of accuracy: against brute force, other tests of the same hypothesis, and planted truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from robustmm.comparing.difference import judge_difference, mcnemar
from robustmm.metrics.noninferiority import Pairs, difference_interval, difference_score
from robustmm.metrics.sampling import FEW_CLUSTERS, Sampling
from robustmm.metrics.statistics import paired_bootstrap

counts = st.integers(0, 60)


def arrays(pairs: Pairs) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Correctness after and before, with these counts."""
    a, b, c, d = (int(x) for x in pairs)
    return np.repeat([True, True, False, False], [a, b, c, d]), np.repeat([True, False, True, False], [a, b, c, d])


def score_by_search(pairs: Pairs, d: float) -> float:
    """As `difference_score`, with the likelihood maximised on a fine grid."""
    _, b, c, _ = pairs
    n = sum(pairs)
    q = np.linspace(max(0.0, -d), (1 - d) / 2, 200_001)[1:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        likelihood = b * np.log(q + d) + c * np.log(q) + (n - b - c) * np.log(1 - 2 * q - d)
    best = q[np.nanargmax(likelihood)]
    return float((b - c - n * d) / np.sqrt(n * (2 * best + d - d * d)))


@pytest.mark.parametrize("pairs", [Pairs(40, 3, 9, 8), Pairs(10, 5, 5, 1), Pairs(0, 9, 2, 4), Pairs(80, 1, 4, 15)])
@pytest.mark.parametrize("d", [-0.3, -0.05, 0.02, 0.2])
def test_the_score_is_that_of_the_maximum_likelihood(pairs: Pairs, d: float) -> None:
    assert difference_score(pairs, d) == pytest.approx(score_by_search(pairs, d), rel=1e-3, abs=1e-3)


def test_a_published_interval() -> None:
    """Airway hyper-responsiveness before and after transplantation: 1, 1, 7 and 12 children. Tango's interval as in
    Fagerland, Lydersen and Laake, "Recommended tests and confidence intervals for paired binomial proportions",
    Statistics in Medicine 33 (2014)."""
    low, high = difference_interval(Pairs(1, 1, 7, 12))
    assert (round(low, 3), round(high, 3)) == (-0.517, -0.026)


def test_without_any_difference_it_is_wide_as_long_as_samples_are_few() -> None:
    held = {n: difference_interval(Pairs(n, 0, 0, 0)).low >= -0.02 for n in (188, 189)}
    assert held == {188: False, 189: True}
    hits = np.ones(188, bool)
    found = judge_difference(hits, hits, 0.02, Sampling(), seed=0)
    assert (found.value, found.p) == (0, 1)
    assert found.verdict == ("undecided", 189)
    assert judge_difference(np.ones(189, bool), np.ones(189, bool), 0.02, Sampling(), seed=0).verdict[0] == "holds"


@given(counts, counts, counts, counts)
def test_swapping_the_two_mirrors_everything(a: int, b: int, c: int, d: int) -> None:
    if a + b + c + d == 0:
        return
    low, high = difference_interval(Pairs(a, b, c, d))
    value = (b - c) / (a + b + c + d)
    assert -1 <= low <= value <= high <= 1
    back = difference_interval(Pairs(a, c, b, d))
    assert (back.low, back.high) == pytest.approx((-high, -low), abs=1e-9)
    assert mcnemar(Pairs(a, b, c, d)) == mcnemar(Pairs(a, c, b, d))


@pytest.mark.parametrize("pairs", [Pairs(0, 20, 0, 0), Pairs(0, 0, 20, 0), Pairs(1, 0, 0, 0)])
def test_at_the_ends(pairs: Pairs) -> None:
    low, high = difference_interval(pairs)
    value = (pairs.gained - pairs.lost) / sum(pairs)
    assert low <= value <= high
    assert (low > -1 or value == -1) and (high < 1 or value == 1)  # noqa: PT018


@pytest.mark.parametrize("pairs", [Pairs(50, 3, 9, 8), Pairs(5, 20, 4, 1), Pairs(3, 0, 0, 1), Pairs(3, 2, 2, 1)])
def test_p_is_the_binomial_one_and_the_limit_of_the_randomisation_test(pairs: Pairs) -> None:
    both = int(pairs.gained + pairs.lost)
    expected = stats.binomtest(int(pairs.gained), both).pvalue if both else 1.0
    assert mcnemar(pairs) == pytest.approx(expected, rel=1e-9)
    after, before = arrays(pairs)
    drawn = paired_bootstrap(after, before, seed=0, resamples=20_000)
    assert drawn.p == pytest.approx(expected, abs=0.012)


@pytest.mark.parametrize("loss", [0.0, 0.03])
def test_intervals_hold_the_planted_difference(loss: float) -> None:
    """400 samples; the second run loses 4 % + `loss` of them and gains 4 %."""
    rng, n, held = np.random.default_rng(1), 400, 0
    for _ in range(1500):
        b, c, _ = rng.multinomial(n, [0.04, 0.04 + loss, 0.92 - loss])
        low, high = difference_interval(Pairs(n - b - c, b, c, 0))
        held += low <= -loss <= high
    assert 0.94 <= held / 1500 <= 0.965


def clustered(rng: np.random.Generator, clusters: int, loss: float) -> tuple[NDArray[np.int64], ...]:
    """Correctness after and before of 20 samples a cluster, which are lost and gained together."""
    size, which = 20, np.repeat(np.arange(clusters), 20)
    rate = np.repeat(rng.beta(0.4, 0.4 * (0.8 - loss) / (0.2 + loss), clusters), size)
    before = (rng.random(clusters * size) < 0.8).astype(int)
    after = np.where(before == 1, rng.random(clusters * size) >= rate, before)
    return after.astype(np.int64), before, which


def test_in_clusters_intervals_hold_the_planted_difference() -> None:
    rng, held, free, runs = np.random.default_rng(2), 0, 0, 300
    lost = np.mean([np.subtract(*clustered(rng, 2000, 0.0)[:2]).mean() for _ in range(20)])
    for _ in range(runs):
        after, before, which = clustered(rng, 40, 0.0)
        low, high = judge_difference(after, before, 0.02, Sampling(which), seed=0).interval
        held += low <= lost <= high
        low, high = judge_difference(after, before, 0.02, Sampling(), seed=0).interval
        free += low <= lost <= high
    assert held / runs > 0.92
    assert free / runs < 0.85, "the clusters are planted"


def test_few_clusters_decide_nothing() -> None:
    after, before = np.zeros(200, bool), np.ones(200, bool)
    for number, outcome in ((FEW_CLUSTERS - 1, "undecided"), (FEW_CLUSTERS, "fails")):
        found = judge_difference(after, before, 0.02, Sampling(np.arange(200) % number), seed=0)
        assert found.verdict.outcome == outcome
        assert (found.p == 1) is (outcome == "undecided")
        assert math.isnan(found.verdict.samples), "decided, or by no number of samples of these clusters"


def test_clusters_that_do_not_spread_count_as_one_sample_each() -> None:
    hits = np.ones(300, bool)
    found = judge_difference(hits, hits, 0.02, Sampling(np.arange(300) % 30), seed=0)
    assert found.interval.low == pytest.approx(difference_interval(Pairs(30, 0, 0, 0)).low)
    assert found.verdict.outcome == "undecided"


@pytest.mark.parametrize(
    ("lost", "margin", "outcome"),
    [(0, 0.02, "holds"), (40, 0.02, "fails"), (12, 0.02, "undecided"), (40, 0.2, "holds"), (0, 0.0, "undecided")],
)
def test_three_outcomes(lost: int, margin: float, outcome: str) -> None:
    before = np.ones(500, bool)
    after = np.arange(500) >= lost
    found = judge_difference(after, before, margin, Sampling(), seed=0)
    assert found.verdict.outcome == outcome
    assert found.value == pytest.approx(-lost / 500)
    assert (found.verdict.samples > 0) is (outcome == "undecided")
