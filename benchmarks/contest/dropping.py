"""Scores to decisions: a modality is dropped where its score lies beyond a threshold, the lowest that keeps the budget.

Scores of a modality are told in multiples of the way from the median to the 99th percentile of clean valid samples, so
that one threshold serves all modalities, as one gain does for ours. What may be dropped is what ours may drop: at most
two modalities, and never all of them; the ones furthest beyond.
"""

import numpy as np
from numpy.typing import NDArray

from robustmm.guard.reliability import MOST_DROPPED, list_subsets

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
QUANTILES = np.linspace(0.5, 1, 251)
"""Of clean valid scores: the thresholds that are tried, the lowest first. The last drops nothing of them."""


def fit_usual(scores: Array, present: Mask) -> tuple[Array, Array]:
    """Median and distance to the 99th percentile (modality,) of clean scores (sample, modality)."""
    some = np.where(present & np.isfinite(scores), scores, np.nan)
    median, high = np.nanmedian(some, 0), np.nanquantile(some, 0.99, axis=0)
    return median, np.maximum(high - median, 1e-9)


def put_on_scale(scores: Array, usual: tuple[Array, Array]) -> Array:
    return np.asarray((np.nan_to_num(scores, nan=np.inf) - usual[0]) / usual[1])


def drop(scores: Array, present: Mask, threshold: float) -> Mask:
    """(sample, modality): whether it is dropped."""
    over = present & (scores > threshold)
    order = np.argsort(np.argsort(-np.where(over, scores, -np.inf), 1, kind="stable"), 1, kind="stable")
    allowed = np.minimum(MOST_DROPPED, present.sum(1) - 1)
    return np.asarray(over & (order < allowed[:, None]))


def find_subset(dropped: Mask) -> NDArray[np.int64]:
    """Which of `list_subsets` is left (sample,)."""
    return np.asarray((dropped[:, None] == ~list_subsets(dropped.shape[1])).all(2).argmax(1))


def find_lowest(scores: Array, present: Mask, right: Array, budget: float) -> float:
    """The lowest threshold by which clean samples lose at most `budget` of accuracy; `right` (sample, subset)."""
    rows = np.arange(len(scores))
    tried = np.unique(np.quantile(scores[present & np.isfinite(scores)], QUANTILES))
    for threshold in tried:
        chosen = find_subset(drop(scores, present, threshold))
        if right[:, 0].mean() - right[rows, chosen].mean() <= budget + 1e-12:
            break
    return float(threshold)
