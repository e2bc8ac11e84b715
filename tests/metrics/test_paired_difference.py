"""The interval of a difference of accuracy on the same samples: by hand, by its definition, and on planted truths."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from robustmm.metrics.noninferiority import Pairs, difference_interval, difference_score, estimate_difference
from robustmm.metrics.sampling import Sampling

Z = float(norm.ppf(0.975))
COUNTS = st.tuples(*[st.integers(0, 60)] * 4).filter(lambda counts: sum(counts) > 0)


def test_where_no_answer_differs_by_hand() -> None:
    """The score is then -sqrt(n gap / (1 - gap)), which is z at gap = z^2 / (n + z^2)."""
    edge = Z**2 / (400 + Z**2)
    assert difference_interval(Pairs(380, 0, 0, 20)) == pytest.approx((-edge, edge))


def test_at_no_difference_it_is_mcnemars_test() -> None:
    assert difference_score(Pairs(50, 9, 4, 7), 0) == pytest.approx((9 - 4) / math.sqrt(9 + 4))


def by_likelihood(pairs: Pairs, gap: float) -> float:
    """The score from its definition: the variance at the likeliest proportions under the hypothesis, searched for."""
    a, b, c, d = pairs
    n = sum(pairs)

    def lack(lost: float) -> float:
        shares = (1 - 2 * lost - gap, lost + gap, lost)
        return -sum(k * math.log(max(p, 1e-300)) for k, p in zip((a + d, b, c), shares, strict=True) if k)

    found = minimize_scalar(lack, bounds=(max(0, -gap), (1 - gap) / 2), method="bounded", options={"xatol": 1e-12})
    return (b - c - n * gap) / math.sqrt(n * (2 * found.x + gap - gap**2))


@pytest.mark.parametrize("pairs", [(50, 9, 4, 7), (10, 1, 12, 3), (30, 5, 0, 5), (0, 3, 9, 0)])
@pytest.mark.parametrize("gap", [-0.3, -0.05, 0.02, 0.2])
def test_it_is_the_score_test(pairs: tuple[int, int, int, int], gap: float) -> None:
    assert difference_score(Pairs(*pairs), gap) == pytest.approx(by_likelihood(Pairs(*pairs), gap), rel=1e-4)


@given(COUNTS)
@settings(max_examples=200)
def test_the_interval_holds_the_value_and_turns_with_the_sides(counts: tuple[int, int, int, int]) -> None:
    a, b, c, d = counts
    low, high = difference_interval(Pairs(a, b, c, d))
    assert -1 <= low <= (b - c) / sum(counts) + 1e-9
    assert 1 >= high >= (b - c) / sum(counts) - 1e-9
    assert difference_interval(Pairs(a, c, b, d)) == pytest.approx((-high, -low), abs=1e-6)
    for end in (low, high):
        if abs(end) < 0.999:
            assert abs(difference_score(Pairs(a, b, c, d), end)) == pytest.approx(Z, abs=1e-4)


@pytest.mark.parametrize("n", [100, 400])
@pytest.mark.parametrize("shares", [(0.86, 0.06, 0.05, 0.03), (0.5, 0.2, 0.1, 0.2)])
def test_it_holds_a_planted_truth_at_the_stated_rate(n: int, shares: tuple[float, ...]) -> None:
    drawn = np.random.default_rng(0).multinomial(n, shares, 4000)
    held = 0
    for counts, times in zip(*np.unique(drawn, axis=0, return_counts=True), strict=True):
        low, high = difference_interval(Pairs(*map(float, counts)))
        held += times * (low <= shares[1] - shares[2] <= high)
    assert 0.94 <= held / 4000 <= 0.965


def test_of_clusters_it_is_students_and_never_narrower() -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.random(200) < 0.8).astype(float), (rng.random(200) < 0.7).astype(float)
    value, alone = estimate_difference(x, y, Sampling())
    _, same = estimate_difference(x, y, Sampling(np.arange(200)))
    assert value == pytest.approx((x - y).mean())
    assert same == pytest.approx(alone, abs=0.004)
    alike = np.repeat(np.arange(20), 10)
    drift = np.repeat(rng.choice([0.0, 1.0], 20), 10)
    _, wide = estimate_difference(drift, np.zeros(200), Sampling(alike))
    _, narrow = estimate_difference(drift, np.zeros(200), Sampling())
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    _, constant = estimate_difference(np.ones(200), np.ones(200), Sampling(alike))
    assert constant == pytest.approx((-(Z**2) / (20 + Z**2), Z**2 / (20 + Z**2)))
