"""Distances in the graph, against scipy's Mahalanobis distance with the same shrunk covariance."""

import numpy as np
import pytest
from nodes import run_one
from numpy.typing import NDArray
from scipy.spatial import distance as second

from robustmm.guard.detectors.distance import (
    FARTHEST,
    HIGHEST,
    LARGEST,
    LOWEST,
    SHRINKAGE,
    SMALLEST,
    TALLEST,
    WIDEST,
    fit_mahalanobis,
    fit_projection,
    fit_scale,
    measure_mahalanobis,
    normalise,
    put_on_scale,
    standardise,
)

Array = NDArray[np.float64]


def clouds(n: int = 120, width: int = 7, seed: int = 0) -> tuple[Array, NDArray[np.int64]]:
    """Three classes with a covariance that is far from round."""
    rng = np.random.default_rng(seed)
    group = np.arange(n) % 3
    return rng.normal(size=(n, width)) @ rng.normal(size=(width, width)) + 4 * rng.normal(size=(3, width))[group], group


def shrunk(x: Array, group: NDArray[np.int64]) -> tuple[Array, Array]:
    """Class means, and the inverse of the covariance that they share, with a share of its mean variance added."""
    means = np.stack([x[group == k].mean(0) for k in np.unique(group)])
    residual = x - means[np.unique(group, return_inverse=True)[1]]
    covariance = np.cov(residual.T, bias=True).reshape(x.shape[1], x.shape[1])
    return means, np.linalg.inv(covariance + SHRINKAGE * np.diag(covariance).mean() * np.eye(len(covariance)))


@pytest.mark.parametrize("by_class", [True, False])
def test_it_is_the_distance_to_the_nearest_mean(by_class: bool) -> None:
    x, group = clouds()
    group = group if by_class else np.zeros_like(group)
    seen = np.concatenate([x, 5 * clouds(30, seed=1)[0]]).astype(np.float32)
    fitted = fit_mahalanobis(x, group)
    found = run_one(lambda ops, name: measure_mahalanobis(ops, name, fitted), seen)
    means, inverse = shrunk(x, group)
    told = [min(second.mahalanobis(row, mean, inverse) for mean in means) for row in seen.astype(np.float64)]
    np.testing.assert_allclose(np.exp(found[:, 0]), told, rtol=2e-3)


def test_brought_to_length_one_it_does_not_depend_on_length() -> None:
    x, group = clouds()
    angle = x / np.linalg.norm(x, axis=1, keepdims=True)
    fitted = fit_mahalanobis(angle, group)
    write = lambda ops, name: measure_mahalanobis(ops, normalise(ops, name), fitted)  # noqa: E731
    near, far = (run_one(write, (scale * x).astype(np.float32)) for scale in (1, 1000))
    means, inverse = shrunk(angle, group)
    told = [min(second.mahalanobis(row, mean, inverse) for mean in means) for row in angle]
    np.testing.assert_allclose(np.exp(near[:, 0]), told, rtol=5e-3)
    np.testing.assert_allclose(near, far, atol=2e-3)
    assert np.isfinite(run_one(write, np.zeros((2, 7), np.float32))).all()


@pytest.mark.parametrize(("width", "looked_at", "axes"), [(128, 128, None), (129, 129, 60), (2100, TALLEST, 60)])
def test_wide_embeddings_are_seen_along_the_axes_that_vary_most(width: int, looked_at: int, axes: int | None) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, width)) * np.linspace(2, 0.1, width)
    kept, found = fit_projection(x)
    assert len(kept) == looked_at
    assert x[:, kept].var(0).min() >= np.delete(x, kept, 1).var(0).max(initial=0)
    if axes is None:
        assert found is None
        return
    assert found is not None
    assert found.shape == (looked_at, axes), "no more axes than samples"
    np.testing.assert_allclose(found.T @ found, np.eye(axes), atol=1e-5)
    captured = ((x[:, kept] - x[:, kept].mean(0)) @ found).var(0)
    assert (np.diff(captured) <= 1e-9).all()
    assert captured.sum() == pytest.approx(x[:, kept].var(0).sum(), rel=1e-4), "60 samples vary along 59 axes"


def test_of_many_samples_the_128_widest_axes_are_kept() -> None:
    x = np.random.default_rng(0).normal(size=(400, 150)) * np.repeat([3.0, 0.01], [WIDEST, 150 - WIDEST])
    kept, axes = fit_projection(x)
    assert axes is not None
    assert axes.shape == (150, WIDEST)
    assert np.abs(axes[kept >= WIDEST]).max() < 0.05


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e4])
def test_what_never_varies_divides_by_no_zero(constant: float) -> None:
    x = np.full((20, 3), constant)
    fitted = fit_mahalanobis(x, np.zeros(20, np.int64))
    found = run_one(lambda ops, n: measure_mahalanobis(ops, n, fitted), np.float32(x + [[0.0], [1.0]] * 10))
    assert np.isfinite(found).all()
    assert (found[1::2] > found[::2] + 3).all(), "what differs from it is far"


def test_one_sample_of_a_class_and_one_sample_alone() -> None:
    x, group = clouds(7)
    group[:] = [0, 0, 0, 1, 1, 1, 2]
    for n, mine in ((7, group), (1, group[:1])):
        fitted = fit_mahalanobis(x[:n], mine)
        found = run_one(lambda ops, name, fitted=fitted: measure_mahalanobis(ops, name, fitted), x.astype(np.float32))
        assert np.isfinite(found).all()


@pytest.mark.parametrize("value", [1e19, 1e30, 3e38, -3e38])
def test_what_overflows_single_precision_is_far_and_no_nan(value: float) -> None:
    x, group = clouds()
    fitted = fit_mahalanobis(x, group)
    seen = np.full((2, 7), value, np.float32)
    seen[1, ::2] *= -1
    found = run_one(lambda ops, name: measure_mahalanobis(ops, name, fitted), seen)
    assert (found > 0.49 * np.log(FARTHEST) - 4).all()


def test_the_scale_is_0_at_the_median_and_1_at_the_99th_percentile() -> None:
    distances = np.random.default_rng(0).gamma(2, size=(500, 2))
    scale = fit_scale(distances)
    at = np.float32([np.median(distances, 0), np.quantile(distances, 0.99, axis=0), [1e9, 1e9], [-1e9, -1e9]])
    found = run_one(lambda ops, name: put_on_scale(ops, name, scale), at)
    np.testing.assert_allclose(found, [[0, 0], [1, 1], [HIGHEST] * 2, [LOWEST] * 2], atol=1e-5)
    flat = fit_scale(np.ones((5, 1)))
    assert np.isfinite(run_one(lambda ops, name: put_on_scale(ops, name, flat), np.ones((2, 1), np.float32))).all()


def test_statistics_are_believed_so_far() -> None:
    x = np.float32([[1.0, 5.0], [3.0, 1e9]])
    found = run_one(lambda ops, name: standardise(ops, name, np.array([1.0, 1.0]), np.array([2.0, 1.0])), x)
    np.testing.assert_allclose(found, [[0, 4], [1, LARGEST]], atol=1e-6)
    assert SMALLEST > 0
