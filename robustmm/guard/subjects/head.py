"""The head of a foreign graph as a decoder, and what the guard reads of its inputs, as operators."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from robustmm.guard.graph.operators import PLACE, Operators, opset_of
from robustmm.guard.subjects.pieces import FARTHEST, Piece, list_pieces, take_columns
from robustmm.guard.subjects.subject import Embedding, Given
from robustmm.runtime.foreign.guard import PRESENT
from robustmm.runtime.foreign.inputs import InputBinding
from robustmm.runtime.foreign.parts.dependence import needed_nodes
from robustmm.runtime.foreign.session import ForeignSession

SCORES = f"{PLACE}scores"
LEAST = 1e-30
"""Probability that has a logarithm."""


def write_input(model: onnx.ModelProto, session: ForeignSession, binding: InputBinding) -> Given:
    """Adds the modality's own part of its input, in single precision where it is no whole number."""
    piece = list_pieces(session, binding)[0]
    ops = Operators(f"{PLACE}given/{binding.modality.name}/", opset_of(model))
    x, dtype = take_columns(ops, piece), piece.dtype
    if dtype.kind in "fb" and dtype != np.float32:
        x, dtype = ops.cast(x), np.dtype(np.float32)
    ops.append_to(model)
    return Given(x, piece.shape, dtype)


def write_embedding(model: onnx.ModelProto, name: str, pieces: Sequence[Piece]) -> None:
    """Adds `guard/encoded/<modality>` (batch, width): pieces side by side, finite but for NaN."""
    ops = Operators(f"{PLACE}embedding/{name}/", opset_of(model))
    flat = []
    for piece in pieces:
        x = ops("Reshape", ops.cast(take_columns(ops, piece)), ops.numbers(0, -1))
        if piece.dtype.kind == "f":
            sign = ops("Mul", ops("Sign", x), ops.constant(FARTHEST))
            x = ops("Where", ops("IsInf", x), sign, x)
        flat.append(x)
    ops("Concat", *flat, axis=1, named=f"{PLACE}encoded/{name}")
    ops.append_to(model)


def write_presence(model: onnx.ModelProto, session: ForeignSession) -> None:
    """Adds `guard/present` (batch or 1, modality) of the graph's own inputs for it, and of a new one with a default for
    the modalities that have none."""
    M, ops = len(session.names), Operators(f"{PLACE}presence/", opset_of(model))
    found = ""
    for name, own in group_by_presence(session, PRESENT).items():
        if name == PRESENT:
            value = helper.make_tensor_value_info(PRESENT, TensorProto.BOOL, ["presences", len(own)])
            model.graph.input.append(value)
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((1, len(own)), bool), PRESENT))
        flat = name != PRESENT and len(session.tensors[name].dims or ()) == 1
        told = ops.cast(ops.unsqueeze(name, 1) if flat else name)
        spread, others = np.zeros((len(own), M)), np.ones(M)
        spread[range(len(own)), own], others[own] = 1, 0
        sums = ops("Add", ops("MatMul", told, ops.constant(spread)), ops.constant(others))
        here = ops("Greater", sums, ops.constant(0.5))
        found = ops("And", found, here) if found else here
    ops("Identity", found, named=f"{PLACE}present")
    ops.append_to(model)
    model.graph.value_info.append(helper.make_tensor_value_info(f"{PLACE}present", TensorProto.BOOL, [None, M]))


def build_decoder(
    session: ForeignSession,
    model: onnx.ModelProto,
    head: onnx.ModelProto,
    pieces: Mapping[str, Sequence[Piece]],
    fills: Mapping[str, Embedding],
) -> onnx.ModelProto:
    """The head, with the fill in the place of what is not present."""
    ops = Operators(f"{PLACE}head/", opset_of(model))
    shared: dict[str, list[tuple[int, str, int]]] = {}
    feed: dict[str, str] = {}
    for m, name in enumerate(session.names):
        here = ops.slice("present", 1, m, m + 1)
        z, start = ops("Where", here, f"z.{name}", ops.constant(fills[name])), 0
        for piece in pieces[name]:
            size = int(np.prod(piece.shape))
            x = ops("Reshape", ops.slice(z, 1, start, start + size), ops.numbers(-1, *piece.shape))
            kind = helper.np_dtype_to_tensor_dtype(piece.dtype)
            x = ops.cast(x if piece.dtype.kind == "f" else ops("Round", x), kind)
            start += size
            if piece.columns:
                shared.setdefault(piece.tensor, []).append((piece.columns[0], x, piece.axis))
            else:
                feed[piece.tensor] = x
    for tensor, parts in shared.items():
        parts.sort()
        feed[tensor] = ops("Concat", *(x for _, x, _ in parts), axis=parts[0][2])
    feed |= write_own_presence(ops, session)
    for name, x in feed.items():
        ops("Identity", x, named=name)
    ends = Operators(f"{PLACE}ends/", opset_of(model))
    write_scores(ends, ends("Reshape", session.output, ends.numbers(0, -1)), session)
    given = [helper.make_tensor_value_info("present", TensorProto.BOOL, ["batch", len(session.names)])]
    given += [
        helper.make_tensor_value_info(f"z.{name}", TensorProto.FLOAT, ["batch", fill.shape[1]])
        for name, fill in fills.items()
    ]
    scores = helper.make_tensor_value_info(SCORES, TensorProto.FLOAT, ["batch", len(session.classes)])
    graph = helper.make_graph(
        [*ops.nodes, *needed_nodes(head.graph, [session.output]), *ends.nodes], "decoder", given,
        [scores, onnx.ValueInfoProto(name=session.output)], [*head.graph.initializer, *ops.stored, *ends.stored],
    )  # fmt: skip
    found = helper.make_model(graph, opset_imports=model.opset_import, functions=model.functions)
    found.ir_version = model.ir_version
    return found


def group_by_presence(session: ForeignSession, otherwise: str = "") -> dict[str, list[int]]:
    """Which modalities each input for what is present tells of; those that have none are told of by `otherwise`, where
    it is given."""
    columns: dict[str, list[int]] = {}
    for m, binding in enumerate(session.bindings):
        if name := binding.preprocessing.present or otherwise:
            columns.setdefault(name, []).append(m)
    return columns


def write_own_presence(ops: Operators, session: ForeignSession) -> dict[str, str]:
    """The graph's own inputs for what is present."""
    found = {}
    for name, own in group_by_presence(session).items():
        tensor = session.tensors[name]
        assert tensor.dtype is not None  # or it would not have been bound
        told = ops("Gather", "present", ops.numbers(*own), axis=1)
        told = ops.squeeze(told, 1) if len(own) == 1 and len(tensor.dims or ()) == 1 else told
        found[name] = ops.cast(told, helper.np_dtype_to_tensor_dtype(tensor.dtype))
    return found


def write_scores(ops: Operators, raw: str, session: ForeignSession) -> None:
    """Logits (batch, class) of an answer (batch, width): a softmax of them gives the probabilities."""
    x = ops.cast(raw)
    if session.activation == "sigmoid":
        ops("Concat", ops("Mul", x, ops.constant(0.0)), x, axis=1, named=SCORES)
    elif session.activation == "softmax":
        ops("Identity", x, named=SCORES)
    else:
        if session.answer_width < len(session.classes):
            x = ops("Concat", ops("Sub", ops.constant(1.0), x), x, axis=1)
        ops("Log", ops("Max", x, ops.constant(LEAST)), named=SCORES)
