"""Files that are no model say what they are."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from robustmm.errors import DataError
from robustmm.runtime.session import read_graph


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is not an ONNX model: it is empty"),
        (b"PK\x03\x04rest", "is a zip archive, such as PyTorch and Keras write, not an ONNX model; export it as ONNX"),
        (b"\x80\x02}q", "is a pickle"),
        (b"\x89HDF\r\n", "is an HDF5 file"),
        (b"\x1c\0\0\0TFL3", "is a TensorFlow Lite model"),
        (b'\x10\0\0\0\0\0\0\0{"w": 1}', "is a safetensors file"),
        (b"\x1f\x8b\x08", "is packed by gzip"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "a Git LFS pointer, not the model"),
        (b"<!DOCTYPE html><html><title>404</title></html>", "a web page, not a model"),
        (b"\n  <html lang=en>", "a web page, not a model"),
        (b"\x18\0\0\0ORTM" + b"\0" * 64, "onnxruntime's own format"),
        (b"\x7fELF", "not a readable ONNX model"),
    ],
)
def test_a_file_that_is_no_model_is_named(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(DataError, match=sentence) as caught:
        read_graph(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_beside_the_file_are_named(tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.ones((64, 64), np.float32), "w")
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", 64]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", values[:1], values[1:], [weights])
    path = tmp_path / "model.onnx"
    onnx.save(
        helper.make_model(graph), path, save_as_external_data=True, location="weights of it.data", size_threshold=0
    )
    assert read_graph(path).graph.node
    (tmp_path / "weights of it.data").unlink()
    with pytest.raises(DataError, match=r"keeps its weights in .*weights of it\.data, which should stand beside it"):
        read_graph(path)
