"""Smaller files: half precision and dynamic int8, keeping inputs, outputs and embeddings in float32."""

import logging
import tempfile
import warnings
from pathlib import Path

import onnx


def convert_fp16(graph: onnx.ModelProto, modalities: list[str]) -> onnx.ModelProto:
    """fp16 weights and arithmetic. Encoders and decoder are converted apart, so that the file can still be cut."""
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    cut = onnx.utils.Extractor(graph)
    z = [f"z.{name}" for name in modalities]
    parts = {f"{n}/": cut.extract_model([n], [f"z.{n}"]) for n in modalities}
    parts["decoder/"] = cut.extract_model([*z, "present"], ["logits", "probabilities"])
    whole = onnx.ModelProto()
    whole.CopyFrom(graph)
    for repeated in ("node", "initializer", "value_info"):
        del getattr(whole.graph, repeated)[:]
    for prefix, part in parts.items():
        with warnings.catch_warnings():  # values below the smallest half become 0, which the proof judges
            warnings.simplefilter("ignore")
            small = convert_float_to_float16(part, keep_io_types=True)
        OnnxModel(small).topological_sort()  # the conversion appends its casts at the end
        prefix_names(small.graph, prefix)
        whole.graph.node.extend(small.graph.node)
        whole.graph.initializer.extend(small.graph.initializer)
    onnx.checker.check_model(whole)
    return whole


def prefix_names(graph: onnx.GraphProto, prefix: str) -> None:
    """Renames everything inside a graph, so that graphs can be joined by the names of their inputs and outputs."""
    ends = {"", *(value.name for value in (*graph.input, *graph.output))}
    for tensor in graph.initializer:
        tensor.name = prefix + tensor.name
    for node in graph.node:
        node.name = prefix + node.name
        for names in (node.input, node.output):
            names[:] = [name if name in ends else prefix + name for name in names]


def quantise_int8(graph: onnx.ModelProto) -> onnx.ModelProto:
    """onnxruntime's dynamic quantisation of matrix products; convolutions stay float32, as onnxruntime advises."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it recommends a pre-processing step on every call
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "int8.onnx"
            bare = onnx.ModelProto()
            bare.CopyFrom(graph)
            del bare.graph.value_info[:]  # weights are transposed on the way, and their noted shapes would contradict
            quantize_dynamic(bare, path, op_types_to_quantize=["MatMul", "Gemm"], weight_type=QuantType.QInt8)
            small = onnx.load(str(path))
    finally:
        root.setLevel(level)
    del small.metadata_props[:]
    small.metadata_props.extend(graph.metadata_props)
    return small
