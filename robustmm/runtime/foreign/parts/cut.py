"""Cuts a foreign graph where its modalities meet: an encoder for each modality, and a head that reads what they give.

A tensor belongs to a modality where it depends, by data, on the inputs of that one alone. The last such tensors, those
that a node with other inputs reads, are the modality's embedding. Nothing is known of the graph but its nodes: the cut
is believed only after it has answered as the whole graph does (see `session`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from robustmm.runtime.foreign.parts.dependence import (
    BatchShape,
    Sources,
    extract_graph,
    find_sources,
    fit_batch_shape,
    needed_nodes,
    read_names,
)
from robustmm.runtime.runner import Runner

MAX_BYTES = 2**18
"""Bytes of an embedding's tensor per row: a larger one costs more to keep than to compute again."""
RETREATS = 8
"""How often a cut is moved towards the inputs where a tensor cannot be cut at."""

Feed = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Tensor:
    """A tensor (batch, *shape) that an encoder gives and the head reads."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Cut:
    """`encoders` and the `tensors` that they give by modality, and the `head`, which also reads the inputs of the other
    modalities."""

    encoders: dict[str, onnx.ModelProto]
    tensors: dict[str, list[Tensor]]
    head: onnx.ModelProto


def cut_graph(
    model: onnx.ModelProto, owners: Mapping[str, Sources], outputs: Sequence[str], feeds: Sequence[Feed], batch: int
) -> Cut | None:
    """The cut of a graph whose inputs are those of the modalities in `owners`; None where no modality has nodes of its
    own. `feeds` are trial inputs of different numbers of rows (of `batch` rows where the graph takes no others)."""
    inputs = {value.name: value for value in model.graph.input if value.name in owners}
    shapes = _measure_shapes(model, outputs, feeds, batch)
    head: set[str] = set()
    for _ in range(RETREATS):
        sources = find_sources(model.graph, owners, shapes, head)
        frontier = _find_frontier(model.graph, sources, shapes, outputs)
        frontier = {name: tensors for name, tensors in frontier.items() if not inputs.keys() >= tensors}
        if not frontier:
            return None
        measured = _measure_tensors(model, sorted(set().union(*frontier.values())), feeds, batch)
        wrong = {name for name, tensor in measured.items() if tensor is None}
        if not wrong:
            break
        head |= wrong
    else:
        return None
    tensors = {m: [t for name in sorted(names) if (t := measured[name])] for m, names in frontier.items()}

    def away(is_here: Callable[[str], bool]) -> dict[str, BatchShape]:
        """The Shape nodes that look at a tensor which a part does not have."""
        looked = {node.output[0]: node.input[0] for node in model.graph.node if node.output[0] in shapes}
        return {name: shapes[name] for name, tensor in looked.items() if not is_here(tensor)}

    encoders = {}
    for m, found in tensors.items():
        own = [value for name, value in inputs.items() if owners[name] == {m}]
        shapes_away = away(partial(_belongs, sources, m))
        encoders[m] = extract_graph(model, own, [tensor.name for tensor in found], shapes_away)
    given = {t.name: _declare(t, batch) for found in tensors.values() for t in found}
    left = [value for name, value in inputs.items() if name not in given]
    shapes_away = away(lambda name: name in given or _owner(sources.get(name, frozenset())) not in tensors)
    return Cut(encoders, tensors, extract_graph(model, [*given.values(), *left], outputs, shapes_away))


def _belongs(sources: Mapping[str, Sources], modality: str, tensor: str) -> bool:
    return sources.get(tensor, frozenset()) <= {modality}


def _declare(tensor: Tensor, batch: int) -> onnx.ValueInfoProto:
    kind = onnx.helper.np_dtype_to_tensor_dtype(tensor.dtype)
    return onnx.helper.make_tensor_value_info(tensor.name, kind, [batch or "batch", *tensor.shape])


def _owner(sources: Sources) -> str:
    """The modality that a tensor depends on alone; empty where there is none."""
    return next(iter(sources)) if len(sources) == 1 else ""


def _find_frontier(
    graph: onnx.GraphProto, sources: Mapping[str, Sources], shapes: Mapping[str, BatchShape], outputs: Sequence[str]
) -> dict[str, set[str]]:
    """By modality, the tensors of its own that others' nodes, or nobody, read."""
    found: dict[str, set[str]] = {}
    for node in needed_nodes(graph, outputs, (), shapes):
        if not _owner(sources[node.output[0]]) and node.output[0] not in shapes:
            for name in read_names(node):
                if owner := _owner(sources.get(name, frozenset())):
                    found.setdefault(owner, set()).add(name)
    for output in outputs:
        if owner := _owner(sources[output]):
            found.setdefault(owner, set()).add(output)
    return found


def _measure_shapes(
    model: onnx.ModelProto, outputs: Sequence[str], feeds: Sequence[Feed], batch: int
) -> dict[str, BatchShape]:
    """The values of the Shape nodes that follow from the number of rows alone."""
    names = [n.output[0] for n in needed_nodes(model.graph, outputs) if n.op_type == "Shape" and n.domain == ""]
    values: dict[str, list[tuple[int, NDArray[Any]]]] = {name: [] for name in names}
    for rows, found in _evaluate(model, names, feeds, batch):
        for name, value in zip(names, found, strict=True):
            values[name].append((rows, value))
    return {name: shape for name in names if (shape := fit_batch_shape(values[name]))}


def _measure_tensors(
    model: onnx.ModelProto, names: Sequence[str], feeds: Sequence[Feed], batch: int
) -> dict[str, Tensor | None]:
    """Shapes and types; None for what is no array of numbers with a row per sample, or is too large to keep."""
    inputs = {value.name for value in model.graph.input}
    found: dict[str, Tensor | None] = {}
    for rows, values in _evaluate(model, names, feeds, batch):
        for name, value in zip(names, values, strict=True):
            fits = value.dtype.kind in "fiub" and value.shape[:1] == (rows,)
            fits = fits and (name in inputs or value.nbytes <= rows * MAX_BYTES)
            tensor = Tensor(name, value.shape[1:], value.dtype) if fits else None
            found[name] = tensor if found.setdefault(name, tensor) == tensor else None
    return found


def _evaluate(
    model: onnx.ModelProto, names: Sequence[str], feeds: Sequence[Feed], batch: int
) -> list[tuple[int, list[NDArray[Any]]]]:
    """For every feed its number of rows, and the values of some tensors in the graph."""
    if not names:
        return []
    inputs = {value.name for value in model.graph.input}
    inner = [name for name in names if name not in inputs]
    found = []
    listener: Runner | None = None
    if inner:
        watched = onnx.ModelProto()
        watched.CopyFrom(model)
        del watched.graph.output[:]
        watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner)
        listener = Runner(watched, threads=1, batch=batch)
    for feed in feeds:
        rows = len(next(iter(feed.values())))
        values = dict(zip(inner, listener.run(feed), strict=True)) if listener else {}
        found.append((rows, [np.asarray(values[name] if name in values else feed[name]) for name in names]))
    return found
