import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, log_loss, precision_recall_fscore_support

from robustmm.metrics.classification import (
    FLIP_RATE,
    METRICS,
    accuracy,
    brier,
    class_scores,
    ece,
    flip_rate,
    macro_f1,
    nll,
)

QUICK = settings(deadline=None, max_examples=50)
SCORED = sorted(METRICS)


def drawn(seed, n=200, classes=5, scale=2.0):
    """Probabilities, and a target the model is somewhat right about; the last class never occurs in the target."""
    rng = np.random.default_rng(seed)
    logits = scale * rng.normal(size=(n, classes))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    target = np.where(rng.random(n) < 0.5, probabilities.argmax(axis=1), rng.integers(classes, size=n))
    return probabilities, np.minimum(target, classes - 2)


@pytest.mark.parametrize("seed", range(5))
def test_scikit_learn_agrees(seed):
    p, y = drawn(seed)
    predicted = p.argmax(axis=1)
    assert accuracy(p, y) == pytest.approx(accuracy_score(y, predicted))
    assert macro_f1(p, y) == pytest.approx(f1_score(y, predicted, average="macro", zero_division=0))
    assert nll(p, y) == pytest.approx(log_loss(y, p, labels=range(5)))
    precision, recall, f1, support = precision_recall_fscore_support(y, predicted, labels=range(5), zero_division=0)
    scores = class_scores(p, y)
    np.testing.assert_allclose(scores.precision, precision)
    np.testing.assert_allclose(scores.recall, recall)
    np.testing.assert_allclose(scores.f1, f1)
    np.testing.assert_array_equal(scores.support, support)


def test_scikit_learn_agrees_on_the_binary_brier_score():
    from sklearn.metrics import brier_score_loss

    p, y = drawn(3, classes=2)
    y = p.argmax(axis=1) ^ (np.arange(len(p)) % 3 == 0)
    assert brier(p, y) == pytest.approx(2 * brier_score_loss(y, p[:, 1]))  # both classes are summed


def test_brier_by_hand():
    assert brier([[0.5, 0.3, 0.2]], [0]) == pytest.approx(0.25 + 0.09 + 0.04)
    assert brier([[1.0, 0.0, 0.0]], [2]) == 2.0


def test_macro_f1_counts_the_classes_that_occur_or_are_predicted():
    p = np.eye(4)[[0, 0, 1, 1]]  # class 2 occurs unpredicted; class 3 does neither
    assert macro_f1(p, [0, 0, 1, 2]) == pytest.approx((1 + 2 / 3 + 0) / 3)
    p = np.eye(4)[[0, 0, 3, 3]]  # class 3 is predicted without occurring
    assert macro_f1(p, [0, 0, 1, 1]) == pytest.approx((1 + 0 + 0) / 3)


def test_a_confident_mistake_costs_a_finite_number_of_nats():
    assert nll([[1.0, 0.0]], [1]) == pytest.approx(-np.log(1e-12))
    assert nll([[1.0, 0.0]], [0]) == 0.0


def test_ece_by_hand():
    p = [[0.6, 0.4], [0.3, 0.7], [0.2, 0.8], [0.9, 0.1]]
    y = [0, 0, 1, 0]  # confidences .6 hit, .7 miss, .8 hit, .9 hit
    assert ece(p, y, bins=1) == pytest.approx(abs(0.75 - 0.75))
    assert ece(p, y, bins=2) == pytest.approx((2 * abs(0.5 - 0.65) + 2 * abs(1 - 0.85)) / 4)
    assert ece(p, y, bins=3) == pytest.approx((2 * abs(0.5 - 0.65) + abs(1 - 0.8) + abs(1 - 0.9)) / 4)
    assert ece(p, 1 - np.array(y), bins=3) == pytest.approx((2 * abs(0.5 - 0.65) + abs(0 - 0.8) + abs(0 - 0.9)) / 4)
    assert ece(p, y) == pytest.approx((0.4 + 0.7 + 0.2 + 0.1) / 4)  # fewer samples than bins
    assert ece([[0.75, 0.25]], [0]) == pytest.approx(0.25)


def test_ece_bins_have_equal_mass():
    confidence = np.r_[np.linspace(0.51, 0.52, 90), np.linspace(0.9, 0.99, 10)]  # equal width would make two bins of it
    p, y = np.stack([confidence, 1 - confidence], axis=1), np.r_[np.tile([0, 1], 45), np.zeros(10, int)]
    order = np.argsort(confidence)
    bins = np.array_split(order, 10)
    by_hand = sum(abs((y[b] == 0).sum() - confidence[b].sum()) for b in bins) / 100
    assert ece(p, y, bins=10) == pytest.approx(by_hand)


@QUICK
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 20))
def test_ece_ignores_the_order_of_samples_even_among_ties(seed, n, bins):
    p, y = drawn(seed, n=n)
    p = np.round(p, 1)  # ties
    shuffled = np.random.default_rng(seed).permutation(n)
    assert ece(p, y, bins) == ece(p[shuffled], y[shuffled], bins)


