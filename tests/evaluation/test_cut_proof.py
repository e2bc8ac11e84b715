"""A cut is believed on rows of the data, or the graph runs whole."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graphs import linear, softmax

from robustmm.data.manifest import Manifest, read_manifest
from robustmm.evaluation.cut_proof import prove_cut
from robustmm.evaluation.fit import fit_session
from robustmm.runtime.foreign.session import ForeignSession, open_session
from robustmm.runtime.runner import Runner

TEXT = 'classes = ["x", "y", "z"]\n[output]\nname = "logits"\n' + "".join(
    f'[modality.{name}]\nkind = "features"\nlength = {width}\n' for name, width in (("a", 3), ("b", 2))
)


@pytest.fixture
def foreign(tmp_path: Path) -> tuple[ForeignSession, Manifest, Any]:
    """A session that is cut, rows of which one lacks b, and the model in numpy."""
    path, theirs = linear(tmp_path, {"a": ("f", [None, 3]), "b": ("f", [None, 2])})
    rng = np.random.default_rng(0)
    np.save(tmp_path / "a.npy", rng.normal(size=(9, 3)).astype(np.float32))
    np.save(tmp_path / "b.npy", rng.normal(size=(9, 2)).astype(np.float32))
    with (tmp_path / "m.csv").open("w", newline="") as file:
        rows = [
            [i, "train" if i < 5 else "test", "xyz"[i % 3], f"a.npy#{i}", f"b.npy#{i}" * (i != 7)] for i in range(9)
        ]
        csv.writer(file).writerows([["id", "split", "label", "a", "b"], *rows])
    (tmp_path / "d.toml").write_text(TEXT)
    session = open_session(path, tmp_path / "d.toml")
    assert isinstance(session, ForeignSession)
    assert session.encoded == ["a", "b"]
    return session, read_manifest(tmp_path / "m.csv"), theirs


def test_a_cut_that_holds_is_kept(foreign: Any) -> None:
    session, manifest, _ = foreign
    notes: list[str] = []
    assert prove_cut(session, manifest, notes) is session
    assert notes == []
    assert fit_session(session, manifest).session.encoded == ["a", "b"]


def test_a_cut_that_answers_otherwise_on_the_data_is_given_up(foreign: Any) -> None:
    session, manifest, theirs = foreign
    part = session._cut["b"]
    nodes = [onnx.helper.make_node("Clip", ["flat1", "low"], ["flat"])]  # right for positive numbers alone
    inner = onnx.helper.make_tensor_value_info("flat1", 1, ["n", 2])
    outer = onnx.helper.make_tensor_value_info("flat", 1, ["n", 2])
    low = onnx.numpy_helper.from_array(np.float32(0), "low")
    graph = onnx.helper.make_graph(nodes, "g", [inner], [outer], [low])
    clip = Runner(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9))
    encode = part.encode
    part.encode = lambda laid_out: clip(flat1=encode(laid_out))
    fitted = fit_session(session, manifest)
    assert fitted.session.encoded == []
    assert "the graph runs whole: cut into encoders and a head, it answers otherwise" in fitted.notes[0]
    a, b = (np.load(manifest.folder / f"{name}.npy") for name in "ab")
    np.testing.assert_allclose(
        fitted.session.predict({"a": a, "b": b}, np.ones((9, 2), bool)), softmax(theirs(a, b)), atol=1e-6
    )


def test_a_session_of_ours_is_left_alone(world_model: Path, foreign: Any) -> None:
    ours = open_session(world_model)
    assert prove_cut(ours, foreign[1], []) is ours
