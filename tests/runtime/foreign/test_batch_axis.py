"""Inputs that have the batch on another axis answer as numpy does."""

from pathlib import Path

import numpy as np
import pytest
from graphs import saved, softmax
from onnx import helper

from robustmm.errors import DataError, UsageError
from robustmm.runtime.foreign.session import ForeignSession, open_session

PRESENCE = np.array([[1, 1], [1, 0], [0, 1], [1, 1], [0, 0]], bool)
TEXT = """\
classes = ["ant", "bee", "cat"]
[output]
name = "logits"
[modality.walk]
kind = "series"
steps = 4
channels = 2
layout = "{}"
[modality.vitals]
kind = "features"
length = 3
"""
RNG = np.random.default_rng(0)
U, V = RNG.normal(size=(2, 3)).astype(np.float32), RNG.normal(size=(3, 3)).astype(np.float32)
WALK, VITALS = RNG.normal(size=(5, 4, 2)).astype(np.float32), RNG.normal(size=(5, 3)).astype(np.float32)


def opened(folder: Path, layout: str, dims: list[int | str], steps: int) -> ForeignSession:
    """A model that takes the largest of the steps, and adds the measurements."""
    nodes = [
        helper.make_node("ReduceMax", ["walk", "axis"], ["most"], keepdims=0),
        helper.make_node("Transpose", ["most"], ["rows"], perm=[0, 1] if dims.index("batch") < 2 else [1, 0]),
        helper.make_node("MatMul", ["rows", "u"], ["a"]),
        helper.make_node("MatMul", ["vitals", "v"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["logits"]),
    ]
    inputs = {"walk": ("f", dims), "vitals": ("f", ["batch", 3])}
    path = saved(folder, nodes, inputs, ("logits", ["batch", 3]), {"u": U, "v": V, "axis": np.array([steps])})
    (folder / "d.toml").write_text(TEXT.format(layout))
    found = open_session(path, folder / "d.toml")
    assert isinstance(found, ForeignSession)
    return found


@pytest.mark.parametrize(
    ("layout", "dims", "steps"),
    [("TND", [4, "batch", 2], 0), ("NTD", ["batch", 4, 2], 1), ("TDN", [4, 2, "batch"], 0)],
)
def test_the_batch_may_stand_on_any_axis(layout: str, dims: list[int | str], steps: int, tmp_path: Path) -> None:
    session = opened(tmp_path, layout, dims, steps)
    assert session.encoded == ["walk", "vitals"]
    most = np.where(PRESENCE[:, :1, None], WALK, 0).max(1) if layout else WALK
    expected = softmax(most @ U + np.where(PRESENCE[:, 1:], VITALS, 0) @ V)
    for rows in (1, 3, 5):
        found = session.predict({"walk": WALK[:rows], "vitals": VITALS[:rows]}, PRESENCE[:rows])
        np.testing.assert_allclose(found, expected[:rows], atol=1e-6)


@pytest.mark.parametrize("layout", ["TD", "NNTD", "TNDN"])
def test_a_layout_without_one_batch_is_refused(layout: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r'layout: should be the axes of "NTD" in its order \(N is the batch\)'):
        opened(tmp_path, layout, [4, "batch", 2], 0)


def test_a_layout_that_does_not_fit_names_what_was_found(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r'input: should be \(batch, 2, 4\) .*, found "walk" float32 \(\?, 4, 2\)'):
        opened(tmp_path, "DNT", [4, "batch", 2], 0)


def test_what_onnxruntime_refuses_while_it_runs_is_a_sentence(tmp_path: Path) -> None:
    """An index out of range, of one sample alone."""
    nodes = [
        helper.make_node("Cast", ["which"], ["index"], to=7), helper.make_node("Squeeze", ["index", "axis"], ["flat"]),
        helper.make_node("Gather", ["u", "flat"], ["logits"]),
    ]  # fmt: skip
    stored = {"u": V, "axis": np.array([1])}
    path = saved(tmp_path, nodes, {"which": ("f", ["batch", 1])}, ("logits", ["batch", 3]), stored)
    head = TEXT.split("[modality")[0]
    (tmp_path / "d.toml").write_text(
        f'{head}[modality.which]\nkind = "features"\nlength = 1\nmean = [0]\nstd = [0.1]\n'
    )
    session = open_session(path, tmp_path / "d.toml")
    here = np.ones((2, 1), bool)
    np.testing.assert_allclose(session.predict({"which": np.float32([[0], [2]])}, here), softmax(V[[0, 2]]), atol=1e-6)
    with pytest.raises(DataError, match=r"theirs.onnx cannot be run: .*idx=7 must be within"):
        session.predict({"which": np.float32([[0], [7]])}, here)
