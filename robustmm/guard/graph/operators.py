"""ONNX operators as functions of tensor names: what the guard computes is written once, and run by onnxruntime when it
is fitted as when it is deployed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PLACE = "guard/"
"""Prefix of everything that the guard adds to a graph. No modality's name has a slash."""
AXES_AS_INPUT = {"ReduceSum": 13, "ReduceMean": 18, "ReduceMax": 18, "ReduceMin": 18}
"""The opset from which a reduction takes its axes as an input and no longer as an attribute."""


class Operators:
    """Nodes and stored tensors, each named under a prefix. Calling it with an operator and the names of its inputs adds
    a node and gives the name of its output."""

    def __init__(self, prefix: str, opset: int) -> None:
        self.prefix, self.opset = prefix, opset
        self.nodes: list[onnx.NodeProto] = []
        self.stored: list[onnx.TensorProto] = []

    def __call__(self, op: str, *given: str, named: str = "", **options: Any) -> str:
        """One node; its output is called `named`, or by a number."""
        name = f"{self.prefix}{len(self.nodes)}/{op}"
        self.nodes.append(helper.make_node(op, given, [named or name], name=name, **options))
        return named or name

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"{self.prefix}stored/{len(self.stored)}"
        self.stored.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype), name))
        return name

    def numbers(self, *values: int) -> str:
        """Axes, shapes and indices."""
        return self.constant(values, np.int64)

    def cast(self, x: str, kind: int = TensorProto.FLOAT) -> str:
        return self("Cast", x, to=kind)

    def reduce(self, op: str, x: str, axes: Sequence[int], keep: bool = True) -> str:
        """ReduceSum, ReduceMean, ReduceMax or ReduceMin over some axes."""
        if self.opset >= AXES_AS_INPUT[op]:
            return self(op, x, self.numbers(*axes), keepdims=int(keep))
        return self(op, x, axes=list(axes), keepdims=int(keep))

    def slice(self, x: str, axis: int, start: int, end: int, step: int = 1) -> str:
        return self("Slice", x, *(self.numbers(n) for n in (start, end, axis, step)))

    def sort(self, x: str, length: int) -> str:
        """x (batch, length), the largest first."""
        name = f"{self.prefix}{len(self.nodes)}/TopK"
        self.nodes.append(helper.make_node("TopK", [x, self.numbers(length)], [name, f"{name}/order"], name=name))
        return name

    def squeeze(self, x: str, axis: int, named: str = "") -> str:
        return self("Squeeze", x, self.numbers(axis), named=named)

    def unsqueeze(self, x: str, axis: int) -> str:
        return self("Unsqueeze", x, self.numbers(axis))

    def append_to(self, model: onnx.ModelProto) -> None:
        """Puts the nodes behind those of a model."""
        model.graph.node.extend(self.nodes)
        model.graph.initializer.extend(self.stored)


def opset_of(model: onnx.ModelProto) -> int:
    """The opset of the standard operators that a model is written in."""
    return next(int(each.version) for each in model.opset_import if each.domain in ("", "ai.onnx"))


def build_model(ops: Operators, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[str]) -> onnx.ModelProto:
    """A graph of some operators."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    body = helper.make_graph(ops.nodes, "guard", inputs, ends, ops.stored)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", ops.opset)], ir_version=10)


def sort_nodes(model: onnx.ModelProto) -> None:
    """Puts every node behind those whose outputs it reads."""
    made = {name: k for k, node in enumerate(model.graph.node) for name in node.output}
    nodes, placed, order = list(model.graph.node), set[int](), list[int]()
    for first in range(len(nodes)):
        waiting = [first]
        while waiting:
            k = waiting[-1]
            before = [] if k in placed else [made[n] for n in nodes[k].input if n in made and made[n] not in placed]
            if before:
                waiting += before
                continue
            waiting.pop()
            if k not in placed:
                placed.add(k)
                order.append(k)
    sorted_nodes = [nodes[k] for k in order]
    del model.graph.node[:]
    model.graph.node.extend(sorted_nodes)
