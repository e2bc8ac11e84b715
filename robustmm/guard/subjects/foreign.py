"""A model of another tool under its description: its parts where it could be cut, else the whole graph for each subset.

Nothing of the graph is changed but who puts out its answer: where everything is used that is the graph's own, else a
copy of its head with the declared fill in the place of what is not used. All that the graph does with its answer (a
label, a ranking) follows the guarded one.
"""

import json
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from robustmm.errors import UsageError
from robustmm.guard.graph.operators import PLACE, Operators, opset_of
from robustmm.guard.subjects.head import SCORES, build_decoder, write_embedding, write_input, write_presence
from robustmm.guard.subjects.pieces import Piece, embed, feed_one, fill_embedding, list_pieces
from robustmm.guard.subjects.subject import Array, Embedding, Masks, Subject
from robustmm.runtime.foreign.guard import PRESENT
from robustmm.runtime.foreign.inputs import build_inputs
from robustmm.runtime.foreign.output import probabilities
from robustmm.runtime.foreign.session import LARGEST_GRAPH, ForeignSession
from robustmm.runtime.metadata import GUARD_KEY
from robustmm.runtime.runner import Runner
from robustmm.runtime.session import read_graph

OLDEST_OPSET = 13
"""Of the standard operators: the first that takes the axes of ReduceSum as an input."""


class ForeignSubject(Subject):
    exact = False
    session: ForeignSession

    def lay_out(self, name: str, x: Array) -> Array:
        binding = self.session.bindings[self.session.names.index(name)]
        laid_out = feed_one(self.session, binding, binding(x=x))[binding.preprocessing.input]
        return laid_out.astype(self.given[name].dtype, copy=False)

    def embed(self, name: str, x: Array) -> Embedding:
        return embed(self.session, name, x)

    def declare_wide(self, wide: Mapping[str, onnx.ValueInfoProto]) -> None:
        self.model.graph.value_info.extend(wide.values())

    def is_silent(self, ops: Operators) -> str:
        missing = ops.reduce("ReduceMax", ops.cast(ops("Not", "used")), [1])
        return ops("Less", missing, ops.constant(0.5))

    def write_facts(self, thresholds: NDArray[np.float64], budget: float) -> None:
        facts = {"modalities": self.session.names, "thresholds": thresholds.tolist(), "clean_cost": budget}
        self.model.metadata_props.add(key=GUARD_KEY, value=json.dumps(facts, ensure_ascii=False))

    def seal(self) -> bytes:
        return bytes(self.model.SerializeToString())

    def feed_plain(self, inputs: Mapping[str, Array], present: Masks) -> dict[str, Array]:
        laid_out = {b.modality.name: b(x=inputs[b.modality.name]) for b in self.session.bindings}
        return build_inputs(self.session.bindings, laid_out, present, self.session.tensors)

    def feed_hardened(self, inputs: Mapping[str, Array], present: Masks) -> dict[str, Array]:
        """What is missing is fed as it is: the graph must not look at it."""
        fed = self.feed_plain(inputs, np.ones_like(present))
        fed |= build_inputs(self.session.bindings, {}, present, self.session.tensors)  # the graph's own masks alone
        free = [k for k, b in enumerate(self.session.bindings) if not b.preprocessing.present]
        return fed | ({PRESENT: present[:, free]} if free else {})

    def to_probabilities(self, answers: Sequence[Array]) -> NDArray[np.float64]:
        (answer,) = answers
        return probabilities(answer, self.session.activation, len(self.session.classes))

    def open_plain(self) -> Runner:
        return Runner(self.session.path, outputs=list(self.answers))


def open_foreign(session: ForeignSession) -> ForeignSubject:
    """Raises UsageError for a graph that no guard can be written into."""
    model = read_graph(session.path)
    check_graph(session, model)
    cut = session.find_cut(model) if session.encoded else None
    head = cut.head if cut else model
    pieces = {
        b.modality.name: [Piece(t.name, t.shape, t.dtype) for t in cut.tensors[b.modality.name]]
        if cut and b.modality.name in cut.tensors
        else list_pieces(session, b)
        for b in session.bindings
    }
    fills = {b.modality.name: fill_embedding(session, b) for b in session.bindings}
    decoder = build_decoder(session, model, head, pieces, fills)
    given = {b.modality.name: write_input(model, session, b) for b in session.bindings}
    for name, own in pieces.items():
        write_embedding(model, name, own)
    write_presence(model, session)
    return ForeignSubject(
        session=session, model=model, decoder=decoder, given=given,
        widths={name: fill.shape[1] for name, fill in fills.items()}, presence=f"{PLACE}present", scores=SCORES,
        precision=find_precision(model), answers={session.output: session.answer_width},
    )  # fmt: skip


def check_graph(session: ForeignSession, model: onnx.ModelProto) -> None:
    path = session.path
    taken = {name for node in model.graph.node for name in node.output} | session.tensors.keys()
    ends = ["used", "thresholds", "memory", "memory.next"]
    ends += [PRESENT] if any(not b.preprocessing.present for b in session.bindings) else []
    ends += [f"{what}.{name}" for what in ("strangeness", "gain", "z") for name in session.names]
    twice = [name for name in ends if name in taken]
    if twice:
        raise UsageError(f'{path} has a tensor "{twice[0]}", which a guard would be called; rename it, then harden')
    if (opset := opset_of(model)) < OLDEST_OPSET:
        raise UsageError(
            f"{path} should have opset {OLDEST_OPSET} or later for a guard, found {opset}; export it again, or convert "
            "it with onnx.version_converter"
        )
    if session.fixed:
        raise UsageError(
            f"{path} takes {session.fixed} rows only, and a guard asks it of several subsets at once; export it with "
            "an open batch"
        )
    if session.turned:
        raise UsageError(f"{path} has its batch on another axis than the first, which no guard can be written for")
    if session.output not in [value.name for value in model.graph.output]:
        raise UsageError(f'{path} should put out "{session.output}" for a guard to answer it, found an inner tensor')
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) > LARGEST_GRAPH:
        raise UsageError(f"{path} is larger than 2 GiB, which no graph may be that a guard is written into")


def find_precision(model: onnx.ModelProto) -> str:
    """Of most of the arithmetic: by how it is rounded answers may differ."""
    if any(word in node.op_type.lower() for node in model.graph.node for word in ("quantize", "qlinear", "integer")):
        return "int8"
    halves = (tensor.data_type == TensorProto.FLOAT16 for tensor in model.graph.initializer)
    return "fp16" if any(halves) else "fp32"
