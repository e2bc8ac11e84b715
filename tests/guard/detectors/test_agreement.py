"""A modality that contradicts the others."""

import numpy as np
from nodes import run_one
from scipy.special import softmax

from robustmm.guard.detectors.agreement import SMALLEST, measure_disagreement


def disagreement(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    return run_one(measure_disagreement, own.astype(np.float32), others.astype(np.float32))[:, 0]


def test_it_is_the_surprise_of_drawing_the_same_answer_from_both() -> None:
    rng = np.random.default_rng(0)
    own, others = (softmax(3 * rng.normal(size=(50, 4)), -1) for _ in range(2))
    np.testing.assert_allclose(disagreement(own, others), -np.log((own * others).sum(1) + SMALLEST), rtol=1e-4)
    np.testing.assert_array_equal(disagreement(own, others), disagreement(others, own))


def test_a_mismatched_pair_disagrees_more_than_a_matched_one() -> None:
    rng = np.random.default_rng(0)
    target = np.arange(60) % 3
    own, others = (softmax(4 * np.eye(3)[target] + rng.normal(size=(60, 3)), -1) for _ in range(2))
    matched, swapped = disagreement(own, others), disagreement(own, np.roll(others, 1, 0))
    assert np.quantile(matched, 0.9) < np.quantile(swapped, 0.1)


def test_certainty_and_its_contradiction_are_finite() -> None:
    sure = np.eye(3)
    np.testing.assert_allclose(disagreement(sure, sure), 0, atol=1e-3)
    np.testing.assert_allclose(disagreement(sure, np.roll(sure, 1, 0)), -np.log(SMALLEST), rtol=1e-4)
    assert np.isfinite(disagreement(sure, np.zeros((3, 3)))).all(), "no answer at all"
