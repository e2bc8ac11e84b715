"""The guard in a graph: what its detectors read of an input stands beside the embedding, `z.<modality>` (batch, width +
COLUMNS), and the decoder answers from what the decision keeps of the modalities that are present.

Nothing of the model is changed. Where nothing is dropped, logits and probabilities are those of its own nodes, which
run as they did; else those of a copy of its decoder, which answers from every subset of `list_subsets` at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from robustmm.guard.detectors.agreement import measure_disagreement
from robustmm.guard.detectors.broken import CERTAIN, replace_nan, replace_non_finite
from robustmm.guard.detectors.modality import (
    COLUMNS,
    EmbeddingDetectors,
    InputDetectors,
    Scales,
    write_columns,
    write_distances,
    write_features,
)
from robustmm.guard.operators import Operators, opset_of
from robustmm.guard.reliability import Reliability, list_subsets, write_expectations, write_log_odds
from robustmm.guard.temperature import Temperature
from robustmm.modalities import Modality
from robustmm.runtime.graph import rename_tensors

PLACE = "guard/"
"""Prefix of everything that the guard adds to a graph. No modality's name has a slash."""
MEMORY_LENGTH = 8
"""Samples that the memory is the mean of, the older ones less and less."""
NEVER = -1000.0
"""Utility of answering from nothing."""


@dataclass(frozen=True)
class Answers:
    """Names in the graph: `features` (batch, modality, feature); calibrated `probabilities` (batch, subset, class);
    `logits` (decoded subset, batch, class); `kept` (batch, modality) bool: present and finite; `strangeness` (batch,
    modality)."""

    features: str
    probabilities: str
    logits: str
    kept: str
    strangeness: str


def widen_embeddings(
    model: onnx.ModelProto, modalities: Sequence[Modality], width: int, fitted: Mapping[str, InputDetectors]
) -> None:
    """Puts what the detectors read of every input beside its embedding, in place; the decoder reads on what it did."""
    consumers = {f"z.{m.name}": f"{PLACE}z/{m.name}" for m in modalities}
    for node in model.graph.node:
        node.input[:] = [consumers.get(name, name) for name in node.input]
        node.output[:] = [f"{PLACE}encoded/{name[2:]}" if name in consumers else name for name in node.output]
    for m in modalities:
        ops = Operators(f"{PLACE}input/{m.name}/", opset_of(model))
        columns = write_columns(ops, m.name, m.shape, m.dtype, fitted[m.name])
        ops("Concat", f"{PLACE}encoded/{m.name}", columns, axis=1, named=f"z.{m.name}")
        ops("Slice", f"z.{m.name}", *map(ops.numbers, (0, width, 1)), named=f"{PLACE}z/{m.name}")
        ops.append_to(model)
    wide = {f"z.{m.name}": ["batch", width + COLUMNS] for m in modalities}
    for value in model.graph.output:
        if value.name in wide:
            value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, wide[value.name]))
    sort_nodes(model)


def write_answers(
    model: onnx.ModelProto,
    decoder: onnx.ModelProto,
    modalities: Sequence[Modality],
    embeddings: Mapping[str, EmbeddingDetectors],
    scales: Mapping[str, Scales],
    temperature: Temperature,
) -> Answers:
    """Adds what the decision reads to a graph with wide embeddings. `decoder` gives `logits` from `present` and every
    plain `z.<modality>`."""
    M, ops = len(modalities), Operators(f"{PLACE}decision/", opset_of(model))
    z, finite, features = {}, [], []
    for m in [m.name for m in modalities]:
        columns, wrong = replace_non_finite(ops, ops.slice(f"z.{m}", 1, -COLUMNS, 2**31), 1)
        z[m], off = replace_non_finite(ops, f"{PLACE}z/{m}", 1)
        worst = ops("Max", ops.slice(columns, 1, COLUMNS - 1, COLUMNS), off, wrong)
        finite.append(ops("Less", worst, ops.constant(CERTAIN)))
        distances = write_distances(ops, z[m], columns, embeddings[m])
        features.append(ops.unsqueeze(write_features(ops, distances, columns, scales[m]), 1))
    kept = ops("And", "present", ops("Concat", *finite, axis=1))
    seen = ops("Concat", *features, axis=1)
    strangeness = ops("Relu", ops.reduce("ReduceMax", seen, [2], keep=False))
    masks = list_decoded(M)
    logits = write_decoder(ops, decoder, z, kept, masks)  # (subset, batch, class)
    p = ops("Softmax", scale_by_temperature(ops, logits, kept, masks, temperature), axis=-1)
    p = replace_nan(ops, p, 0.0)  # an answer that is no number is never expected to be right
    number = {tuple(mask): row for row, mask in enumerate(masks.tolist())}
    doubts = []
    for k in range(M):
        own, others = (ops("Gather", p, ops.numbers(number[tuple(mask)]), axis=0) for mask in split_off(M, k))
        doubts.append(ops("Transpose", measure_disagreement(ops, own, others), perm=[1, 0, 2]))
    p = ops.slice(ops("Transpose", p, perm=[1, 0, 2]), 1, 0, len(list_subsets(M)))
    every = ops("Concat", seen, ops("Concat", *doubts, axis=1), axis=2, named=f"{PLACE}features")
    ops("Identity", p, named=f"{PLACE}probabilities")
    ops.append_to(model)
    return Answers(every, f"{PLACE}probabilities", logits, kept, strangeness)


