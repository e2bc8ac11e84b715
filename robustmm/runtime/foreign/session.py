"""A classifier that other tools exported, under a session's interface: cut into encoders and a head where its graph
allows, else run whole for every subset."""

import math
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from robustmm.errors import DataError, RobustmmError, UsageError
from robustmm.modalities import Modality
from robustmm.modalities.files.limits import check_claim
from robustmm.runtime import graph, session
from robustmm.runtime.classifier import check_width
from robustmm.runtime.foreign import probe
from robustmm.runtime.foreign.batch_axis import put_batch_first
from robustmm.runtime.foreign.binding import bind_inputs
from robustmm.runtime.foreign.description import Description, load_description, raise_errors
from robustmm.runtime.foreign.guard import read_guard, take_presence
from robustmm.runtime.foreign.inputs import InputBinding, build_inputs
from robustmm.runtime.foreign.output import check_answer, probabilities
from robustmm.runtime.foreign.parts.cut import Cut, cut_graph
from robustmm.runtime.foreign.parts.dependence import HEAD
from robustmm.runtime.foreign.parts.encoders import CutEncoder
from robustmm.runtime.foreign.preprocessing import Preprocessing, check_preprocessing
from robustmm.runtime.runner import GRAPH_ERRORS, Runner, split_batches
from robustmm.runtime.session import Embeddings, Session

TRIAL_ROWS = (2, 3, 5)
"""Numbers of rows that a graph is tried with; three tell what follows from the number of rows alone."""
DECODE_BYTES = 2**26
"""Bytes of embeddings that a head is given at once."""
LARGEST_GRAPH = 2**31 - 2**24
"""Bytes of weights of a graph that can be cut: a larger one cannot be handed to onnxruntime but by its path."""


