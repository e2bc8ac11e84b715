"""What the tensors of a graph depend on, and graphs made of a part of another's nodes."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Sources = frozenset[str]
HEAD = ""
"""The source of what must stay in the head, whatever else it depends on."""


@dataclass(frozen=True)
class BatchShape:
    """The value of a Shape node where it follows from the number of rows: slope * rows + constant."""

    slope: NDArray[np.int64]
    constant: NDArray[np.int64]


def fit_batch_shape(values: Sequence[tuple[int, NDArray[Any]]]) -> BatchShape | None:
    """From the values seen at some numbers of rows; None where they follow from more than that number."""
    if len({x.shape for _, x in values}) > 1:
        return None
    (n, first), (m, second) = values[:2]
    slope = (second - first) // (m - n) if m != n else np.zeros_like(first)
    found = BatchShape(slope, first - slope * n)
    return found if all((slope * rows + found.constant == x).all() for rows, x in values) else None


def find_sources(
    graph: onnx.GraphProto, inputs: Mapping[str, Sources], shapes: Collection[str], head: set[str]
) -> dict[str, Sources]:
    """What every tensor depends on, constants left out. The outputs of Shape nodes in `shapes` depend on nothing, since
    they follow from the number of rows; the tensors in `head` and all that follow from them depend on `HEAD` too."""
    found = dict(inputs)
    for node in graph.node:  # in topological order, as ONNX demands
        own: Sources = frozenset()
        if node.output[0] not in shapes:
            own = own.union(*(found.get(name, frozenset()) for name in read_names(node)))
        if not head.isdisjoint(node.output):
            own |= {HEAD}
        found.update(dict.fromkeys(node.output, own))
    return found


def read_names(node: onnx.NodeProto) -> Iterator[str]:
    """The tensors that a node reads, those that its branches and loops take from outside included."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        for graph in [attribute.g, *attribute.graphs] if attribute.HasField("g") else attribute.graphs:
            inside = {value.name for value in (*graph.input, *graph.initializer)}
            for inner in graph.node:
                yield from (name for name in read_names(inner) if name not in inside)
                inside.update(inner.output)
            yield from (value.name for value in graph.output if value.name not in inside)


def needed_nodes(
    graph: onnx.GraphProto, outputs: Iterable[str], stops: Collection[str] = (), shapes: Collection[str] = ()
) -> list[onnx.NodeProto]:
    """The nodes that the outputs follow from, in the graph's order, going back no further than the tensors in `stops`
    and the Shape nodes whose outputs are in `shapes`."""
    wanted = set(outputs)
    found = []
    for node in reversed(graph.node):
        if not wanted.isdisjoint(name for name in node.output if name not in stops):
            found.append(node)
            wanted.update(() if node.output[0] in shapes else read_names(node))
    return found[::-1]


def extract_graph(
    model: onnx.ModelProto,
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[str],
    shapes: Mapping[str, BatchShape],
) -> onnx.ModelProto:
    """A model of the nodes between `inputs` and `outputs`; Shape nodes in `shapes` are computed from the number of rows
    of the first input that is left, in place of a tensor that is not here."""
    stops = {value.name for value in inputs}
    nodes = []
    constants: list[onnx.TensorProto] = []
    for node in needed_nodes(model.graph, outputs, stops, shapes):
        if node.output[0] in shapes:
            made, stored = compute_shape(node.output[0], shapes[node.output[0]], inputs[0].name)
            nodes += made
            constants += stored
        else:
            nodes.append(node)
    nodes += [helper.make_node("Identity", [name], [f"{name}.out"]) for name in outputs if name in stops]
    read = {name for node in nodes for name in read_names(node)}
    left = [value for value in inputs if value.name in read]
    graph = helper.make_graph(
        nodes, "part", left, [onnx.ValueInfoProto(name=f"{n}.out" if n in stops else n) for n in outputs],
        [tensor for tensor in model.graph.initializer if tensor.name in read] + constants,
    )  # fmt: skip
    part = helper.make_model(graph, opset_imports=model.opset_import, functions=model.functions)
    part.ir_version = model.ir_version
    return part


def compute_shape(name: str, shape: BatchShape, anchor: str) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Nodes and constants that give `name` from the number of rows of `anchor`."""
    if not shape.slope.any():
        return [], [numpy_helper.from_array(shape.constant, name)]
    parts = {"zero": np.zeros(1, np.int64), "slope": shape.slope, "constant": shape.constant}
    own = {key: f"{name}.{key}" for key in (*parts, "shape", "rows", "scaled")}
    nodes = [
        helper.make_node("Shape", [anchor], [own["shape"]]),
        helper.make_node("Gather", [own["shape"], own["zero"]], [own["rows"]]),
        helper.make_node("Mul", [own["rows"], own["slope"]], [own["scaled"]]),
        helper.make_node("Add", [own["scaled"], own["constant"]], [name]),
    ]
    return nodes, [numpy_helper.from_array(x, own[key]) for key, x in parts.items()]
