"""The detectors of one modality together: their form, few samples, and inputs that never vary."""

import numpy as np
import pytest
from nodes import run_nodes, run_one
from numpy.typing import NDArray
from scipy.spatial import distance as second

from robustmm.guard.detectors.distance import HIGHEST, LOWEST, SHRINKAGE, WIDEST
from robustmm.guard.detectors.loss import HIGHEST as MOST_CHANGE
from robustmm.guard.detectors.modality import (
    BROKEN,
    COLUMNS,
    FEATURES,
    InputDetectors,
    fit_embedding,
    fit_input,
    fit_scales,
    write_columns,
    write_distances,
    write_features,
    write_statistics,
)

Array = NDArray[np.float64]
WIDTH = 6


def read(train: NDArray[np.float32]) -> InputDetectors:
    found = run_nodes(lambda ops, name: write_statistics(ops, name, train.shape[1:], train.dtype), train)
    return fit_input(*(x.astype(np.float64) for x in found[:3]))


def features_of(train: Array, target: NDArray[np.int64], valid: Array, x: Array) -> Array:
    """(batch, feature) of inputs (batch, 20, 2) whose first numbers are their embedding."""
    train, valid, x = (each.astype(np.float32) for each in (train, valid, x))
    shape, fitted = train.shape[1:], read(train)
    z = lambda each: each.reshape(len(each), -1)[:, :WIDTH]  # noqa: E731
    embedding = fit_embedding(z(train).astype(np.float64), target)
    columns = run_one(lambda ops, name: write_columns(ops, name, shape, valid.dtype, fitted), valid)
    distances = lambda ops, one, two: write_distances(ops, one, two, embedding)  # noqa: E731
    scales = fit_scales(run_one(distances, z(valid), columns.astype(np.float32)), columns)

    def write(ops, name, embedded):  # type: ignore[no-untyped-def]
        told = write_columns(ops, name, shape, valid.dtype, fitted)
        return write_features(ops, write_distances(ops, embedded, told, embedding), told, scales)

    return run_one(write, x, z(x))


def signals(n: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(n, 20, 2))


def test_every_feature_has_a_name_and_a_bound() -> None:
    train, valid = signals(60), signals(30, 1)
    found = features_of(train, np.arange(60) % 3, valid, np.concatenate([valid, 1e6 * valid, 0 * valid]))
    assert found.shape == (90, len(FEATURES))
    assert found.min() >= LOWEST
    assert found.max() <= max(HIGHEST, MOST_CHANGE, BROKEN)
    column = dict(zip(FEATURES, found.T, strict=True))
    for name in ("distance", "distance to all", "statistics"):
        assert np.median(column[name][:30]) == pytest.approx(0, abs=1e-4)
        assert column[name][30:60].min() > 5, "a million times too large"
    assert (column["distance to all"][30:60] == HIGHEST).all()
    assert column["spread gained"][30:60].min() > 1
    assert column["spread lost"][60:].min() > 1
    assert (column["broken"][60:] == BROKEN).all(), "silent"
    assert column["broken"][:30].max() < 1


def test_columns_are_those_beside_the_embedding() -> None:
    train = signals(30).astype(np.float32)
    found = run_one(lambda ops, name: write_columns(ops, name, (20, 2), train.dtype, read(train)), train)
    assert found.shape == (30, COLUMNS)
    assert np.abs(found[:, 1:3].mean(0)).max() < 1e-3, "spread and detail are in deviations of the train split"


@pytest.mark.parametrize("train", ["one of each class", "one of one class", "one", "all alike", "two alike, one not"])
def test_few_samples_and_samples_that_never_vary_give_numbers(train: str) -> None:
    x = signals({"one of each class": 3, "one of one class": 7, "one": 1}.get(train, 9))
    target = np.array([0, 0, 0, 1, 1, 1, 2]) if len(x) == 7 else np.arange(len(x)) % 3
    if "alike" in train:
        x[:] = x[:1]
    if "not" in train:
        x[-1] = signals(1, 5)
    asked = np.concatenate([x, signals(8, 2), np.full((1, 20, 2), 1e4), np.zeros((1, 20, 2))])
    for valid in (signals(4, 3), signals(1, 3), x):
        found = features_of(x, target, valid, asked)
        assert np.isfinite(found).all()
        assert found[-2].max() > 4, "far beyond what is usual"


def test_an_embedding_that_is_far_from_0_is_measured_as_one_that_is_near() -> None:
    """Squares in single precision would leave nothing of the differences."""
    rng = np.random.default_rng(0)
    z, asked, columns = rng.normal(size=(80, 8)), rng.normal(size=(20, 8)), np.zeros((20, COLUMNS), np.float32)
    target = np.arange(80) % 4
    near, far = (
        run_one(
            lambda ops, one, two, by=by: write_distances(ops, one, two, fit_embedding(z + by, target)),
            (asked + by).astype(np.float32),
            columns,
        )
        for by in (0, 3000)
    )
    np.testing.assert_allclose(near[:, :2], far[:, :2], atol=0.02)


@pytest.mark.parametrize("width", [150, 2100])
def test_a_wide_embedding_is_measured_along_its_principal_axes(width: int) -> None:
    """Against scipy on the same projection, with the shrunk covariance computed anew."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(300, 20)) @ rng.normal(size=(20, width)) + 0.1 * rng.normal(size=(300, width))
    target = np.arange(300) % 3
    fitted = fit_embedding(z[:250], target[:250])
    assert fitted.axes is not None
    x = z[:, fitted.kept] @ fitted.axes.astype(np.float64)
    assert x.shape == (300, WIDEST)
    told = run_one(
        lambda ops, one, two: write_distances(ops, one, two, fitted),
        np.float32(z),
        np.zeros((300, COLUMNS), np.float32),
    )
    for columns, seen in ((told[:, :2], x), (told[:, 2:4], x / np.linalg.norm(x, axis=1, keepdims=True))):
        for column, group in zip(columns.T, (target, np.zeros_like(target)), strict=True):
            train, kinds = seen[:250], group[:250]
            means = np.stack([train[kinds == k].mean(0) for k in np.unique(kinds)])
            covariance = np.cov((train - means[kinds]).T, bias=True)
            inverse = np.linalg.inv(covariance + SHRINKAGE * np.diag(covariance).mean() * np.eye(WIDEST))
            expected = [min(second.mahalanobis(row, mean, inverse) for mean in means) for row in seen]
            np.testing.assert_allclose(np.exp(column), expected, rtol=0.01)
