"""One graph under onnxruntime: what it answers does not depend on how many rows come together."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from robustmm.errors import UsageError
from robustmm.runtime.runner import Runner, find_providers, split_batches
from robustmm.runtime.session import Session


def graph(batch: int | str = "batch") -> onnx.ModelProto:
    """Two layers over `x` (batch, 24) and a shift by `y` (batch, 1)."""
    rng = np.random.default_rng(0)
    weights = {"w": (24, 32), "b": (32,), "v": (32, 5)}
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"]),
        helper.make_node("Tanh", ["h"], ["t"]),
        helper.make_node("MatMul", ["t", "v"], ["u"]),
        helper.make_node("Add", ["u", "y"], ["out"]),
    ]
    ends = {"x": [batch, 24], "y": [batch, 1], "out": [batch, 5]}
    values = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in ends.items()}
    weight_tensors = [numpy_helper.from_array(rng.normal(size=s).astype(np.float32), n) for n, s in weights.items()]
    whole = helper.make_graph(nodes, "g", [values["x"], values["y"]], [values["out"]], weight_tensors)
    return helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def feed(rows: int) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {"x": rng.normal(size=(40, 24)).astype(np.float32)[:rows], "y": np.arange(40, dtype=np.float32)[:rows, None]}


def plain(x: Any, y: Any) -> Any:
    """The graph in double precision."""
    w = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in graph().graph.initializer}
    return np.tanh(x.astype(np.float64) @ w["w"] + w["b"]) @ w["v"] + y


@pytest.mark.parametrize("rows", [1, 2, 3, 40])
def test_rows_come_out_as_they_went_in(rows: int) -> None:
    found = Runner(graph())(**feed(rows))
    assert found.shape == (rows, 5)
    np.testing.assert_allclose(found, plain(**feed(rows)), atol=1e-5)


def test_one_row_is_the_first_of_two(session: Session) -> None:
    runner = Runner(graph())
    assert runner(**feed(1)).tobytes() == runner(**feed(2))[:1].tobytes()
    x = np.random.default_rng(0).normal(size=(2, 12, 2)).astype(np.float32)
    assert session.embed("series", x[:1]).tobytes() == session.embed("series", x)[:1].tobytes()


def test_a_row_alone_never_meets_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    runner, rows = Runner(graph()), []
    answer = runner._run
    monkeypatch.setattr(runner, "_run", lambda given: rows.append(len(given["x"])) or answer(given))
    for n in (1, 2, 5):
        runner(**feed(n))
    assert rows == [2, 2, 5]


@pytest.mark.parametrize("size", [1, 3, 4])
def test_a_graph_of_a_fixed_batch_gets_that_many(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    runner, rows = Runner(graph(size), batch=size), []
    answer = runner._run
    monkeypatch.setattr(runner, "_run", lambda given: rows.append(len(given["x"])) or answer(given))
    for n in (1, size, 7):
        found = runner(**feed(n))
        assert found.shape == (n, 5)
        np.testing.assert_allclose(found, plain(**feed(n)), atol=1e-5)
    assert {*rows} == {size}
    assert len(rows) == 2 + -(-7 // size)


def test_through_io_binding_the_answers_are_the_same() -> None:
    runner, turned = Runner(graph()), feed(40)
    turned["x"] = np.asfortranarray(turned["x"])  # memory in any order
    expected = runner(**turned)
    runner.bound = True
    for rows in (1, 2, 40):
        some = {name: x[:rows] for name, x in turned.items()}
        assert runner(**some).tobytes() == expected[:rows].tobytes()
    assert Runner(graph()).bound is False


def test_arrays_that_the_graph_does_not_ask_for_are_left_out() -> None:
    expected = Runner(graph())(**feed(3))
    for bound in (False, True):
        runner = Runner(graph())
        runner.bound = bound
        assert runner(**feed(3), other=np.zeros(7)).tobytes() == expected.tobytes()


def test_batches_are_consecutive_and_whole() -> None:
    x = np.arange(7)
    assert [part.tolist() for part in split_batches(x, 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [part.tolist() for part in split_batches(x, 7)] == [x.tolist()]
    assert not list(split_batches(x[:0], 3))


def test_the_threads_are_those_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    original = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda m, o, **k: asked.append(o.intra_op_num_threads) or original(m, o, **k)
    )
    Runner(graph(), threads=3)
    assert asked == [3]


def test_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_providers("cpu") == ["CPUExecutionProvider"]
    with pytest.raises(UsageError, match='"cdua" is not a provider, did you mean "cuda"'):
        find_providers("cdua")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    assert find_providers("cuda") == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    with pytest.raises(UsageError, match="tensorrt is not available here"):
        find_providers("tensorrt")
