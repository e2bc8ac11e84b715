from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustmm.metrics.classification import correctness
from robustmm.metrics.selective import AURC, aurc, coverage_at_risk

QUICK = settings(deadline=None, max_examples=50)
SEEDS = st.integers(0, 2**32 - 1)


def answers(confidence, hits):
    """Two-class probabilities of these confidences, and a target that they hit or miss."""
    confidence = np.asarray(confidence, dtype=float)
    return np.stack([confidence, 1 - confidence], axis=1), 1 - np.asarray(hits, dtype=int)


def drawn(seed, n, decimals=16, classes=4):
    rng = np.random.default_rng(seed)
    p = np.round(rng.dirichlet(np.ones(classes), size=n), decimals)
    return p, np.where(rng.random(n) < p.max(axis=1), p.argmax(axis=1), rng.integers(classes, size=n))


def area_in_order(wrong):
    """The curve's definition, one sample after the other."""
    return np.mean([np.mean(wrong[: k + 1]) for k in range(len(wrong))])


def test_area_by_hand():
    p, y = answers([0.9, 0.6, 0.8, 0.7], [1, 0, 0, 1])  # by confidence: right, wrong, right, wrong
    assert aurc(p, y) == pytest.approx((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4)
    assert aurc(*answers([0.9, 0.8, 0.7, 0.6], [1, 1, 0, 0])) == pytest.approx((0 + 0 + 1 / 3 + 2 / 4) / 4)
    assert aurc(*answers([0.9, 0.8, 0.7, 0.6], [0, 0, 1, 1])) == pytest.approx((1 + 1 + 2 / 3 + 2 / 4) / 4)
    assert aurc(*answers([0.7], [0])) == 1.0
    assert aurc(*answers([0.7], [1])) == 0.0


def test_what_counts_is_the_top_1_confidence_of_any_class():
    p = [[0.1, 0.2, 0.7], [0.5, 0.3, 0.2], [0.05, 0.9, 0.05]]
    assert aurc(p, [2, 0, 0]) == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)  # only the most confident, of class 1, errs
    assert aurc(p, [2, 1, 1]) == pytest.approx((0 + 0 + 1 / 3) / 3)


@QUICK
@given(SEEDS, st.integers(1, 40))
def test_without_ties_it_is_the_curve_one_sample_after_the_other(seed, n):
    p, y = drawn(seed, n)
    order = np.argsort(-p.max(axis=1))
    assert aurc(p, y) == pytest.approx(area_in_order(1 - correctness(p, y)[order]))


@QUICK
@given(st.lists(st.tuples(st.sampled_from([0.6, 0.7, 0.8]), st.booleans()), min_size=1, max_size=6))
def test_of_ties_it_is_the_mean_over_all_orders(samples):
    confidence, hits = map(np.array, zip(*samples, strict=True))
    orders = [list(o) for o in permutations(range(len(hits))) if (np.diff(confidence[list(o)]) <= 0).all()]
    expected = np.mean([area_in_order(1 - hits[order].astype(float)) for order in orders])
    assert aurc(*answers(confidence, hits)) == pytest.approx(expected)


@QUICK
@given(SEEDS, st.integers(1, 60), st.floats(0, 1))
def test_the_order_of_samples_is_of_no_account_even_among_ties(seed, n, risk):
    p, y = drawn(seed, n, decimals=1)
    shuffled = np.random.default_rng(seed).permutation(n)
    assert aurc(p, y) == aurc(p[shuffled], y[shuffled])
    assert coverage_at_risk(p, y, risk) == coverage_at_risk(p[shuffled], y[shuffled], risk)


@QUICK
@given(st.integers(1, 30), st.integers(0, 30))
def test_a_confidence_that_says_nothing_scores_the_error_rate(n, right):
    hits = np.arange(n) < right
    assert aurc(*answers(np.full(n, 0.8), hits)) == pytest.approx(1 - hits.mean())


@QUICK
@given(SEEDS, st.integers(1, 40))
def test_a_uniformly_better_model_never_scores_higher(seed, n):
    p, y = drawn(seed, n)
    step = np.random.default_rng(seed).random((n, 1))
    assert aurc((1 - step) * p + step * np.eye(4)[y], y) <= aurc(p, y) + 1e-12
    assert not AURC.higher_is_better
    assert AURC.function is aurc
    assert AURC.per_sample is None


def test_coverage_by_hand():
    p, y = answers([0.9, 0.8, 0.7, 0.6, 0.55], [1, 0, 1, 1, 0])  # selective risks 0, 1/2, 1/3, 1/4, 2/5
    for risk, coverage in [(0, 0.2), (0.24, 0.2), (0.25, 0.8), (0.39, 0.8), (0.4, 1.0), (1, 1.0)]:
        assert coverage_at_risk(p, y, risk) == coverage, risk
    assert coverage_at_risk(*answers([0.9, 0.8], [0, 1]), 0.49) == 0.0  # the most confident errs
    assert coverage_at_risk(*answers([0.9, 0.8], [0, 1]), 0.5) == 1.0


def test_equal_confidences_are_answered_together_or_not_at_all():
    p, y = answers([0.9, 0.8, 0.8, 0.8, 0.7], [1, 1, 1, 0, 1])
    assert coverage_at_risk(p, y, 0.1) == 0.2  # no threshold picks the two right ones of three at 0.8
    assert coverage_at_risk(p, y, 0.2) == 1.0
    assert coverage_at_risk(p, y, 0.22) == 1.0
    assert coverage_at_risk(p[:4], y[:4], 0.24) == 0.25
    assert coverage_at_risk(p[:4], y[:4], 0.25) == 1.0


@QUICK
@given(SEEDS, st.integers(1, 40), st.floats(0, 1))
def test_coverage_is_what_the_best_threshold_reaches(seed, n, risk):
    p, y = drawn(seed, n, decimals=1)
    confidence, hit, best = p.max(axis=1), correctness(p, y), 0.0
    for threshold in confidence:
        answered = confidence >= threshold
        if (1 - hit[answered]).mean() <= risk:
            best = max(best, answered.mean())
    assert coverage_at_risk(p, y, risk) == pytest.approx(best)


def test_what_cannot_be_scored_is_a_sentence():
    for score in (aurc, lambda p, y: coverage_at_risk(p, y, 0.1)):
        with pytest.raises(ValueError, match="at least one sample, got shape"):
            score(np.empty((0, 2)), np.empty(0, int))
        with pytest.raises(ValueError, match="NaN in 1 of 2 samples"):
            score([[np.nan, 0.5], [0.5, 0.5]], [0, 1])
        with pytest.raises(ValueError, match="are these logits"):
            score([[-3.0, 4.0]], [0])
    for risk in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match=f"risk between 0 and 1, got {risk}"):
            coverage_at_risk([[0.5, 0.5]], [0], risk)
