"""Smaller files: half precision and dynamic int8, keeping inputs, outputs and embeddings in float32."""

import logging
import tempfile
import warnings
from pathlib import Path

import onnx

from robustmm.exporting.graph import join_parts, split_parts


def convert_fp16(graph: onnx.ModelProto, modalities: list[str]) -> onnx.ModelProto:
    """fp16 weights and arithmetic. Encoders and decoder are converted apart, so that the file can still be cut."""
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    parts = {}
    for prefix, part in split_parts(graph, modalities).items():
        del part.graph.value_info[:]  # it holds the types of before
        with warnings.catch_warnings():  # values below the smallest half become 0, which the proof judges
            warnings.simplefilter("ignore")
            parts[prefix] = convert_float_to_float16(part, keep_io_types=True)
        OnnxModel(parts[prefix]).topological_sort()  # the conversion appends its casts at the end
        del parts[prefix].graph.value_info[:]
    return join_parts(parts, modalities)


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
