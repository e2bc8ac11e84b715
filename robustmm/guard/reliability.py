"""Which modalities of a sample are unreliable: a mixture over what is left when some are dropped.

    p(y | x) = sum_S w_S(x) p_S(y),   w_S proportional to exp(sum of o_m over the modalities m outside S)

p_S is the model's own calibrated answer from the modalities S, and o_m the log odds that m is unreliable: it never
falls when a distance of m or its disagreement with the others grows (weights of hinges, none below 0). It is fitted by
maximum likelihood on samples some of whose modalities are corrupted. The expected probability of the true class, were S
answered from, is then sum_y p(y | x) p_S(y): what dropping a modality gains is the difference of two of these. Asking
whether S will be right by itself fails: small subsets are too sure of themselves.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import softmax

from robustmm.guard.graph.operators import Operators

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

KNOTS = np.array([-1.0, 0.0, 0.5, 1.0, 1.5, 2.5, 4.0])
"""Where a hinge of a feature begins to rise."""
RISE = 2.0
"""How far a hinge rises before it stays level."""
MOST_DROPPED = 2
"""Modalities that may be dropped at once."""
RIDGE = 1e-5
SMALLEST = 1e-6
"""Probability that is added to that of the true class: no answer is impossible."""
START = -3.0
"""Log odds that a modality is unreliable before anything is known of it."""
STEPS = 60
"""Of the fit: more change no decision that was looked at."""
NEVER = -30.0
"""Log odds for a modality that is not there: it cannot be dropped."""


class Reliability(NamedTuple):
    """Of the log odds: `weights` (modality, feature, knot), none below 0, and `bias` (modality,)."""

    weights: Array
    bias: Array


def list_subsets(M: int) -> Mask:
    """What may be answered from (subset, modality): everything first, then without one, then without two, never from
    nothing."""
    masks = [np.ones(M, bool)]
    for first in range(M):
        masks.append(np.arange(M) != first)
    if M > 1 and MOST_DROPPED > 1:
        masks += [~np.isin(np.arange(M), pair) for pair in zip(*np.triu_indices(M, 1), strict=True)]
    return np.array([mask for mask in masks if mask.any()])


def raise_hinges(features: Array) -> Array:
    """(..., feature, knot) of (..., feature)."""
    return np.asarray(np.clip(features[..., None] - KNOTS, 0, RISE))


def log_odds(features: Array, present: Mask, fitted: Reliability) -> Array:
    """o (sample, modality) of features (sample, modality, feature)."""
    raised = np.einsum("nmfk,mfk->nm", raise_hinges(features), fitted.weights)
    return np.where(present, fitted.bias + raised, NEVER)


def fit_reliability(features: Array, true: Array, present: Mask, weight: Array) -> Reliability:
    """Of features (sample, modality, feature), the probability `true` (sample, subset) of the true class from every
    subset of `list_subsets`, presence (sample, modality) and the samples' weights."""
    n, M, F = features.shape
    dropped = (~list_subsets(M)).astype(float)
    raised = raise_hinges(features).reshape(n, M, -1)
    size = raised.shape[2]
    true, weight = true + SMALLEST, weight / weight.sum()

    def loss(flat: Array) -> tuple[float, Array]:
        table = flat.reshape(M, size + 1)
        odds = np.where(present, np.einsum("nmk,mk->nm", raised, table[:, 1:]) + table[:, 0], NEVER)
        prior = softmax(odds @ dropped.T, -1)
        joint = prior * true
        likelihood = joint.sum(-1)
        slope = np.where(present, (prior - joint / likelihood[:, None]) @ dropped, 0) * weight[:, None]
        gradient = np.concatenate([slope.sum(0)[:, None], np.einsum("nm,nmk->mk", slope, raised)], 1).ravel()
        cost = -float(weight @ np.log(likelihood)) + RIDGE * float(flat @ flat)
        return cost, gradient + 2 * RIDGE * flat

    start = np.concatenate([np.full((M, 1), START), np.full((M, size), 0.05)], 1).ravel()
    bounds = ([(None, None)] + [(0.0, None)] * size) * M
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS}).x
    table = found.reshape(M, size + 1)
    return Reliability(table[:, 1:].reshape(M, F, -1), table[:, 0])


def expect_probabilities(odds: Array, answers: Array) -> Array:
    """The expected probability of the true class (sample, subset), were the subset answered from; for log odds (sample,
    modality) and the answers (sample, subset, class)."""
    weights = softmax(odds @ (~list_subsets(odds.shape[1])).T.astype(float), -1)
    mixture = np.einsum("ns,nsc->nc", weights, answers)
    return np.asarray(np.einsum("nc,nsc->ns", mixture, answers))


def write_log_odds(ops: Operators, features: str, present: str, fitted: Reliability) -> str:
    """`log_odds` in the graph: (batch, modality) of (batch, modality, feature)."""
    off = ops("Sub", ops.unsqueeze(features, 3), ops.constant(KNOTS))
    raised = ops("Mul", ops("Clip", off, ops.constant(0.0), ops.constant(RISE)), ops.constant(fitted.weights))
    odds = ops("Add", ops.reduce("ReduceSum", raised, [2, 3], keep=False), ops.constant(fitted.bias))
    return ops("Where", present, odds, ops.constant(NEVER))


def write_expectations(ops: Operators, odds: str, answers: str, M: int) -> str:
    """`expect_probabilities` in the graph: (batch, subset)."""
    logits = ops("MatMul", odds, ops.constant((~list_subsets(M)).T.astype(np.float32)))
    weights = ops.unsqueeze(ops("Softmax", logits, axis=-1), 1)  # (batch, 1, subset)
    mixture = ops("MatMul", weights, answers)  # (batch, 1, class)
    return ops.reduce("ReduceSum", ops("Mul", mixture, answers), [2], keep=False)
