"""ONNX files: their bytes, our metadata in them, their structure; of our own export and of another tool."""

import json
import random
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from hostile.base import ATTACK, DESCRIBED, Base
from hostile.judge import Case
from hostile.mutations import NASTY, damage, replace_leaf


def try_model_bytes(base: Base, folder: Path, rng: random.Random) -> Case:
    """Damaged bytes, in our own file or in a stranger's."""
    name = rng.choice(("model.onnx", "foreign.onnx"))
    path = folder / name
    content = damage(path.read_bytes(), rng)
    path.unlink()
    path.write_bytes(content)
    if name == "model.onnx":
        return Case(
            [*ATTACK, "--json"], differs=lambda ended, _: ended.out != base.attack.out and ended.err == base.attack.err
        )
    return Case(list(rng.choice((DESCRIBED, ["describe", name], ["describe", name, "--data", "data"]))))


def try_metadata(base: Base, folder: Path, rng: random.Random) -> Case:
    """One value of our metadata changed: refused, or without influence."""
    model = onnx.load(folder / "model.onnx")
    entry = next(entry for entry in model.metadata_props if entry.key == "robustmm")
    if rng.random() < 0.9:
        entry.value = json.dumps(replace_leaf(json.loads(entry.value), rng))
    else:
        entry.value = damage(entry.value.encode(), rng).decode("utf-8", "replace")
    _save(model, folder / "model.onnx")
    return Case(
        list(
            rng.choice(
                ([*ATTACK, "--json"], ["show", "model.onnx"], ["data", "check", "data", "--model", "model.onnx"])
            )
        )
    )


def try_graph(base: Base, folder: Path, rng: random.Random) -> Case:
    """A graph with a node, a tensor, a name, a shape, a type or a version changed."""
    name = rng.choice(("model.onnx", "foreign.onnx", "foreign.onnx"))
    model = onnx.load(folder / name)
    for _ in range(rng.choice((1, 1, 2))):
        _change_graph(model, rng)
    _save(model, folder / name)
    own = [*ATTACK, "--json"]
    other = (
        DESCRIBED,
        ["describe", name],
        ["describe", name, "--data", "data"],
        ["check", name, "--describe", "foreign.toml", "--data", "data"],
    )
    return Case(list(own if name == "model.onnx" else rng.choice(other)))


def _save(model: onnx.ModelProto, path: Path) -> None:
    path.unlink()
    path.write_bytes(model.SerializeToString())


def _change_graph(model: onnx.ModelProto, rng: random.Random) -> None:
    graph = model.graph
    node, tensor = rng.choice(graph.node), rng.choice(graph.initializer)
    value = rng.choice([*graph.input, *graph.output])
    dims = value.type.tensor_type.shape.dim
    kind = rng.randrange(14)
    if kind == 0:
        graph.node.remove(node)
    elif kind == 1:
        node.op_type = rng.choice(
            ("Relu", "Nope", "Loop", "Log", "Shape", "Identity", "NonZero", "Reshape", "LSTM", *NASTY[:3])
        )
    elif kind == 2 and node.input:
        node.input[rng.randrange(len(node.input))] = rng.choice(("", "nobody", value.name, node.output[0]))
    elif kind == 3:
        node.name = rng.choice(NASTY).encode("utf-8", "replace").decode()
    elif kind == 4:
        tensor.raw_data = tensor.raw_data[: rng.randrange(len(tensor.raw_data) + 1)] if tensor.raw_data else b"\xff" * 8
    elif kind == 5:
        tensor.dims[:] = [rng.choice((0, -1, 2**40, 3)) for _ in range(rng.randrange(4))]
    elif kind == 6 and tensor.raw_data:
        tensor.raw_data = (b"\x00\x00\xc0\x7f" * len(tensor.raw_data))[: len(tensor.raw_data)]  # NaN
    elif kind == 7:
        value.name = rng.choice(NASTY).encode("utf-8", "replace").decode()
    elif kind == 8 and dims:
        rng.choice(dims).dim_value = rng.choice((0, -1, 1, 3, 10**9, 2**62))
    elif kind == 9:
        value.type.tensor_type.elem_type = rng.choice((0, 1, 7, 8, 9, 10, 11, 16, 99))
    elif kind == 10:
        model.ir_version = rng.choice((0, 1, 3, 99, 2**40))
    elif kind == 11:
        model.opset_import[0].version = rng.choice((0, 1, 9, 99, 2**40))
    elif kind == 12:
        extra = helper.make_tensor_value_info(
            rng.choice(("more", value.name, "present")), TensorProto.FLOAT, [None, 10**9]
        )
        rng.choice((graph.input, graph.output)).append(extra)
    else:
        tensor.data_location = TensorProto.EXTERNAL
        del tensor.external_data[:]
        tensor.external_data.add(key="location", value=rng.choice(("../x", "/etc/passwd", "weights.bin")))