def list_decoded(M: int) -> NDArray[np.bool_]:
    """The subsets (subset, modality) that are decoded: those of `list_subsets`, and each modality alone."""
    masks = list(list_subsets(M))
    alone = [mask for mask in np.eye(M, dtype=bool) if not any((mask == other).all() for other in masks)]
    return np.array([*masks, *alone])


def split_off(M: int, m: int) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
    """A modality alone, and all others."""
    own = np.arange(M) == m
    return tuple(own.tolist()), tuple((~own).tolist())


def write_decoder(
    ops: Operators, decoder: onnx.ModelProto, z: Mapping[str, str], kept: str, masks: NDArray[np.bool_]
) -> str:
    """Logits (subset, batch, class) of a copy of the decoder, from each subset of what is kept."""
    here = ops("And", ops.constant(masks[:, None], bool), ops.unsqueeze(kept, 0))  # (subset, batch, modality)
    M, copies = masks.shape[1], len(masks)
    given = {"present": ops("Reshape", here, ops.numbers(-1, M))}
    for m, name in z.items():
        given[f"z.{m}"] = ops("Tile", name, ops.numbers(copies, 1))
    place = f"{ops.prefix}decoder/"
    part = onnx.ModelProto()
    part.CopyFrom(decoder)
    rename_tensors(part.graph, lambda name: given.get(name, place + name if name else name))
    ops.nodes.extend(part.graph.node)
    ops.stored.extend(part.graph.initializer)
    return ops("Reshape", f"{place}logits", ops.numbers(copies, -1, _classes(decoder)))


def _classes(decoder: onnx.ModelProto) -> int:
    return int(decoder.graph.output[0].type.tensor_type.shape.dim[-1].dim_value)


def scale_by_temperature(
    ops: Operators, logits: str, kept: str, masks: NDArray[np.bool_], temperature: Temperature
) -> str:
    """Logits (subset, batch, class) divided by the temperature of what each lacks."""
    here = ops("And", ops.constant(masks[:, None], bool), ops.unsqueeze(kept, 0))
    absent = ops.cast(ops("Not", here))
    terms = ops("MatMul", absent, ops.constant(np.array(temperature.by_modality)[:, None]))
    return ops("Div", logits, ops("Exp", ops("Add", terms, ops.constant(temperature.base))))


def write_decision(
    model: onnx.ModelProto,
    answers: Answers,
    modalities: Sequence[Modality],
    fitted: Reliability,
    thresholds: NDArray[np.float64],
) -> None:
    """Adds the decision and the outputs, in place: `used`, `strangeness.<m>`, `gain.<m>`, `memory.next`; and the inputs
    `thresholds` and `memory`, which have defaults."""
    names, M = [m.name for m in modalities], len(modalities)
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
    by_row = ops("Transpose", answers.logits, perm=[1, 0, 2])
    row = ops.unsqueeze(best, 1)
    guarded = ops("GatherND", by_row, row, batch_dims=1)
    changed = ops.reduce("ReduceMax", ops.cast(ops("Xor", "used", "present")), [1])
    silent = ops("Less", changed, ops.constant(0.5))
    ops("Where", silent, f"{PLACE}plain/logits", guarded, named="logits")
    sure = ops("Softmax", guarded, axis=-1)
    ops("Where", silent, f"{PLACE}plain/probabilities", sure, named="probabilities")
    for k, name in enumerate(names):
        ops.squeeze(ops.slice(answers.strangeness, 1, k, k + 1), 1, named=f"strangeness.{name}")
        gained = ops("Sub", ops.slice(expected, 1, 1 + k, 2 + k), ops.slice(expected, 1, 0, 1))
        ops.squeeze(gained, 1, named=f"gain.{name}")
    for node in model.graph.node:
        for ends in (node.input, node.output):
            ends[:] = [f"{PLACE}plain/{e}" if e in ("logits", "probabilities") else e for e in ends]
    ops.append_to(model)
    declare_ends(model, names, thresholds)


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
