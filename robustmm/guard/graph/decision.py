"""The decision in the graph: which of the modalities that are there it answers from, and the answer."""

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from robustmm.guard.graph.answers import Answers
from robustmm.guard.graph.operators import PLACE, Operators, opset_of, sort_nodes
from robustmm.guard.reliability import Reliability, list_subsets, write_expectations, write_log_odds
from robustmm.guard.subjects.subject import Subject
from robustmm.runtime.foreign.parts.dependence import needed_nodes

MEMORY_LENGTH = 8
"""Samples that the memory is the mean of, the older ones less and less."""
NEVER = -1000.0
"""Utility of answering from nothing."""


def write_decision(subject: Subject, answers: Answers, fitted: Reliability, thresholds: NDArray[np.float64]) -> None:
    """Adds the decision and the outputs, in place: `used`, `strangeness.<m>`, `gain.<m>`, `memory.next`; and the inputs
    `thresholds` and `memory`, which have defaults."""
    model, names, M = subject.model, subject.session.names, len(subject.session.names)
    subsets = list_subsets(M)
    ops = Operators(f"{PLACE}choice/", opset_of(model))
    odds = write_memory(ops, write_log_odds(ops, answers.features, answers.kept, fitted), answers.kept)
    expected = write_expectations(ops, odds, answers.probabilities, M)
    kept = ops.cast(answers.kept)
    cost = ops("Mul", ops.constant((~subsets).T.astype(np.float32)), ops.unsqueeze("thresholds", 1))
    left = ops("MatMul", kept, ops.constant(subsets.T.astype(np.float32)))
    empty = ops("Where", ops("Less", left, ops.constant(0.5)), ops.constant(NEVER), ops.constant(0.0))
    utility = ops("Add", ops("Sub", expected, ops("MatMul", kept, cost)), empty)
    best = ops("ArgMax", utility, axis=1, keepdims=0)
    chosen = ops.cast(ops("Gather", ops.constant(subsets.astype(np.float32)), best, axis=0), TensorProto.BOOL)
    ops("And", chosen, answers.kept, named="used")
    silent = subject.is_silent(ops)
    for name, of_subsets in answers.raw.items():
        write_answer(ops, name, of_subsets, ops.unsqueeze(best, 1), silent, output_kind(model, name))
    for k, name in enumerate(names):
        ops.squeeze(ops.slice(answers.strangeness, 1, k, k + 1), 1, named=f"strangeness.{name}")
        gained = ops("Sub", ops.slice(expected, 1, 1 + k, 2 + k), ops.slice(expected, 1, 0, 1))
        ops.squeeze(gained, 1, named=f"gain.{name}")
    for node in model.graph.node:
        node.output[:] = [f"{PLACE}plain/{name}" if name in answers.raw else name for name in node.output]
    for node in needed_nodes(model.graph, [f"{PLACE}plain/{name}" for name in answers.raw]):
        node.input[:] = [f"{PLACE}plain/{name}" if name in answers.raw else name for name in node.input]
    ops.append_to(model)
    sort_nodes(model)
    declare_ends(model, names, thresholds)


def output_kind(model: onnx.ModelProto, name: str) -> int:
    """The type of numbers of an output."""
    return int(next(value.type.tensor_type.elem_type for value in model.graph.output if value.name == name))


def write_answer(ops: Operators, name: str, of_subsets: str, row: str, silent: str, kind: int) -> None:
    """Adds the output `name`: the model's own where it is `silent` (batch, 1), else that of the subset `row` (batch, 1)
    of answers (subset, batch, width)."""
    plain = f"{PLACE}plain/{name}"
    guarded = ops("GatherND", ops("Transpose", of_subsets, perm=[1, 0, 2]), row, batch_dims=1)
    shape = ops("Shape", plain)
    flat = ops("Reshape", plain, ops.numbers(0, -1))
    if kind != TensorProto.FLOAT:  # onnxruntime chooses between no halves
        flat, guarded = ops.cast(flat), ops.cast(guarded)
    chosen = ops("Where", silent, flat, guarded)
    if kind != TensorProto.FLOAT:
        chosen = ops.cast(chosen, kind)
    ops("Reshape", chosen, shape, named=name)


def write_memory(ops: Operators, odds: str, kept: str) -> str:
    """The larger of the sample's own log odds and of the memory's, which goes on with the sample: a memory makes more
    suspicious, never less. Those of the sample where there is no memory (zero) or the modality is not there."""
    none = ops("Equal", "memory", ops.constant(0.0))
    step = ops("Div", ops("Sub", odds, "memory"), ops.constant(MEMORY_LENGTH))
    now = ops("Where", none, odds, ops("Add", "memory", step))
    held = ops("Where", kept, now, ops("Add", "memory", ops("Mul", odds, ops.constant(0.0))))
    ops("Identity", held, named="memory.next")
    return ops("Where", kept, ops("Max", odds, now), odds)


def declare_ends(model: onnx.ModelProto, names: Sequence[str], thresholds: NDArray[np.float64]) -> None:
    """The inputs that have defaults, and the outputs behind those of before."""
    M, graph = len(names), model.graph
    for name, value, shape in (
        ("thresholds", thresholds, [M]),
        ("memory", np.zeros((1, M)), ["memories", M]),
    ):
        graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value, np.float32), name))
    graph.output.append(helper.make_tensor_value_info("used", TensorProto.BOOL, ["batch", M]))
    for what in ("strangeness", "gain"):
        graph.output.extend(helper.make_tensor_value_info(f"{what}.{n}", TensorProto.FLOAT, ["batch"]) for n in names)
    graph.output.append(helper.make_tensor_value_info("memory.next", TensorProto.FLOAT, ["batch", M]))
