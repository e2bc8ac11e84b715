"""The detectors of one modality, fitted to the train split. What they read of an input travels beside its embedding."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robustmm.guard.detectors.broken import replace_non_finite, score_stuck, usual_share
from robustmm.guard.detectors.distance import (
    LARGEST,
    Mahalanobis,
    Scale,
    fit_mahalanobis,
    fit_projection,
    fit_scale,
    measure_mahalanobis,
    normalise,
    put_on_scale,
    standardise,
)
from robustmm.guard.detectors.loss import Levels, fit_levels, measure_change, usual_change
from robustmm.guard.detectors.statistics import measure_signal
from robustmm.guard.graph.operators import Operators

Array = NDArray[np.float64]

COLUMNS = 4
"""Numbers beside an embedding: log distance of the statistics, spread, detail, and the score of a broken signal."""
BROKEN = 4.0
"""What the score of a signal that is stuck as a whole is multiplied by, to lie on the scale of the distances."""
FEATURES = ("distance", "distance to all", "angle", "angle to all", "statistics",
            "spread lost", "spread gained", "broken")  # fmt: skip
"""What the detectors of a modality tell of a sample, all of them growing with what is wrong. Lost and gained detail are
not among them: what they weigh by the families that are seen misleads under others (docs/guard-contest.md)."""


@dataclass(frozen=True)
class InputDetectors:
    """Of the input itself."""

    mean: Array
    std: Array
    statistics: Mahalanobis
    levels: Levels
    stuck: float


@dataclass(frozen=True)
class EmbeddingDetectors:
    """Of the embedding: which numbers are looked at, and the four distances."""

    kept: NDArray[np.int64]
    axes: NDArray[np.float32] | None
    distances: tuple[Mahalanobis, ...]


@dataclass(frozen=True)
class Scales:
    """What is usual on clean valid samples."""

    distances: Scale
    change: Array


def fit_input(statistics: Array, levels: Array, stuck: Array) -> InputDetectors:
    """Of what `write_statistics` told of the train split."""
    mean = statistics.mean(0)
    std = statistics.std(0) + 1e-6 * (np.abs(statistics).max(0) + 1e-3)
    standardised = np.clip((statistics - mean) / std, -LARGEST, LARGEST)
    one = np.zeros(len(statistics), np.int64)
    return InputDetectors(mean, std, fit_mahalanobis(standardised, one), fit_levels(levels), usual_share(stuck))


def fit_embedding(z: Array, target: NDArray[np.int64]) -> EmbeddingDetectors:
    """Of embeddings (sample, width) of the train split."""
    kept, axes = fit_projection(z)
    x = z[:, kept] if axes is None else z[:, kept] @ axes
    angle = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-6)
    one = np.zeros(len(z), np.int64)
    return EmbeddingDetectors(
        kept, axes, tuple(fit_mahalanobis(each, group) for each in (x, angle) for group in (target, one))
    )


def fit_scales(raw: Array, columns: Array) -> Scales:
    """Of the log distances (sample, distance) and the columns (sample, COLUMNS) of clean valid samples."""
    return Scales(fit_scale(raw), usual_change(columns[:, 1:2]))


def write_statistics(
    ops: Operators, x: str, shape: Sequence[int], dtype: np.dtype[np.generic]
) -> tuple[str, str, str, str]:
    """Statistics, levels and the stuck share of an input (batch, *shape), and (batch, 1): `CERTAIN` where it holds what
    is no number, else 0. Whole numbers are looked at as they are: most of a picture never becomes a float."""
    if dtype.kind == "f":
        finite, wrong = replace_non_finite(ops, x, len(shape))
        return (*measure_signal(ops, finite, shape), wrong)
    statistics, levels, stuck = measure_signal(ops, x, shape)
    return statistics, levels, stuck, ops("Mul", stuck, ops.constant(0.0))


def write_columns(
    ops: Operators, x: str, shape: Sequence[int], dtype: np.dtype[np.generic], fitted: InputDetectors
) -> str:
    """(batch, COLUMNS) of an input (batch, *shape)."""
    statistics, levels, stuck, wrong = write_statistics(ops, x, shape, dtype)
    off = standardise(ops, statistics, fitted.mean, fitted.std)
    distance = measure_mahalanobis(ops, off, fitted.statistics)
    broken = ops("Max", score_stuck(ops, stuck, fitted.stuck), wrong)
    changed = standardise(ops, levels, fitted.levels.mean, fitted.levels.std)
    return ops("Concat", distance, changed, broken, axis=1)


def write_distances(ops: Operators, z: str, columns: str, fitted: EmbeddingDetectors) -> str:
    """Log distances (batch, 5) of a finite embedding (batch, width), and of the statistics."""
    x = ops("Gather", z, ops.numbers(*fitted.kept.tolist()), axis=1)
    x = x if fitted.axes is None else ops("MatMul", x, ops.constant(fitted.axes))
    angle = normalise(ops, x)
    seen = (x, x, angle, angle)
    found = [measure_mahalanobis(ops, y, each) for y, each in zip(seen, fitted.distances, strict=True)]
    return ops("Concat", *found, ops.slice(columns, 1, 0, 1), axis=1)


def write_features(ops: Operators, distances: str, columns: str, scales: Scales) -> str:
    """(batch, len(FEATURES))"""
    scaled = put_on_scale(ops, distances, scales.distances)
    change = measure_change(ops, ops.slice(columns, 1, 1, 2), scales.change)
    broken = ops("Mul", ops.slice(columns, 1, 3, 4), ops.constant(BROKEN))
    return ops("Concat", scaled, change, broken, axis=1)
