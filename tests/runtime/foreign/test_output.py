"""Probabilities that a graph gives itself: quantised ones are held to be such, and brought to a sum of 1."""

from pathlib import Path

import numpy as np
import pytest
from graphs import saved, softmax
from onnx import helper

from robustmm.errors import UsageError
from robustmm.runtime.foreign.output import probabilities, sum_tolerance
from robustmm.runtime.foreign.session import open_session


def opened(folder: Path, classes: int, scale: float, activation: str = "none", last: str = "Softmax") -> object:
    """A graph whose probabilities go through 8 bits."""
    nodes = [helper.make_node(last, ["m"], ["p"]), helper.make_node("QuantizeLinear", ["p", "scale", "zero"], ["q"]),
             helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"])]  # fmt: skip
    stored = {"scale": np.float32(scale), "zero": np.uint8(0)}
    path = saved(folder, nodes, {"m": ("f", [None, classes])}, ("y", [None, classes]), stored)
    listed = ", ".join(f'"{i}"' for i in range(classes))
    text = f'classes = [{listed}]\n[output]\nname = "y"\nactivation = "{activation}"\n'
    mean = [float(i == 0) for i in range(classes)]
    text += f'[modality.m]\nkind = "features"\nlength = {classes}\nmean = {mean}\nstd = {[1.0] * classes}\n'
    text += 'missing = "mean"\n'
    path.with_suffix(".toml").write_text(text)
    return open_session(path, path.with_suffix(".toml"))


@pytest.mark.parametrize(("classes", "scale"), [(2, 1 / 256), (3, 0.992 / 255), (5, 1 / 256), (10, 1 / 255)])
def test_quantised_probabilities_sum_to_one_again(tmp_path: Path, classes: int, scale: float) -> None:
    """So that log-probabilities and confidences are those of the model."""
    session = opened(tmp_path, classes, scale)
    x = np.random.default_rng(0).normal(0, 2, (200, classes)).astype(np.float32)
    exact = softmax(x)
    found = session.predict({"m": x}, np.ones((200, 1), bool))  # type: ignore[attr-defined]
    raw = np.clip(np.rint(exact / scale), 0, 255) * scale
    assert np.abs(raw.sum(1) - 1).max() > 1e-3
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-12)
    np.testing.assert_allclose(found, raw / raw.sum(1, keepdims=True), atol=1e-6)
    own, theirs = (-np.log(np.maximum(p[np.arange(200), exact.argmax(1)], 1e-7)).mean() for p in (found, exact))
    assert own == pytest.approx(theirs, abs=0.01)


def test_softmax_over_probabilities_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r'"y" holds probabilities already, after a Softmax; expected "none"'):
        opened(tmp_path, 3, 0.992 / 255, "softmax")


def test_independent_sigmoids_are_no_shares(tmp_path: Path) -> None:
    """Of several labels at once: each is a probability, and they do not sum to 1."""
    with pytest.raises(UsageError, match=r'"y" should hold probabilities, found .*, which sum to'):
        opened(tmp_path, 4, 1 / 256, last="Sigmoid")


def test_the_tolerance_covers_rounding_and_no_more() -> None:
    assert sum_tolerance(2) == pytest.approx(5 / 255)
    assert sum_tolerance(10) == pytest.approx(9 / 255)
    assert sum_tolerance(1000) == 0.1
    rng = np.random.default_rng(0)
    p = softmax(rng.normal(0, 2, (5000, 10)))
    assert np.abs((np.rint(p * 255) / 255).sum(1) - 1).max() < sum_tolerance(10)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [([[0.0, 0.0]], [[0.5, 0.5]]), ([[0.2, 0.6]], [[0.25, 0.75]]), ([[-0.0005, 1.0]], [[0.0, 1.0]])],
)
def test_a_row_is_brought_to_a_sum_of_one(answer: list[list[float]], expected: list[list[float]]) -> None:
    np.testing.assert_allclose(probabilities(np.array(answer), "none", 2), expected)
    assert np.isnan(probabilities(np.array([[np.nan, 0.5]]), "none", 2)).all(), "NaN stays NaN"