class ForeignSession(Session):
    """`embed` scales, lays out and encodes: it returns the modality's embedding (batch, width) where the graph could be
    cut, else the graph's own input (batch, ...) in the graph's dtype. `decode` fills missing inputs and runs the rest.
    The description says what each input is; `encoded` names the modalities whose encoders run apart."""

    decodes = 64

    def __init__(
        self, path: Path, description: Path, provider: str = "cpu", threads: int = 0, batch: int = 64, cut: bool = True
    ) -> None:
        """Without `cut` the graph stays whole. Raises UsageError for a description that does not fit the graph,
        DataError for a graph that does not run, or whose answer to a row depends on the rows beside it."""
        model, loaded = session.read_graph(path), load_description(description)
        guard = read_guard(model, path)
        loaded = take_presence(model, guard, loaded) if guard else loaded
        loaded, given = put_batch_first(model, loaded), loaded
        self.bindings = bind_inputs(loaded, model)
        self.path, self.provider, self.description, self.batch = path, provider, description, batch
        self.modalities = loaded.modalities
        self.names = [m.name for m in self.modalities]
        self.classes = list(loaded.table.classes)
        self.prior = (
            np.array(loaded.table.prior) if loaded.table.prior else np.full(len(self.classes), 1 / len(self.classes))
        )
        self.activation = loaded.table.output.activation
        self.facts = {
            "manifest": None,
            "recipe": {"method": {"name": "foreign"}},
            "description": loaded.source,
            "prior": list(loaded.table.prior) or None,
            "guard": guard.model_dump() if guard else None,
        }
        self.output = loaded.table.output.name
        self._outputs = [self.output, "used"] if guard else [self.output]
        self.tensors = {tensor.name: tensor for tensor in graph.inputs(model)}
        self._cut: dict[str, CutEncoder] = {}
        self._fillers: dict[str, NDArray[Any]]
        self._encoders, self._fillers = {}, {}
        for binding in self.bindings:
            self._use(binding)
        fixed = loaded.table.batch or max(tensor.batch for tensor in self.tensors.values())
        self._check_claims(model, fixed)
        self.fixed, self.turned = fixed, loaded is not given
        self._head = self._open_whole(model, loaded, threads, fixed)
        self._check_rows()
        self.threads = threads
        if cut:
            self._try_cut(model, threads)

    def decode(self, z: Embeddings, present: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Probabilities (batch, class) from embeddings and the presence mask (batch, modality)."""
        if len(present) == 0:
            return np.zeros((0, len(self.classes)))
        return probabilities(self._ask(z, present)[0], self.activation, len(self.classes))

    def choose_used(self, z: Embeddings, present: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return self._ask(z, present)[1] if self.is_hardened and len(present) else present

    def _ask(self, z: Embeddings, present: NDArray[np.bool_]) -> list[NDArray[Any]]:
        """The graph's outputs for some rows, one or more."""
        held = np.asarray(present.any(1))
        row = np.where(held, np.arange(len(held)), held.argmin())  # rows without inputs are alike: one runs
        asked, answered = np.unique(row, return_inverse=True)
        parts = [
            self._run({n: z[n][rows] for n in self.names}, present[rows]) for rows in split_batches(asked, self.decodes)
        ]
        return [np.concatenate(found)[answered] for found in zip(*parts, strict=True)]

    def blank_embedding(self, name: str, batch: int) -> NDArray[Any]:
        """The fill that the head is given where the modality is missing."""
        return np.repeat(self._fillers[name], batch, 0)

    @property
    def encoded(self) -> list[str]:
        """The modalities whose encoders run apart from the rest, in order; none where the graph runs whole."""
        return [name for name in self.names if name in self._cut]

    def reopen_whole(self) -> "ForeignSession":
        """Another session on the same files, whose graph stays whole."""
        assert self.description is not None
        return ForeignSession(self.path, self.description, self.provider, self.threads, self.batch, cut=False)

    def rebind(self, modality: Modality, preprocessing: Preprocessing) -> "ForeignSession":
        """A session on the same graph that reads and feeds one modality otherwise. Raises UsageError for what does not
        fit the graph."""
        old = next(b for b in self.bindings if b.modality.name == modality.name)
        new = InputBinding(modality, preprocessing, old.dtype)
        wrong = [sentence for _, sentence in check_preprocessing(modality, preprocessing)]
        if wrong or new.shape != old.shape:
            raise UsageError(f"[modality.{modality.name}] {wrong[0] if wrong else 'does not fit the graph'}")
        other = copy(self)
        other.bindings = [new if b is old else b for b in self.bindings]
        other.modalities = [b.modality for b in other.bindings]
        other._cut, other._encoders, other._fillers = {**self._cut}, {**self._encoders}, {**self._fillers}
        if part := other._cut.get(modality.name):
            other._cut[modality.name] = CutEncoder(new, part.runner, part.tensors, part.inputs)
        other._use(new)
        return other

    def _check_claims(self, model: onnx.ModelProto, fixed: int) -> None:
        """Raises DataError for a number of rows, or of classes, that takes more than a cell may."""
        for binding in self.bindings:
            row = binding.dtype.itemsize * math.prod(binding.shape)
            check_claim(fixed * row, self.path, f"{fixed:,} rows at once of {binding.modality.name}")
        for tensor in graph.outputs(model):
            if tensor.name == self.output:
                check_width(tensor, self.path)

    def _use(self, binding: InputBinding) -> None:
        """Encodes a modality by its part of the graph, or only lays it out where it has none."""
        name = binding.modality.name
        part = self._cut.get(name)
        self._encoders[name] = part or binding  # type: ignore[assignment]
        self._fillers[name] = part.encode(binding.filler) if part else binding.filler

    def _open_whole(self, model: onnx.ModelProto, loaded: Description, threads: int, fixed: int) -> Runner:
        """The whole graph, tried with rows where everything is missing."""
        try:
            found = Runner(self.path, self.provider, threads, fixed, self._outputs)  # the very file that is deployed
            if self.turned or self.output not in [value.name for value in found.session.get_outputs()]:
                found = Runner(graph.select_outputs(model, self._outputs), self.provider, threads, fixed)
            nothing = {name: self.blank_embedding(name, 2) for name in self.names}
            answer = found(**self._feed(nothing, np.zeros((2, len(self.names)), bool)))
        except RobustmmError:
            raise
        except Exception as error:  # onnxruntime's errors share no base class
            hint = "" if fixed else "; if it takes one number of rows only, say so in the description: batch = 1"
            raise DataError(session.describe_refusal(self.path, error, hint)) from error
        if wrong := check_answer(answer, loaded):
            raise_errors(loaded.path, [loaded.locate_error(*wrong)])
        self.answer_width = answer[0].size
        return found

    def _check_rows(self) -> None:
        try:
            wrong = probe.find_row_dependence(self._head, self._trial_feed(max(3, self._head.batch)))
        except GRAPH_ERRORS:  # drawn numbers that the graph refuses, such as categories that it does not know
            return
        if wrong:
            raise DataError(f'{self.path}: the answer "{self.output}" {wrong}')

    def _trial_feed(self, rows: int) -> dict[str, NDArray[Any]]:
        z = {b.modality.name: b(x=probe.draw_signals(b.modality, rows, rows)) for b in self.bindings}
        return build_inputs(self.bindings, z, np.ones((rows, len(self.names)), bool), self.tensors)

    def find_cut(self, model: onnx.ModelProto) -> Cut | None:
        """The parts of this session's graph; None where it has none."""
        owners: dict[str, frozenset[str]] = {}
        for binding in self.bindings:
            for name in filter(None, (getattr(binding.preprocessing, key) for key in ("input", "mask", "token_type"))):
                owners[name] = owners.get(name, frozenset()) | {binding.modality.name}
            if binding.preprocessing.present:
                owners[binding.preprocessing.present] = frozenset({HEAD})
        feeds = [self._trial_feed(self.fixed or rows) for rows in TRIAL_ROWS]
        return cut_graph(model, owners, self._outputs, feeds, self.fixed)

    def _try_cut(self, model: onnx.ModelProto, threads: int) -> None:
        """Cuts the graph, and keeps the parts where they answer as the whole does, whatever is missing."""
        whole = self._head
        weights = sum(len(tensor.raw_data) for tensor in model.graph.initializer)  # protobuf cannot tell beyond 2 GB
        if len(self.names) == 1 or weights > LARGEST_GRAPH or model.graph.sparse_initializer:
            return
        M = len(self.names)
        present = np.concatenate([np.ones((2, M), bool), ~np.eye(M, dtype=bool), np.zeros((1, M), bool)])
        signals = {b.modality.name: probe.draw_signals(b.modality, len(present), 0) for b in self.bindings}
        try:
            expected, *_ = self._run({b.modality.name: b(x=signals[b.modality.name]) for b in self.bindings}, present)
            found = self.find_cut(model)
            if found is None:
                return
            self._open_parts(found, threads)
            answer, *_ = self._run({name: self.embed(name, signals[name]) for name in self.names}, present)
            proved = probe.is_close(answer, expected)
        except (*GRAPH_ERRORS, RobustmmError, ValueError, KeyError, RuntimeError):
            proved = False  # a node that no part can do without: it runs whole, as it did just now
        if not proved:
            self._head, self._cut, self.decodes = whole, {}, type(self).decodes
            for binding in self.bindings:
                self._use(binding)

    def _open_parts(self, found: Cut, threads: int) -> None:
        for binding in self.bindings:
            if (name := binding.modality.name) in found.encoders:
                part = Runner(found.encoders[name], self.provider, threads, self.fixed)
                self._cut[name] = CutEncoder(binding, part, found.tensors[name], self.tensors)
                self._use(binding)
        self._head = Runner(found.head, self.provider, threads, self.fixed)
        size = sum(z.nbytes for z in self._fillers.values())
        self.decodes = int(np.clip(DECODE_BYTES // max(1, size), type(self).decodes, Session.decodes))

    def _feed(self, z: Embeddings, present: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
        """The inputs of what is left to run: tensors of encoders, the graph's own inputs of the other modalities."""
        whole = {name: x for name, x in z.items() if name not in self._cut}
        feed = build_inputs(self.bindings, whole, present, self.tensors)
        for name, encoder in self._cut.items():
            here = present[:, self.names.index(name), None]
            feed |= encoder.unpack(np.where(here, z[name], self._fillers[name]))
        return feed

    def _run(self, z: Embeddings, present: NDArray[np.bool_]) -> list[NDArray[Any]]:
        with self.describe_refusals():
            return self._head.run(self._feed(z, present))


def open_session(
    path: Path, description: Path | None = None, provider: str = "cpu", threads: int = 0, batch: int = 64
) -> Session:
    """A session on a file that robustmm exported, or on any other with its description."""
    if description is None:
        return Session(path, provider, threads, batch)
    return ForeignSession(path, description, provider, threads, batch)
