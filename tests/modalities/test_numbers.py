"""Series and features: real numbers in the recipe's shape, and the scale learned from training data."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from robustmm.errors import DataError
from robustmm.modalities import Features, Series
from robustmm.modalities.features import mean_and_std

RNG = np.random.default_rng(0)


def series(steps: int, channels: int, fit: str = "stretch") -> Series:
    return Series.model_validate({"name": "series", "steps": steps, "channels": channels, "fit": fit})


def refusal(modality: Series | Features, cell: str, folder: Path) -> str:
    with pytest.raises(DataError) as error:
        modality.read(cell, folder)
    return str(error.value)


def test_a_series_of_the_right_length_is_itself(tmp_path: Path) -> None:
    values = RNG.normal(size=(3, 10, 2))
    np.save(tmp_path / "a.npy", values)
    modality = series(10, 2)
    found = modality.read("a.npy#1", tmp_path)
    assert (found.dtype, found.shape) == (modality.dtype, modality.shape) == (np.dtype(np.float32), (10, 2))
    assert (found == values[1].astype(np.float32)).all()
    assert modality.size_of("a.npy#1", tmp_path) == "10 x 2"


@pytest.mark.parametrize("text", ["a,b\n1,2\n3,4\n", "1,2\n3,4\n", "\ufeff1,2\r\n3,4\r\n\r\n", " 1 , 2 \n3,4e0"])
def test_a_csv_is_a_series_with_or_without_names(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_bytes(text.encode())
    assert series(2, 2).read("a.csv", tmp_path).tolist() == [[1, 2], [3, 4]]
    assert series(2, 2).size_of("a.csv", tmp_path) == "2 x 2"


def test_one_channel_needs_no_second_axis(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(4.0))
    assert series(4, 1).read("a.npy", tmp_path).tolist() == [[0], [1], [2], [3]]


def test_stretching_is_linear_interpolation(tmp_path: Path) -> None:
    values = RNG.normal(size=(7, 2))
    np.save(tmp_path / "a.npy", values)
    for steps in (3, 13, 50):
        found = series(steps, 2).read("a.npy", tmp_path)
        position = np.linspace(0, 6, steps)
        expected = np.stack([np.interp(position, np.arange(7), channel) for channel in values.T], axis=1)
        assert np.allclose(found, expected, atol=1e-6)
    assert series(1, 2).read("a.npy", tmp_path).shape == (1, 2)
    np.save(tmp_path / "one.npy", values[:1])
    assert np.allclose(series(5, 2).read("one.npy", tmp_path), values[:1], atol=1e-6)


def test_cropping_keeps_the_middle_and_repeats_the_end(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(7.0)[:, None])
    assert series(3, 1, "crop").read("a.npy", tmp_path)[:, 0].tolist() == [2, 3, 4]
    assert series(9, 1, "crop").read("a.npy", tmp_path)[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 6, 6]


def test_nan_is_data_here(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,nan\n3,inf\n")
    found = series(2, 2).read("a.csv", tmp_path)
    assert np.isnan(found[0, 1])
    assert np.isinf(found[1, 1])


CSV_ERRORS = {
    "": "should be a series (steps, 2), found (0, 1)",
    "a,b\n": "should be a series (steps, 2), found (0, 1)",
    "1,2,3\n": "should be a series (steps, 2), found (1, 3)",
    "1,2\n3\n": "is not a CSV table of numbers (line 2 has 1 values, line 1 has 2, are its commas decimal ones?)",
    "1,2\n3,x\n": 'is not a CSV table of numbers (line 2, column 2: expected a number, found "x")',
    "a,b\n\n1,2\n3,\n": 'is not a CSV table of numbers (line 4, column 2: expected a number, found "")',
    "1|2\n3|4\n": 'is not a CSV table of numbers (line 2, column 1: expected a number, found "3|4")',
    "\xff\xfe": "should be a series (steps, 2), found (0, 1)",
    "PK\x03\x04\x00\x81": "is not a CSV table of numbers",
}


@pytest.mark.parametrize("content", CSV_ERRORS, ids=range(len(CSV_ERRORS)))
def test_a_wrong_csv_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.csv").write_bytes(content.encode("latin1"))
    assert CSV_ERRORS[content] in refusal(series(2, 2), "a.csv", tmp_path)


def test_wrong_arrays_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "wide.npy", np.zeros((4, 3)))
    np.save(tmp_path / "deep.npy", np.zeros((4, 2, 2)))
    np.save(tmp_path / "none.npy", np.zeros((0, 2)))
    np.save(tmp_path / "words.npy", np.array([["a", "b"]]))
    assert "should be a series (steps, 2), found (4, 3)" in refusal(series(4, 2), "wide.npy", tmp_path)
    assert "found (4, 2, 2)" in refusal(series(4, 2), "deep.npy", tmp_path)
    assert "found (0, 2)" in refusal(series(4, 2), "none.npy", tmp_path)
    assert "should hold real numbers, found dtype <U1" in refusal(series(4, 2), "words.npy", tmp_path)
    assert "does not exist" in refusal(series(4, 2), "absent.csv", tmp_path)
    features = Features(name="features", length=3)
    assert "should be a vector of 3 numbers, found shape (4, 3)" in refusal(features, "wide.npy", tmp_path)
    assert "found shape (2, 2)" in refusal(features, "deep.npy#1", tmp_path)
    assert "is not a readable .npy array" in refusal(features, ".", tmp_path)


def test_features_are_vectors(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(6).reshape(2, 3))
    modality = Features(name="features", length=3)
    found = modality.read("a.npy#1", tmp_path)
    assert (found.dtype, found.shape) == (modality.dtype, modality.shape) == (np.dtype(np.float32), (3,))
    assert found.tolist() == [3, 4, 5]
    assert modality.size_of("a.npy#1", tmp_path) == "3"
    assert (modality.feed(found) == found).all()
    assert modality.blank_input().tolist() == [0, 0, 0]


def reference(values: Any) -> tuple[Any, Any]:
    """Mean and standard deviation over finite entries, by numpy."""
    finite = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    return np.nanmean(finite, axis=0), np.nanstd(finite, axis=0)


@pytest.mark.parametrize("offset", [0.0, 1e6, -1e6, 1e-6])
@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e4])
@pytest.mark.parametrize("holes", [0.0, 0.3])
def test_the_scale_is_that_of_numpy(offset: float, spread: float, holes: float) -> None:
    values = offset + spread * RNG.normal(size=(40, 6, 3))
    values[RNG.random(values.shape) < holes] = np.nan
    values[0, 0] = [np.nan, np.inf, -np.inf]  # a first row of nothing is no reason for a worse answer
    mean, std = mean_and_std(list(values), 3)
    expected = reference(values.reshape(-1, 3))
    assert np.allclose(mean, expected[0], rtol=1e-9, atol=1e-9)
    assert np.allclose(std, expected[1], rtol=1e-6)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e6, -3e30, 1e-30])
def test_a_constant_channel_has_scale_one(constant: float) -> None:
    mean, std = mean_and_std([np.full((n, 1), constant, np.float32) for n in (3, 7, 1)], 1)
    assert mean[0] == pytest.approx(np.float32(constant), rel=1e-12)
    assert std == (1.0,)


def test_nothing_to_learn_from_is_scale_one() -> None:
    for signals in ([], [np.full((4, 2), np.nan)], [np.zeros((0, 2))]):
        assert mean_and_std(signals, 2) == ((0.0, 0.0), (1.0, 1.0))


@given(arrays.arrays(np.float32, (8, 2), elements=st.floats(-1e6, 1e6, width=32)), st.integers(1, 7))
@settings(max_examples=60, deadline=None)
def test_how_steps_are_grouped_into_samples_changes_nothing(values: Any, cut: int) -> None:
    whole, parts = mean_and_std([values], 2), mean_and_std([values[:cut], values[cut:]], 2)
    assert np.allclose(whole, parts, rtol=1e-6, atol=1e-9)


def test_fitted_modalities_carry_the_scale() -> None:
    signals = list(RNG.normal(5, 2, size=(50, 8, 3)).astype(np.float32))
    fitted = series(8, 3).fit_to(signals)
    assert np.allclose(fitted.mean, np.mean(signals, axis=(0, 1)), rtol=1e-5)
    assert np.allclose(fitted.std, np.std(signals, axis=(0, 1)), rtol=1e-5)
    vectors = [signal[0] for signal in signals]
    features = Features(name="f", length=3).fit_to(vectors)
    assert np.allclose(features.mean, np.mean(vectors, axis=0), rtol=1e-5)
    assert np.allclose(features.std, np.std(vectors, axis=0), rtol=1e-5)
    assert (features.mean, features.std) != (Features(name="f", length=3).mean, Features(name="f", length=3).std)
