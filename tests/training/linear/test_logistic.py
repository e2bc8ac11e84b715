"""Logistic regression against scikit-learn's, dense and sparse, on one thread and on two."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from robustmm.training.linear.logistic import fit_logistic

RNG = np.random.default_rng(0)
TARGET = np.arange(120) % 3
X = RNG.normal(size=(120, 7)) + np.eye(3, 7)[TARGET]


@pytest.mark.parametrize("penalty", [1.0, 0.01, 0.0001])
@pytest.mark.parametrize("sparse", [False, True])
def test_scikit_learn_finds_the_same(penalty: float, sparse: bool) -> None:
    ours = fit_logistic(csr_matrix(X) if sparse else torch.from_numpy(X), TARGET, 3, penalty, tolerance=1e-12)
    theirs = LogisticRegression(C=1 / (len(X) * penalty), tol=1e-10, max_iter=10_000).fit(X, TARGET)
    centred = ours.bias - ours.bias.mean()  # a constant added to every class's logit changes nothing
    np.testing.assert_allclose(ours.weight, theirs.coef_, atol=1e-4)
    np.testing.assert_allclose(centred, theirs.intercept_ - theirs.intercept_.mean(), atol=1e-4)
    np.testing.assert_allclose(np.exp(ours.log_probabilities(torch.from_numpy(X))), theirs.predict_proba(X), atol=1e-4)


def test_two_classes_and_a_class_that_nobody_has() -> None:
    found = fit_logistic(torch.from_numpy(X), TARGET % 2, 3, 0.01, tolerance=1e-12)
    theirs = LogisticRegression(C=1 / (len(X) * 0.01 / 2), tol=1e-10).fit(X, TARGET % 2)  # one weight stands for two
    p = np.exp(found.log_probabilities(torch.from_numpy(X)))
    assert p[:, 2].max() < 1e-2
    np.testing.assert_allclose(p[:, 1] / p[:, :2].sum(1), theirs.predict_proba(X)[:, 1], atol=1e-2)


def test_where_the_search_begins_does_not_matter() -> None:
    strong = fit_logistic(torch.from_numpy(X), TARGET, 3, 1.0, tolerance=1e-12)
    warm = fit_logistic(torch.from_numpy(X), TARGET, 3, 0.01, strong, tolerance=1e-12)
    cold = fit_logistic(torch.from_numpy(X), TARGET, 3, 0.01, tolerance=1e-12)
    np.testing.assert_allclose(warm.weight, cold.weight, atol=1e-4)
    assert not np.allclose(warm.weight, strong.weight, atol=1e-2)
