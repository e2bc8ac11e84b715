"""Who is unreliable: planted truth is found, the gradient is that of the loss, the graph computes what numpy does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nodes import run_one
from numpy.typing import NDArray
from scipy.optimize import check_grad
from scipy.special import expit, softmax

from robustmm.guard import reliability
from robustmm.guard.reliability import (
    KNOTS,
    NEVER,
    RISE,
    Reliability,
    expect_probabilities,
    fit_reliability,
    list_subsets,
    log_odds,
    raise_hinges,
    write_expectations,
    write_log_odds,
)

Array = NDArray[np.float64]
F, C = 3, 4


def random_fit(rng: np.random.Generator, M: int) -> Reliability:
    return Reliability(rng.gamma(0.5, size=(M, F, len(KNOTS))), rng.normal(-2, 1, M))


def planted(M: int, n: int, seed: int = 0) -> tuple[Array, Array, Array, NDArray[np.int64]]:
    """Features (sample, modality, F), answers (sample, subset, class), true log odds that each modality is garbage
    (they follow from the first feature), targets. The evidence of a modality that is garbage is that of a random class;
    that of the others is sound, and answers are Bayes' rule over those in the subset."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, M, F))
    odds = -3 + 4 * np.clip(features[:, :, 0], 0, 2)
    garbage = rng.random((n, M)) < expit(odds)
    target = rng.integers(C, size=n)
    shown = np.where(garbage, rng.integers(C, size=(n, M)), target[:, None])
    evidence = 2.5 * np.eye(C)[shown] + rng.normal(size=(n, M, C)) * np.sqrt(2.5)
    answers = softmax(np.einsum("sm,nmc->nsc", list_subsets(M).astype(float), evidence), -1)
    return features, answers, odds, target


def fit_planted(M: int, n: int, seed: int = 0) -> Reliability:
    features, answers, _, target = planted(M, n, seed)
    true = np.take_along_axis(answers, target[:, None, None], 2)[..., 0]
    return fit_reliability(features, true, np.ones((n, M), bool), np.ones(n))


@pytest.mark.parametrize(
    ("M", "count"), [(1, 1), (2, 3), (3, 7), (4, 11), (6, 22)]
)  # of M: all, M without one, M (M - 1) / 2 without two
def test_subsets_begin_with_all_then_lack_one_then_two(M: int, count: int) -> None:
    found = list_subsets(M)
    assert len(np.unique(found, axis=0)) == len(found) == count
    assert found[0].all()
    assert found.any(1).all(), "never nothing"
    assert M == 1 or (~found[1 : 1 + M] == np.eye(M, dtype=bool)).all(), "the m-th lacks m alone: gain.m reads it there"
    assert ((~found[1 + M :]).sum(1) == 2).all()


@pytest.mark.parametrize("M", [2, 3])
def test_planted_unreliability_is_found(M: int) -> None:
    fitted = fit_planted(M, 4000)
    features, answers, odds, target = planted(M, 3000, 1)
    found = log_odds(features, np.ones((3000, M), bool), fitted)
    for m in range(M):
        garbage, sound = odds[:, m] > 3, odds[:, m] < -2
        assert np.corrcoef(found[:, m], odds[:, m])[0, 1] > 0.8
        assert np.median(found[garbage, m]) > 1
        assert np.median(found[sound, m]) < -1.5
    assert fitted.weights[:, 0].sum() > 1.5 * fitted.weights[:, 1:].sum(), "the features that say nothing weigh little"
    expected = expect_probabilities(found, answers)
    right = np.take_along_axis(answers, target[:, None, None], 2)[..., 0]
    gain, real = expected[:, 1:] - expected[:, :1], right[:, 1:] - right[:, :1]
    for low, high in ((-1, -0.2), (-0.2, 0.0), (0.0, 0.2), (0.2, 1)):
        some = (gain > low) & (gain <= high)
        assert some.sum() > 30
        error = real[some].std() / np.sqrt(some.sum())
        assert abs(gain[some].mean() - real[some].mean()) < 0.05 + 4 * error, "expected gains are those that come"
    best = expected.argmax(1)
    assert right[np.arange(3000), best].mean() > right[:, 0].mean() + 0.03


def test_where_all_are_sound_nobody_is_accused() -> None:
    rng = np.random.default_rng(0)
    target = rng.integers(C, size=500)
    evidence = 3 * np.eye(C)[target][:, None] + rng.normal(size=(500, 2, C))
    answers = softmax(np.einsum("sm,nmc->nsc", list_subsets(2).astype(float), evidence), -1)
    features = rng.normal(size=(500, 2, F))
    true = np.take_along_axis(answers, target[:, None, None], 2)[..., 0]
    fitted = fit_reliability(features, true, np.ones((500, 2), bool), np.ones(500))
    expected = expect_probabilities(log_odds(features, np.ones((500, 2), bool), fitted), answers)
    assert (expected.argmax(1) == 0).mean() > 0.95


