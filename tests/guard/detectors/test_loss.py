"""Dark, blurred, silent and noisy signals are told on the right side."""

import cv2
import numpy as np
import pytest
from nodes import run_one
from numpy.typing import NDArray
from signals import picture, voice

from robustmm.guard.detectors.distance import standardise
from robustmm.guard.detectors.loss import (
    HIGHEST,
    LEAST,
    fit_levels,
    measure_change,
    usual_change,
)
from robustmm.guard.detectors.statistics import measure_signal
from robustmm.guard.graph.operators import Operators

SPREAD_LOST, DETAIL_LOST, SPREAD_GAINED, DETAIL_GAINED = range(4)


def levels_of(x: NDArray[np.generic]) -> NDArray[np.float64]:
    return run_one(lambda ops, name: measure_signal(ops, ops.cast(name), x.shape[1:])[1], x)


def change(train: NDArray[np.generic], x: NDArray[np.generic]) -> NDArray[np.float64]:
    """(batch, 4) of signals, where `train` is what is usual."""
    levels = levels_of(train)
    fitted = fit_levels(levels)
    usual = usual_change((levels - fitted.mean) / fitted.std)

    def write(ops: Operators, name: str) -> str:
        told = measure_signal(ops, ops.cast(name), x.shape[1:])[1]
        return measure_change(ops, standardise(ops, told, fitted.mean, fitted.std), usual)

    return run_one(write, x)


IMAGES = np.stack([picture((32, 32, 3), i) for i in range(40)])
VOICES = np.stack([voice(0.25, 16_000, i) for i in range(20)])
FAULTS = {
    "dark": (IMAGES // 12, [SPREAD_LOST, DETAIL_LOST]),
    "blurred": (np.stack([cv2.GaussianBlur(x, (0, 0), 4) for x in IMAGES]), [DETAIL_LOST]),
    "flat": (np.full_like(IMAGES, 90), [SPREAD_LOST, DETAIL_LOST]),
    "noisy": (np.random.default_rng(0).integers(0, 256, IMAGES.shape, dtype=np.uint8), [DETAIL_GAINED]),
    "quiet": (VOICES * np.float32(0.01), [SPREAD_LOST, DETAIL_LOST]),
    "silent": (np.zeros_like(VOICES), [SPREAD_LOST, DETAIL_LOST]),
    "loud": (VOICES * np.float32(30), [SPREAD_GAINED, DETAIL_GAINED]),
    "hissing": (
        VOICES + np.random.default_rng(0).normal(size=VOICES.shape).astype(np.float32),
        [SPREAD_GAINED, DETAIL_GAINED],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_on_its_side(fault: str) -> None:
    x, sides = FAULTS[fault]
    train = IMAGES if x.dtype == np.uint8 else VOICES
    found, clean = change(train, x), change(train, train)
    for side in sides:
        assert (found[:, side] > 1).all(), "beyond what 99 of 100 clean ones are"
        assert found[:, (side + 2) % 4].max() == 0, "lost is not gained"
        assert np.mean(clean[:, side] <= 1 + 1e-5) >= 0.95
    assert found.max() <= HIGHEST
    assert (found >= 0).all()


def test_blur_takes_detail_rather_than_spread() -> None:
    spread, detail = (levels_of(IMAGES) - levels_of(np.stack([cv2.GaussianBlur(x, (0, 0), 2) for x in IMAGES]))).T
    assert (detail > 1.5 * spread).all()
    assert (spread > 0).all()


def test_a_set_that_is_constant_divides_by_no_zero() -> None:
    flat = np.full((5, 12, 12, 1), 50, np.uint8)
    levels = levels_of(flat)
    assert (usual_change((levels - levels.mean(0)) / fit_levels(levels).std) == LEAST).all()
    assert change(flat, flat).max() == 0
    assert np.isfinite(change(flat, IMAGES[:, :12, :12, :1])).all()
    assert change(flat, IMAGES[:, :12, :12, :1])[:, SPREAD_GAINED].min() > 1
