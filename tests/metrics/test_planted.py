"""Reported intervals cover a truth that is known: accuracies of all subsets and Shapley values, 200 times measured."""

from collections.abc import Callable
from itertools import permutations
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from planted import PRIOR, bayes, planted, strength
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import binom, norm

from robustmm.metrics.classification import accuracy
from robustmm.metrics.contribution import accuracy_game, efficiency_residual, probability_game, shapley, subset_masks
from robustmm.metrics.sampling import Sampling
from robustmm.metrics.statistics import wilson

D = (1.1, 0.7, 0.3)
REPEATS, SAMPLES, CONFIDENCE = 200, 400, 0.95
TOLERANCE = binom.ppf([0.0005, 0.9995], REPEATS, CONFIDENCE) / REPEATS  # what luck leaves of 95 %: 0.89 to 0.99


class Measured(NamedTuple):
    """Estimates and the bounds of their intervals, each (repeat, quantity)."""

    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def accuracies() -> Measured:
    hits = []
    for seed in range(REPEATS):
        inputs, target, truth = planted(SAMPLES, D, seed)
        answers = bayes(inputs, D)
        hits.append([round(accuracy(answers[:, k], target) * SAMPLES) for k in range(1, len(truth))])
    bounds = np.array([[wilson(hit, SAMPLES) for hit in row] for row in hits])
    return Measured(np.divide(hits, SAMPLES), bounds[..., 0], bounds[..., 1])


def contributions(game: Callable[..., NDArray[np.float64]]) -> Measured:
    estimates = []
    for seed in range(REPEATS):
        inputs, target, _ = planted(SAMPLES, D, seed)
        estimates.append(Sampling().mean(shapley(game(bayes(inputs, D), target, PRIOR))))
    return Measured(*map(np.array, zip(*estimates, strict=True)))


def honest(measured: Measured, truth: NDArray[np.float64]) -> None:
    """Estimates are right on average, intervals as wide as the estimates scatter, and 95 % of them hold the truth."""
    scatter = measured.value.std(axis=0, ddof=1)
    assert (np.abs(measured.value.mean(axis=0) - truth) < 4 * scatter / REPEATS**0.5).all()
    width = (measured.high - measured.low).mean(axis=0)
    assert np.mean(width / (2 * scatter)) == pytest.approx(norm.ppf((1 + CONFIDENCE) / 2), rel=0.1)
    share = ((measured.low <= truth) & (truth <= measured.high)).mean(axis=0)
    assert ((TOLERANCE[0] <= share) & (share <= TOLERANCE[1])).all(), share


def shapley_by_orders(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The definition: what each modality adds on joining, averaged over all orders."""
    phi = np.zeros(len(D))
    orders = list(permutations(range(len(D))))
    for order in orders:
        joined = 0
        for m in order:
            phi[m] += (values[joined | 1 << m] - values[joined]) / len(orders)
            joined |= 1 << m
    return phi


def test_the_task_by_hand() -> None:
    inputs, target, truth = planted(50_000, (0.5, 2.0), seed=0)
    assert truth == pytest.approx([0.5, norm.cdf(0.5), norm.cdf(2.0), norm.cdf(4.25**0.5)])
    assert {name: x.shape for name, x in inputs.items()} == {"m0": (50_000, 1), "m1": (50_000, 1)}
    x, sign = np.hstack(list(inputs.values())), 2 * target[:, None] - 1
    np.testing.assert_allclose((sign * x).mean(axis=0), [0.5, 2.0], atol=0.02)
    np.testing.assert_allclose(np.cov((sign * x).T), np.eye(2), atol=0.03)  # independent given y
    assert target.mean() == pytest.approx(0.5, abs=0.01)


def test_the_classifier_answers_with_the_posterior() -> None:
    inputs, _, _ = planted(20, D, seed=1)
    answers = bayes(inputs, D)
    for k, held in enumerate(subset_masks(3)):
        likelihood = np.full((20, 2), 0.5)
        for m in np.flatnonzero(held):
            likelihood *= np.stack([norm.pdf(inputs[f"m{m}"][:, 0], at) for at in (-D[m], D[m])], axis=1)
        np.testing.assert_allclose(answers[:, k], likelihood / likelihood.sum(axis=1, keepdims=True), rtol=1e-5)


def test_one_seed_gives_one_task() -> None:
    first, again, other = (planted(30, D, seed) for seed in (4, 4, 5))
    assert (first.target == again.target).all()
    assert all((first.inputs[m] == again.inputs[m]).all() for m in first.inputs)
    assert not (first.inputs["m0"] == other.inputs["m0"]).any()


def test_wilson_covers_the_accuracy_of_every_subset() -> None:
    honest(accuracies(), planted(1, D, 0).truth[1:])


def test_the_bootstrap_covers_the_contributions_to_accuracy() -> None:
    truth = shapley_by_orders(planted(1, D, 0).truth)
    assert truth.sum() == pytest.approx(norm.cdf(np.linalg.norm(D)) - 0.5)
    honest(contributions(accuracy_game), truth)


def test_the_bootstrap_covers_the_contributions_to_probability() -> None:
    """p_S(y) is sigmoid(L) with L ~ N(2 s^2, 4 s^2), s the strength of S."""
    values = np.full(2 ** len(D), 0.5)
    for k, s in enumerate(strength(D)[1:], start=1):
        values[k] = quad(lambda z, s=s: expit(2 * s**2 + 2 * s * z) * norm.pdf(z), -12, 12)[0]
    honest(contributions(probability_game), shapley_by_orders(values))


def test_a_modality_of_pure_noise_contributes_exactly_nothing() -> None:
    d = (0.9, 0.0, 0.5)
    inputs, target, truth = planted(300, d, seed=2)
    assert truth[0b010] == 0.5
    assert truth[0b011] == truth[0b001]
    for game in (accuracy_game, probability_game):
        v = game(bayes(inputs, d), target, PRIOR)
        phi = shapley(v)
        assert (phi[:, 1] == 0).all()
        assert np.abs(efficiency_residual(v, phi)).max() < 1e-12
        low, high = Sampling().mean(phi)[1:]
        assert low[1] == high[1] == 0
        assert low[0] > 0


def test_the_empty_set_answers_with_the_likeliest_class_or_a_coin() -> None:
    inputs, target, _ = planted(100, D, seed=3)
    assert (accuracy_game(bayes(inputs, D), target, PRIOR)[:, 0] == 0.5).all()
    assert (accuracy_game(bayes(inputs, D), target, (0.4, 0.6))[:, 0] == (target == 1)).all()
