"""Small graphs as other tools write them, with the numbers that they answer."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
TYPES = {"f": TensorProto.FLOAT, "d": TensorProto.DOUBLE, "e": TensorProto.FLOAT16, "B": TensorProto.UINT8,
         "b": TensorProto.INT8, "q": TensorProto.INT64, "i": TensorProto.INT32, "?": TensorProto.BOOL,
         "s": TensorProto.STRING}  # fmt: skip
"""ONNX's types by numpy's characters, `s` for strings."""

Inputs = Mapping[str, tuple[str, Sequence[int | str | None]]]
"""A character of `TYPES` and the dimensions, by name."""


def value(name: str, kind: str, dims: Sequence[int | str | None] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TYPES[kind], dims)


def saved(
    folder: Path,
    nodes: Sequence[onnx.NodeProto],
    inputs: Inputs,
    output: tuple[str, Sequence[int | str | None] | None],
    stored: Mapping[str, Array] | None = None,
    opset: int = 18,
) -> Path:
    """A graph in a file."""
    constants = [numpy_helper.from_array(np.asarray(x), name) for name, x in (stored or {}).items()]
    declared = [value(name, kind, dims) for name, (kind, dims) in inputs.items()]
    graph = helper.make_graph(nodes, "theirs", declared, [value(output[0], "f", output[1])], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.save(model, folder / "theirs.onnx")
    return folder / "theirs.onnx"


def linear(
    folder: Path, inputs: Inputs, classes: int = 3, answer: tuple[str, Sequence[int | str | None]] | None = None
) -> tuple[Path, Callable[..., Array]]:
    """A graph that flattens every input, sets them side by side and multiplies with a fixed matrix; and the same in
    numpy. Open dimensions but the batch are taken to be 2."""
    sizes = {
        name: int(np.prod([d if isinstance(d, int) else 2 for d in dims[1:]])) for name, (_, dims) in inputs.items()
    }
    rng = np.random.default_rng(len(inputs))
    weight = rng.normal(size=(sum(sizes.values()), classes)).astype(np.float32)
    weight /= np.sqrt(len(weight))
    nodes = []
    for i, name in enumerate(inputs):
        nodes.append(helper.make_node("Cast", [name], [f"float{i}"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Flatten", [f"float{i}"], [f"flat{i}"], axis=1))
    nodes.append(helper.make_node("Concat", [f"flat{i}" for i in range(len(inputs))], ["all"], axis=1))
    nodes.append(helper.make_node("MatMul", ["all", "weight"], ["logits"]))
    path = saved(folder, nodes, inputs, answer or ("logits", ["batch", classes]), {"weight": weight})

    def theirs(*arrays: Array) -> Array:
        flat = np.concatenate([x.reshape(len(x), -1).astype(np.float64) for x in arrays], 1)
        return flat @ weight.astype(np.float64)

    return path, theirs


def softmax(logits: Array) -> Array:
    from scipy.special import softmax as second

    return np.asarray(second(logits.astype(np.float64), 1))
