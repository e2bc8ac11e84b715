"""Scores of predicted probabilities (sample, class) against integer targets (sample,), and which direction is good.

The prediction is the most probable class, the lowest index among equals. No samples, NaN and values that are no
probabilities raise `ValueError`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

MIN_PROBABILITY = (
    1e-12  # lowest probability whose logarithm is taken: one confident mistake costs 27.6 nats, not infinity
)
TOLERANCE = 1e-3  # how far half-precision probabilities may leave [0, 1]

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


class Metric(NamedTuple):
    """A score; `per_sample` gives the values (sample,) whose mean it is, where it is a mean."""

    function: Callable[[ArrayLike, ArrayLike], float]
    higher_is_better: bool
    unit: str
    per_sample: Callable[[ArrayLike, ArrayLike], Array] | None = None


class ClassScores(NamedTuple):
    """Scores by class, each (class,); a ratio without a denominator is 0, as with scikit-learn's `zero_division=0`."""

    recall: Array
    precision: Array
    f1: Array
    support: Labels


def accuracy(probabilities: ArrayLike, target: ArrayLike) -> float:
    """Share of samples whose prediction is the target."""
    return float(correctness(probabilities, target).mean())


def nll(probabilities: ArrayLike, target: ArrayLike) -> float:
    """Negative log-likelihood: mean of -log max(p[target], 1e-12)."""
    return float(sample_nll(probabilities, target).mean())


def brier(probabilities: ArrayLike, target: ArrayLike) -> float:
    """Multi-class Brier score: mean of sum_c (p_c - [c = target])^2, in [0, 2]."""
    return float(squared_error(probabilities, target).mean())


def macro_f1(probabilities: ArrayLike, target: ArrayLike) -> float:
    """Mean F1 over the classes that occur in the target or among the predictions (scikit-learn's default labels)."""
    scores, predicted = _score_classes(probabilities, target)
    return float(scores.f1[scores.support + predicted > 0].mean())


def class_scores(probabilities: ArrayLike, target: ArrayLike) -> ClassScores:
    """Recall, precision, F1 and support of every class."""
    return _score_classes(probabilities, target)[0]


def ece(probabilities: ArrayLike, target: ArrayLike, bins: int = 15) -> float:
    """Expected calibration error over equal-mass bins of the top-1 confidence: sum_b n_b/n |accuracy_b - confidence_b|,
    see `calibration_bins`."""
    share, confidence, hit = calibration_bins(probabilities, target, bins)
    return float((share * np.abs(hit - confidence)).sum())


def calibration_bins(probabilities: ArrayLike, target: ArrayLike, bins: int = 15) -> tuple[Array, Array, Array]:
    """Share of the samples, mean top-1 confidence and accuracy (bin,) of equal-mass bins, by rising confidence.

    Samples of equal confidence share their mean correctness, so the order of the samples does not matter; with fewer
    samples than bins every sample is a bin.
    """
    if bins < 1:
        raise ValueError(f"expected at least 1 bin, got {bins}")
    p, y = check_predictions(probabilities, target)
    hit = (p.argmax(axis=1) == y).astype(np.float64)
    confidence, group, size = np.unique(p.max(axis=1), return_inverse=True, return_counts=True)
    pairs = np.repeat(np.stack([confidence, np.bincount(group, weights=hit) / size], 1), size, axis=0)
    parts = np.array_split(pairs, min(bins, len(pairs)))
    return np.array([len(part) / len(pairs) for part in parts]), *np.array([part.mean(0) for part in parts]).T


def flip_rate(p_clean: ArrayLike, p_attacked: ArrayLike) -> float:
    """Share of samples whose prediction the attack changed."""
    clean, attacked = _check_probabilities(p_clean), _check_probabilities(p_attacked)
    if clean.shape != attacked.shape:
        raise ValueError(f"expected attacked probabilities of shape {clean.shape}, got {attacked.shape}")
    return float((clean.argmax(axis=1) != attacked.argmax(axis=1)).mean())


def correctness(probabilities: ArrayLike, target: ArrayLike) -> Array:
    """1 where the prediction is the target, else 0."""
    p, y = check_predictions(probabilities, target)
    return np.asarray(p.argmax(axis=1) == y, dtype=np.float64)


def sample_nll(probabilities: ArrayLike, target: ArrayLike) -> Array:
    """-log max(p[target], 1e-12), in nats."""
    p, y = check_predictions(probabilities, target)
    return np.asarray(-np.log(np.maximum(p[np.arange(len(y)), y], MIN_PROBABILITY)))


def squared_error(probabilities: ArrayLike, target: ArrayLike) -> Array:
    """sum_c (p_c - [c = target])^2."""
    p, y = check_predictions(probabilities, target)
    return np.asarray(((p - np.eye(p.shape[1])[y]) ** 2).sum(axis=1))


METRICS: dict[str, Metric] = {
    "accuracy": Metric(accuracy, higher_is_better=True, unit="fraction", per_sample=correctness),
    "macro-f1": Metric(macro_f1, higher_is_better=True, unit="fraction"),
    "nll": Metric(nll, higher_is_better=False, unit="nats", per_sample=sample_nll),
    "ece": Metric(ece, higher_is_better=False, unit="fraction"),
    "brier": Metric(brier, higher_is_better=False, unit="squared error", per_sample=squared_error),
}
FLIP_RATE = Metric(flip_rate, higher_is_better=False, unit="fraction")  # of two predictions, no target


def check_predictions(probabilities: ArrayLike, target: ArrayLike) -> tuple[Array, Labels]:
    """Probabilities and targets as float64 and int64. Raises ValueError for what they cannot be."""
    p, y = _check_probabilities(probabilities), np.asarray(target)
    if y.shape != p.shape[:1] or y.dtype.kind not in "iu":
        raise ValueError(f"expected an integer target of shape {p.shape[:1]}, got {y.dtype} of shape {y.shape}")
    if y.min() < 0 or y.max() >= p.shape[1]:
        raise ValueError(f"expected targets from 0 to {p.shape[1] - 1}, got {y.min()} to {y.max()}")
    return p, y.astype(np.int64)


def _score_classes(probabilities: ArrayLike, target: ArrayLike) -> tuple[ClassScores, Labels]:
    p, y = check_predictions(probabilities, target)
    classes, prediction = p.shape[1], p.argmax(axis=1)
    hits = np.bincount(y[prediction == y], minlength=classes)
    support, predicted = np.bincount(y, minlength=classes), np.bincount(prediction, minlength=classes)
    recall, precision = hits / np.maximum(support, 1), hits / np.maximum(predicted, 1)
    return ClassScores(recall, precision, 2 * hits / np.maximum(support + predicted, 1), support), predicted


def _check_probabilities(values: ArrayLike) -> Array:
    p = np.asarray(values, dtype=np.float64)
    if p.ndim != 2 or p.size == 0:
        raise ValueError(f"expected probabilities (sample, class) of at least one sample, got shape {p.shape}")
    if np.isnan(p).any():
        raise ValueError(f"expected probabilities, got NaN in {np.isnan(p).any(axis=1).sum()} of {len(p)} samples")
    if p.min() < -TOLERANCE or p.max() > 1 + TOLERANCE:
        raise ValueError(f"expected probabilities in [0, 1], got {p.min():.4g} to {p.max():.4g}; are these logits?")
    return p
