"""Names in a graph that are no UTF-8: protobuf hands them over as bytes, and nothing can be looked up by them."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from robustmm.errors import DataError
from robustmm.runtime.session import read_graph


def write_graph(path: Path, old: bytes = b"", new: bytes = b"") -> None:
    vector = helper.make_tensor_value_info("vectorQ", TensorProto.FLOAT, ["batchQ", 2])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batchQ", 2])
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Identity", ["vectorQ"], ["logits"], "nodeQ")], "graphQ", [vector], [logits]
        )
    )
    entry = model.metadata_props.add()
    entry.key, entry.value = "keyQ", "valueQ"
    path.write_bytes(model.SerializeToString().replace(old, new) if old else model.SerializeToString())


@pytest.mark.parametrize("name", ["vectorQ", "batchQ", "nodeQ", "graphQ", "keyQ", "valueQ"])
def test_a_name_that_is_no_text_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "m.onnx"
    write_graph(path)
    assert isinstance(read_graph(path), onnx.ModelProto)
    broken = name[:-1].encode() + b"\xff"
    write_graph(path, name.encode(), broken)
    with pytest.raises(DataError, match=r"m\.onnx is damaged: its names should be UTF-8, found b'"):
        read_graph(path)
