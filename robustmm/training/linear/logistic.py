"""Multinomial logistic regression with an L2 penalty, solved by L-BFGS in float64."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

Array = NDArray[np.float64]
Matrix = Any
"""(samples, feature) in float64, of torch or of scipy.sparse. Threads of torch are the recipe's: sums are rounded by
them."""
ITERATIONS = 100
"""The most steps of a solution."""
TOLERANCE = 1e-6
"""The share of the loss that a step has to gain, or it is the last."""


@dataclass(frozen=True)
class Logistic:
    """Logits x @ weight.T + bias."""

    weight: Array  # (class, feature)
    bias: Array  # (class,)
    penalty: float

    def log_probabilities(self, x: Matrix) -> Array:
        """(samples, class)."""
        return np.asarray(log_softmax(multiply(x, self.weight.T) + self.bias, axis=1))


def fit_logistic(
    x: Matrix,
    target: NDArray[np.int64],
    classes: int,
    penalty: float,
    start: Logistic | None = None,
    tolerance: float = TOLERANCE,
) -> Logistic:
    """The minimum of mean cross-entropy + penalty / 2 * |weight|^2; the bias is not penalised. `start` is where the
    search begins. scikit-learn's LogisticRegression finds the same with C = 1 / (samples * penalty)."""
    samples, features = x.shape
    wanted = np.eye(classes)[target]

    def loss_and_gradient(flat: Array) -> tuple[float, Array]:
        weight, bias = flat[:-classes].reshape(classes, features), flat[-classes:]
        answers = log_softmax(multiply(x, weight.T) + bias, axis=1)
        error = (np.exp(answers) - wanted) / samples
        loss = -answers[np.arange(samples), target].mean() + 0.5 * penalty * (weight**2).sum()
        slope = multiply(x.T, error).T + penalty * weight
        return float(loss), np.concatenate([slope.ravel(), error.sum(0)])

    begin = np.zeros(classes * (features + 1))
    if start is not None:
        begin = np.concatenate([start.weight.ravel(), start.bias])
    options = {"maxiter": ITERATIONS, "ftol": tolerance, "gtol": tolerance}
    found = minimize(loss_and_gradient, begin, jac=True, method="L-BFGS-B", options=options).x
    return Logistic(found[:-classes].reshape(classes, features), found[-classes:], penalty)


def multiply(x: Any, matrix: Array) -> Array:
    """A dense or a sparse matrix by an array."""
    if isinstance(x, torch.Tensor):
        return np.asarray((x @ torch.from_numpy(np.ascontiguousarray(matrix))).numpy())
    return np.asarray(x @ matrix)