def test_the_gradient_is_that_of_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    features, answers, _, target = planted(3, 40)
    true = np.take_along_axis(answers, target[:, None, None], 2)[..., 0]
    present = np.random.default_rng(0).random((40, 3)) < 0.8
    weight = np.random.default_rng(1).gamma(1, size=40)
    errors = []

    def look(loss, start, **_):  # type: ignore[no-untyped-def]
        for k in range(5):
            x = np.random.default_rng(k).normal(size=len(start))
            assert np.linalg.norm(loss(x)[1]) > 1e-2
            errors.append(check_grad(lambda x: loss(x)[0], lambda x: loss(x)[1], x) / np.linalg.norm(loss(x)[1]))
        raise InterruptedError

    monkeypatch.setattr(reliability, "minimize", look)
    with pytest.raises(InterruptedError):
        fit_reliability(features, true, present, weight)
    assert max(errors) < 1e-4


def test_a_modality_that_is_not_there_is_neither_accused_nor_learned_from() -> None:
    features, answers, _, target = planted(2, 300)
    true = np.take_along_axis(answers, target[:, None, None], 2)[..., 0]
    present = np.ones((300, 2), bool)
    present[:, 1] = False
    other = features.copy()
    other[:, 1] = 1e6
    fits = [fit_reliability(x, true, present, np.ones(300)) for x in (features, other)]
    np.testing.assert_allclose(fits[0].weights[0], fits[1].weights[0], atol=1e-6)
    assert fits[0].weights[1].max() < 0.05, "only the prior moves it"
    assert (log_odds(features, present, fits[0])[:, 1] == NEVER).all()


def test_what_weighs_nothing_changes_nothing() -> None:
    features, answers, _, target = planted(2, 200)
    true = np.take_along_axis(answers, target[:, None, None], 2)[..., 0]
    weight, present = np.repeat([1.0, 0.0], 100), np.ones((200, 2), bool)
    half = fit_reliability(features[:100], true[:100], present[:100], np.full(100, 7.0))
    all_of_it = fit_reliability(features, true, present, weight)
    np.testing.assert_allclose(half.weights, all_of_it.weights, atol=1e-5)
    np.testing.assert_allclose(half.bias, all_of_it.bias, atol=1e-5)


def test_hinges_rise_from_their_knot_and_stay_level() -> None:
    for k, knot in enumerate(KNOTS):
        told = raise_hinges(np.array([knot - 5, knot, knot + RISE / 2, knot + RISE, knot + 50]))[:, k]
        np.testing.assert_allclose(told, [0, 0, RISE / 2, RISE, RISE])


@given(st.integers(0, 2**32 - 1), st.integers(0, 1), st.integers(0, F - 1), st.floats(0, 8))
def test_odds_never_fall_when_a_feature_grows(seed: int, m: int, f: int, by: float) -> None:
    fitted = fit_planted_once()
    features = np.random.default_rng(seed).normal(1, 2, size=(20, 2, F))
    more = features.copy()
    more[:, m, f] += by
    low, high = (log_odds(x, np.ones((20, 2), bool), fitted) for x in (features, more))
    assert (high >= low - 1e-12).all()
    np.testing.assert_array_equal(np.delete(high, m, 1), np.delete(low, m, 1))


KEPT: list[Reliability] = []


def fit_planted_once() -> Reliability:
    if not KEPT:
        KEPT.append(fit_planted(2, 600))
    return KEPT[0]


@pytest.mark.parametrize("M", [2, 3, 6])
@pytest.mark.parametrize("opset", [13, 20])
def test_the_graph_computes_what_numpy_does(M: int, opset: int) -> None:
    rng = np.random.default_rng(M)
    features, present = rng.normal(1, 3, size=(50, M, F)), rng.random((50, M)) < 0.7
    answers = softmax(2 * rng.normal(size=(50, len(list_subsets(M)), C)), -1)
    fitted = random_fit(rng, M)
    odds = log_odds(features, present, fitted)
    told = run_one(
        lambda ops, x, here: write_log_odds(ops, x, here, fitted), features.astype(np.float32), present, opset=opset
    )
    np.testing.assert_allclose(told, odds, rtol=1e-4, atol=1e-4)
    for given_odds in (odds, 300 * odds, np.zeros_like(odds)):
        expected = run_one(
            lambda ops, o, p: write_expectations(ops, o, p, M),
            given_odds.astype(np.float32), answers.astype(np.float32), opset=opset,
        )  # fmt: skip
        np.testing.assert_allclose(expected, expect_probabilities(given_odds, answers), rtol=1e-3, atol=1e-4)


def test_the_expectation_is_the_mixtures_by_hand() -> None:
    answers = np.array([[[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]])
    odds = np.log([[2.0, 0.5]])  # without the first: weight 2; without the second: 1/2; with all: 1
    w = np.array([1, 2, 0.5]) / 3.5
    mixture = w @ answers[0]
    np.testing.assert_allclose(expect_probabilities(odds, answers)[0], answers[0] @ mixture)
