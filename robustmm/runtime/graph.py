"""The inputs and outputs of an ONNX graph, as tensors with names."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx


class Tensor(NamedTuple):
    """`dtype` is None for what is not an array of numbers, a dimension is None where the graph leaves it open, and
    `dims` (the batch first) is None where the graph gives no shape."""

    name: str
    dtype: np.dtype[Any] | None
    dims: tuple[int | None, ...] | None

    @property
    def batch(self) -> int:
        """The batch that the graph is fixed to; 0 where it is not."""
        return (self.dims[0] or 0) if self.dims else 0

    def __str__(self) -> str:
        shape = "" if self.dims is None else f" ({', '.join('?' if d is None else str(d) for d in self.dims)})"
        return f'"{self.name}" {self.dtype or "(no numbers)"}{shape}'


def inputs(model: onnx.ModelProto) -> list[Tensor]:
    """What must be fed, in the graph's order."""
    stored = {tensor.name for tensor in model.graph.initializer}  # old exporters list weights among the inputs
    return [_parse_tensor(value) for value in model.graph.input if value.name not in stored]


def outputs(model: onnx.ModelProto) -> list[Tensor]:
    return [_parse_tensor(value) for value in model.graph.output]


def producers(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """The node that makes each tensor."""
    return {name: node for node in model.graph.node for name in node.output}


def select_outputs(model: onnx.ModelProto, outputs: Sequence[str]) -> onnx.ModelProto:
    """The same model, left with these outputs, which may be any tensors in it."""
    known = {value.name: value for value in model.graph.output}
    kept = [known.get(name, onnx.ValueInfoProto(name=name)) for name in outputs]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    return model


def rename_tensors(graph: onnx.GraphProto, rename: Callable[[str], str]) -> None:
    """Renames the tensors and nodes of a graph and of its subgraphs."""
    for value in (*graph.node, *graph.initializer, *graph.value_info, *graph.input, *graph.output):
        value.name = rename(value.name)
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = map(rename, names)
        for attribute in node.attribute:
            for subgraph in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
                rename_tensors(subgraph, rename)


def extract_part(model: onnx.ModelProto, inputs: Sequence[str], outputs: Sequence[str]) -> onnx.ModelProto:
    """The part of a graph between some of its tensors."""
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    known = {v.name for v in (*whole.graph.input, *whole.graph.output, *whole.graph.value_info)}
    unknown = [name for name in outputs if name not in known]
    whole.graph.value_info.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in unknown
    )
    part: onnx.ModelProto = onnx.utils.Extractor(whole).extract_model(list(inputs), list(outputs))
    return part


def find_bytes(model: onnx.ModelProto) -> bytes | None:
    """The first name in a model that is no UTF-8, which protobuf hands over as bytes; None where all are text."""
    for node in model.graph.node:
        for name in (
            node.name,
            node.op_type,
            node.domain,
            *node.input,
            *node.output,
            *(a.name for a in node.attribute),
        ):
            if isinstance(name, bytes):
                return name
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer]
    entries = [name for entry in model.metadata_props for name in (entry.key, entry.value)]
    dims = [d.dim_param for v in values if hasattr(v, "type") for d in v.type.tensor_type.shape.dim]
    every = [model.producer_name, model.domain, model.graph.name, *(v.name for v in values), *dims, *entries]
    return next((name for name in every if isinstance(name, bytes)), None)


def _parse_tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    dtype = _parse_dtype(kind.elem_type) if value.type.HasField("tensor_type") else None
    return Tensor(value.name, dtype, _parse_dims(kind.shape.dim) if kind.HasField("shape") else None)


def _parse_dtype(number: int) -> np.dtype[Any] | None:
    try:
        found: np.dtype[Any] = onnx.helper.tensor_dtype_to_np_dtype(number)
    except KeyError:
        return None
    return found if found.kind in "fiub" else None


def _parse_dims(dims: Iterable[Any]) -> tuple[int | None, ...]:
    return tuple(d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in dims)
