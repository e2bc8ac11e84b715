"""Measures of robustness under corruption, as the field has them. Accuracies, errors and rates are fractions.

Values outside [0, 1], NaN, empty arrays and a measure without a denominator raise `ValueError`. Measures relative to a
reference model need it measured on the same samples, levels and corruptions.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr

from robustmm.metrics.contribution import shares, unimodal_values

MIN_GAIN = 1e-8  # a gain below it is rounding

Array = NDArray[np.float64]


class CorruptionError(NamedTuple):
    """Error relative to a reference model's, 1 where they are equal; `mean` is over corruptions."""

    by_corruption: Array
    mean: float


def retention(accuracies: ArrayLike, clean: float) -> float:
    """Resilience ability of one corruption: mean over levels of M_s / M_clean, accuracies (level,) (MultiCorrupt, RA).

    Above 1 where corruption helps.
    """
    kept, untouched = _check_fractions(accuracies, "accuracies", 1), float(_check_fractions(clean, "clean accuracy", 0))
    if untouched == 0:
        raise ValueError("expected a clean accuracy above 0, of which a share can be kept")
    return float(kept.mean() / untouched)


def mean_corruption_error(errors: ArrayLike, reference: ArrayLike) -> CorruptionError:
    """CE_c = sum_s E_cs / sum_s Eref_cs, errors (corruption, level) (Hendrycks & Dietterich 2019)."""
    return _relative_error(*_check_pair(errors, reference))


def relative_mean_corruption_error(
    errors: ArrayLike, clean: float, reference: ArrayLike, reference_clean: float
) -> CorruptionError:
    """CE_c = sum_s (E_cs - E_clean) / sum_s (Eref_cs - Eref_clean): of the degradation, not the error, as above."""
    ours, theirs = _check_pair(errors, reference)
    return _relative_error(
        ours - _check_fractions(clean, "clean error", 0),
        theirs - _check_fractions(reference_clean, "reference's clean error", 0),
    )


def area_under_rates(rates: ArrayLike, accuracies: ArrayLike) -> float:
    """Mean height of the accuracy (rate,) over rising missing rates (rate,): the trapezoid's area over their span."""
    at, height = _check_fractions(rates, "rates", 1), _check_fractions(accuracies, "accuracies", 1)
    if at.shape != height.shape or len(at) < 2:
        raise ValueError(f"expected an accuracy for each of at least two rates, got {len(height)} for {len(at)}")
    _check_rising(at, "rates")
    return float(np.trapezoid(height, at) / (at[-1] - at[0]))


def evenness(subset_accuracies: ArrayLike) -> float | None:
    """How evenly modalities contribute across missing configurations, in [0, 1], from accuracies (2**M,) of subsets.

    Reconstruction of MissBench's modality equity index (arXiv 2603.09874): the idea is theirs, the formula this
    project's. Entropy of p / log M, with p_m in proportion to relu(mean over subsets S with m of v(S) - v(S minus m)).
    Subset k holds modality m iff (k >> m) & 1. None where no modality contributes.
    """
    accuracies = _check_fractions(subset_accuracies, "accuracies", 1)
    M = len(unimodal_values(accuracies))
    if M < 2:
        raise ValueError("expected at least two modalities to compare, got 1")
    cube = accuracies.reshape((2,) * M)  # an axis a modality; their order does not matter
    gain = np.array([np.diff(cube, axis=axis).mean() for axis in range(M)])
    if gain.max() < MIN_GAIN:
        return None
    return min(1.0, float(entr(shares(gain)).sum() / np.log(M)))


def _relative_error(ours: Array, theirs: Array) -> CorruptionError:
    if (theirs.sum(axis=1) <= 0).any():
        raise ValueError("expected a reference that errs, and more than when clean, under every corruption")
    by_corruption = ours.sum(axis=1) / theirs.sum(axis=1)
    return CorruptionError(by_corruption, float(by_corruption.mean()))


def _check_pair(errors: ArrayLike, reference: ArrayLike) -> tuple[Array, Array]:
    ours, theirs = _check_fractions(errors, "errors", 2), _check_fractions(reference, "reference errors", 2)
    if ours.shape != theirs.shape:
        raise ValueError(f"expected a reference (corruption, level) of shape {ours.shape}, got {theirs.shape}")
    return ours, theirs


def _check_rising(values: Array, name: str) -> None:
    if not (np.diff(values) > 0).all():
        raise ValueError(f"expected rising {name}, got {values}")


def _check_fractions(values: ArrayLike, name: str, dimensions: int) -> Array:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != dimensions or x.size == 0 or not ((x >= 0) & (x <= 1)).all():
        raise ValueError(f"expected {name} in [0, 1] with {dimensions} dimensions and at least one value, got {x}")
    return x
