"""Operators in every form that opsets give them."""

import numpy as np
import onnx
import pytest
from nodes import run_nodes
from onnx import TensorProto, helper

from robustmm.guard.graph.operators import AXES_AS_INPUT, Operators, opset_of

X = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
BY_NUMPY = {"ReduceSum": np.sum, "ReduceMean": np.mean, "ReduceMax": np.max, "ReduceMin": np.min}


@pytest.mark.parametrize("op", AXES_AS_INPUT)
@pytest.mark.parametrize("opset", [13, 17, 18, 20, 21])
@pytest.mark.parametrize("keep", [True, False])
def test_a_reduction_takes_its_axes_as_its_opset_wants(op: str, opset: int, keep: bool) -> None:
    for axes in ((1,), (2,), (1, 2)):
        (found,) = run_nodes(lambda ops, x, axes=axes: ops.reduce(op, x, axes, keep=keep), X, opset=opset)
        np.testing.assert_allclose(found, BY_NUMPY[op](X, axis=axes, keepdims=keep), rtol=1e-5, atol=1e-6)


def test_slices_sorts_and_axes() -> None:
    found = run_nodes(
        lambda ops, x: (
            ops.slice(x, 1, 1, 4, 2), ops.slice(x, 2, -2, 2**31), ops.unsqueeze(x, 1),
            ops.squeeze(ops.slice(x, 1, 0, 1), 1), ops.sort(ops("Reshape", x, ops.numbers(0, -1)), 20),
        ),
        X,
    )  # fmt: skip
    expected = [X[:, 1:4:2], X[:, :, -2:], X[:, None], X[:, 0], -np.sort(-X.reshape(3, -1), 1)]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_names_never_meet_those_of_another_prefix() -> None:
    names = []
    for prefix in ("a/", "b/"):
        ops = Operators(prefix, 20)
        ops.sort(ops.cast("x"), 3)
        ops("Identity", ops.constant(1.0), named=f"{prefix}end")
        names += [name for node in ops.nodes for name in node.output] + [tensor.name for tensor in ops.stored]
        names += [node.name for node in ops.nodes]
        assert all(name.startswith(prefix) for name in names[-6:])
    assert len({name for name in names if name.startswith("a/")} & {n for n in names if n.startswith("b/")}) == 0


def test_the_opset_is_that_of_the_standard_operators() -> None:
    graph = helper.make_graph([], "g", [], [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])])
    opsets = [helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("", 17)]
    assert opset_of(helper.make_model(graph, opset_imports=opsets)) == 17
    assert opset_of(onnx.helper.make_model(graph, opset_imports=[helper.make_opsetid("ai.onnx", 19)])) == 19