def test_ece_of_one_confidence_is_its_distance_from_the_accuracy():
    p, y = np.tile([0.8, 0.2], (50, 1)), np.arange(50) % 5 // 2 % 2  # 40 % ones, in every order
    assert ece(p, np.sort(y)) == pytest.approx(abs(0.6 - 0.8)) == ece(p, np.sort(y)[::-1])


def test_flip_rate_compares_predictions_only():
    clean, attacked = [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]], [[0.51, 0.49], [0.6, 0.4], [0.0, 1.0]]
    assert flip_rate(clean, attacked) == pytest.approx(1 / 3)
    assert flip_rate(clean, clean) == 0.0
    assert not FLIP_RATE.higher_is_better


def test_equal_probabilities_predict_the_lowest_class():
    assert accuracy([[0.5, 0.5]], [0]) == 1.0
    assert accuracy([[0.5, 0.5]], [1]) == 0.0


def better_or_equal(name, new, old):
    return new >= old - 1e-12 if METRICS[name].higher_is_better else new <= old + 1e-12


@pytest.mark.parametrize("name", sorted(set(SCORED) - {"ece"}))
@QUICK
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 40))
def test_a_uniformly_better_model_never_scores_lower(name, seed, n):
    p, y = drawn(seed, n=n)
    towards_truth = np.random.default_rng(seed).random((n, 1))
    improved = (1 - towards_truth) * p + towards_truth * np.eye(p.shape[1])[y]
    score = METRICS[name].function
    assert better_or_equal(name, score(improved, y), score(p, y))


@pytest.mark.parametrize("name", SCORED)
@QUICK
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 40))
def test_nothing_beats_a_perfect_model_and_a_wrong_one_is_strictly_worse(name, seed, n):
    p, y = drawn(seed, n=n)
    score, truth = METRICS[name].function, np.eye(p.shape[1])
    assert better_or_equal(name, score(truth[y], y), score(p, y))
    assert not better_or_equal(name, score(truth[y - 1], y), score(truth[y], y))


@QUICK
@given(st.floats(0.5, 1), st.integers(0, 20), st.floats(0, 1))
def test_a_better_calibrated_model_never_scores_a_higher_ece(confidence, hits, step):
    y = (np.arange(20) >= hits).astype(int)
    closer = confidence + step * (max(hits / 20, 0.5) - confidence)
    before, after = (ece(np.tile([c, 1 - c], (20, 1)), y) for c in (confidence, closer))
    assert not METRICS["ece"].higher_is_better
    if closer > 0.5:
        assert after <= before + 1e-12


@pytest.mark.parametrize("name", SCORED)
def test_per_sample_values_average_to_the_score(name):
    p, y = drawn(7)
    if METRICS[name].per_sample is not None:
        values = METRICS[name].per_sample(p, y)
        assert values.shape == y.shape
        assert values.mean() == METRICS[name].function(p, y)
    assert (METRICS[name].per_sample is None) == (name in {"ece", "macro-f1"})


@pytest.mark.parametrize("name", SCORED)
def test_what_cannot_be_scored_is_a_sentence(name):
    score, p = METRICS[name].function, np.full((3, 2), 0.5)
    with pytest.raises(ValueError, match="at least one sample, got shape"):
        score(np.empty((0, 2)), np.empty(0, int))
    with pytest.raises(ValueError, match="NaN in 1 of 3 samples"):
        score([[np.nan, 0.5], [0.5, 0.5], [0.5, 0.5]], [0, 1, 0])
    with pytest.raises(ValueError, match="-3 to 4; are these logits"):
        score([[-3.0, 4.0]], [0])
    with pytest.raises(ValueError, match=r"targets from 0 to 1, got 0 to 2"):
        score(p, [0, 1, 2])
    with pytest.raises(ValueError, match=r"got -1 to 1"):
        score(p, [0, 1, -1])
    with pytest.raises(ValueError, match=r"integer target of shape \(3,\)"):
        score(p, [0, 1])
    with pytest.raises(ValueError, match="got float64"):
        score(p, [0.0, 1.0, 1.0])


def test_flip_rate_and_bins_are_checked_too():
    with pytest.raises(ValueError, match="NaN in 1 of 1"):
        flip_rate([[0.5, 0.5]], [[np.nan, 0.5]])
    with pytest.raises(ValueError, match=r"attacked probabilities of shape \(1, 2\), got \(2, 2\)"):
        flip_rate([[0.5, 0.5]], [[0.5, 0.5], [0.5, 0.5]])
    with pytest.raises(ValueError, match="at least 1 bin, got 0"):
        ece([[0.5, 0.5]], [0], bins=0)


def test_inputs_are_not_written_to_and_half_precision_is_welcome():
    p, y = drawn(1)
    kept = p.copy()
    for metric in METRICS.values():
        metric.function(p, y)
        metric.function(p.astype(np.float16), y.astype(np.int8))
    np.testing.assert_array_equal(p, kept)
