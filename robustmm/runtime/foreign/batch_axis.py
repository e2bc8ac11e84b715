"""Graphs that take the batch on another axis than the first, such as (steps, batch, channels): a Transpose is put
before such an input, and all else sees the batch first."""

from collections.abc import Iterator
from dataclasses import replace

import onnx

from robustmm.runtime.foreign.description import Description, raise_errors
from robustmm.runtime.graph import inputs


def put_batch_first(model: onnx.ModelProto, description: Description) -> Description:
    """Turns the inputs whose `layout` has N on another axis, in place, and gives the description of what came of it.
    Raises UsageError where the graph has its open axis elsewhere."""
    turned, preprocessing = dict[str, int](), []
    tensors = {tensor.name: tensor for tensor in inputs(model)}
    for modality, one in zip(description.modalities, description.preprocessing, strict=True):
        axis = one.layout.find("N")
        if axis > 0:
            tensor = tensors.get(one.input)
            if tensor and tensor.dims and (len(tensor.dims) <= axis or (tensor.dims[axis] and not tensor.dims[0])):
                table = f"modality.{modality.name}"
                wrong = f"[{table}] layout: N should be the axis that the graph leaves open, found {tensor}"
                raise_errors(description.path, [description.locate_error([table, "layout"], wrong)])
            turned |= {name: axis for name in (one.input, one.mask, one.token_type) if name}
        preprocessing.append(one.model_copy(update={"layout": f"N{one.layout.replace('N', '')}"}))
    for value in model.graph.input:
        if value.name in turned:
            _turn_input(model.graph, value, turned[value.name])
    return replace(description, preprocessing=preprocessing) if turned else description


def _turn_input(graph: onnx.GraphProto, value: onnx.ValueInfoProto, axis: int) -> None:
    dims = list(value.type.tensor_type.shape.dim)
    if not dims:  # the graph says nothing of its shape
        return
    inner = f"{value.name}/batch-{axis}"
    for node in graph.node:
        _rename_reads(node, value.name, inner)
    order = [*range(1, axis + 1), 0, *range(axis + 1, len(dims))]
    graph.node.insert(0, onnx.helper.make_node("Transpose", [value.name], [inner], perm=order))
    first = [dims[axis], *dims[:axis], *dims[axis + 1 :]]
    kept = [onnx.TensorShapeProto.Dimension.FromString(dim.SerializeToString()) for dim in first]
    del value.type.tensor_type.shape.dim[:]
    value.type.tensor_type.shape.dim.extend(kept)


def _rename_reads(node: onnx.NodeProto, old: str, new: str) -> None:
    """What a node reads, in its branches and loops too."""
    node.input[:] = [new if name == old else name for name in node.input]
    for inner in _subgraphs(node):
        for one in inner.node:
            _rename_reads(one, old, new)


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        yield from [attribute.g] if attribute.HasField("g") else []
        yield from attribute.graphs
