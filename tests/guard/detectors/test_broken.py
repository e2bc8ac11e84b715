"""What is no number, and what is stuck."""

import numpy as np
import pytest
from nodes import run_nodes, run_one
from signals import picture

from robustmm.guard.detectors.broken import CERTAIN, replace_nan, replace_non_finite, score_stuck, usual_share
from robustmm.guard.detectors.modality import fit_input, write_columns, write_statistics


@pytest.mark.parametrize("shape", [(5,), (4, 3), (2, 3, 2), (2, 2, 2, 2)])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("opset", [13, 20])
def test_one_wrong_number_marks_its_row_alone(shape: tuple[int, ...], value: float, opset: int) -> None:
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    x[1].flat[-1] = value
    clean, mark = run_nodes(lambda ops, name: replace_non_finite(ops, name, len(shape)), x, opset=opset)
    np.testing.assert_array_equal(mark[:, 0], [0, CERTAIN, 0])
    expected = x.copy()
    expected[1].flat[-1] = 0
    np.testing.assert_array_equal(clean, expected)


def test_the_largest_numbers_are_numbers() -> None:
    x = np.full((1, 4), np.finfo(np.float32).max, np.float32)
    assert run_nodes(lambda ops, name: replace_non_finite(ops, name, 1), x)[1][0, 0] == 0
    np.testing.assert_array_equal(run_one(lambda ops, n: replace_nan(ops, n, 7.0), np.float32([[1, np.nan]])), [[1, 7]])


def test_the_score_begins_where_clean_signals_end() -> None:
    write = lambda ops, name: score_stuck(ops, name, 0.2)  # noqa: E731
    found = run_one(write, np.float32([[0.0], [0.2], [0.6], [1.0]]))
    np.testing.assert_allclose(found[:, 0], [0, 0, 0.5, 1], atol=1e-6)
    always = run_one(lambda ops, name: score_stuck(ops, name, 1.0), np.float32([[0.0], [1.0]]))
    assert (always == 0).all(), "where clean signals are constant a constant one is no fault"


def test_usual_is_what_99_of_100_do_not_exceed() -> None:
    assert usual_share(np.linspace(0, 1, 101)) == pytest.approx(0.99)
    assert usual_share(np.array([])) == 1.0


def scores(x: np.ndarray, train: np.ndarray) -> np.ndarray:
    """The last column of what is read of an input."""
    shape = train.shape[1:]
    read = run_nodes(lambda ops, name: write_statistics(ops, name, shape, x.dtype), train)
    fitted = fit_input(*(each.astype(np.float64) for each in read[:3]))
    return run_one(lambda ops, name: write_columns(ops, name, shape, x.dtype, fitted), x)[:, -1]


def test_stuck_signals_are_told_from_live_ones() -> None:
    rng = np.random.default_rng(0)
    train = rng.normal(size=(60, 40, 3)).astype(np.float32)
    live = rng.normal(size=(20, 40, 3)).astype(np.float32)
    frozen = np.repeat(live[:, :1], 40, 1)
    half = np.where(np.arange(40)[:, None] < 20, live, live[:, 19:20])
    saturated = np.clip(live * 50, -1, 1)
    for broken, least in ((np.zeros_like(live), 1), (frozen, 1), (saturated, 0.3), (half, 0.3)):
        assert scores(broken, train).min() >= least - 1e-6
    assert scores(live, train).max() < 0.1
    nan = live.copy()
    nan[:, 0, 0] = np.nan
    assert (scores(nan, train) == CERTAIN).all()


def test_pictures_that_are_black_or_white_are_stuck() -> None:
    train = np.stack([picture((16, 16, 3), i) for i in range(30)])
    for value in (0, 255):
        assert scores(np.full((2, 16, 16, 3), value, np.uint8), train).min() == 1
    assert scores(train, train).max() < 0.5


def test_texts_of_padding_alone_are_stuck() -> None:
    train = np.random.default_rng(0).integers(1, 500, (40, 24))
    assert scores(np.zeros((2, 24), np.int64), train).min() == 1
