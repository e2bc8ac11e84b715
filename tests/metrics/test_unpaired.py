"""Differences and ratios from intervals: by hand, and how often they hold a planted truth."""

import math

import numpy as np
import pytest

from robustmm.metrics.power import samples_to_clear
from robustmm.metrics.statistics import wilson
from robustmm.metrics.unpaired import Ranged, difference, ratio


def test_a_difference_by_hand() -> None:
    """Newcombe's method 10 on 56 of 70 and 48 of 80, of his own table: 0.2 [0.0524, 0.3339]."""
    a, b = Ranged(56 / 70, *wilson(56, 70)), Ranged(48 / 80, *wilson(48, 80))
    assert difference(a, b) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
    value, low, high = difference(b, a)
    assert (value, low, high) == pytest.approx((-0.2, -0.3339, -0.0524), abs=5e-5)


def test_a_ratio_by_a_value_that_is_known_is_the_interval_divided() -> None:
    assert ratio(Ranged(0.6, 0.4, 0.9), Ranged(2, 2, 2)) == pytest.approx((0.3, 0.2, 0.45))
    assert ratio(Ranged(1, 1, 1), Ranged(0.5, 0.4, 0.6)) == pytest.approx((2, 1 / 0.6, 1 / 0.4))


def test_a_ratio_by_what_may_be_nothing_has_no_interval() -> None:
    for low in (0.0, -0.1):
        value, *ends = ratio(Ranged(0.6, 0.4, 0.9), Ranged(0.5, low, 0.9))
        assert value == 1.2
        assert all(map(math.isnan, ends))
    assert all(map(math.isnan, ratio(Ranged(0.6, 0.4, 0.9), Ranged(0, 0, 0.1))))
    assert math.isnan(ratio(Ranged(0.6, 0.4, 0.9), Ranged(0.5, 0.4, 1.1)).low)


@pytest.mark.parametrize("together", [0.0, 0.8])
def test_they_hold_the_truth_at_the_stated_rate_or_more_often(together: float) -> None:
    """Of independent proportions 95 %; of the same samples, which go together, more."""
    rng, n, p, q = np.random.default_rng(0), 200, 0.8, 0.6
    held = np.zeros(2)
    for _ in range(2000):
        u, v = rng.random(n), rng.random(n)
        x, y = u < p, np.where(rng.random(n) < together, u, v) < q
        a, b = (Ranged(float(z.mean()), *wilson(int(z.sum()), n)) for z in (x, y))
        found = difference(a, b), ratio(a, b)
        held += [one.low <= truth <= one.high for one, truth in zip(found, (p - q, p / q), strict=True)]
    held /= 2000
    assert (held > 0.94).all()
    assert (held < 0.965).all() if not together else (held > 0.99).all()


def test_samples_to_clear_are_those_that_clear() -> None:
    """A mean's interval of the half width 2 / sqrt(n)."""
    n, value, bound = 100, 0.9, 0.8
    assert samples_to_clear(n, value, value - 2 / n**0.5, bound) == pytest.approx(400, abs=1)
    assert value - 2 / 400**0.5 == pytest.approx(bound)
    assert samples_to_clear(n, 0.7, 0.7 + 2 / n**0.5, bound) == pytest.approx(400, abs=1)
    assert samples_to_clear(n, 0.8, 0.6, 0.8) == math.inf
    with pytest.raises(ValueError, match="at least 1 sample"):
        samples_to_clear(0, 0.5, 0.4, 0.3)
