"""The model of `bayes` as other tools would write it: in parts, whole, with a mask or an input of their own."""

from pathlib import Path

import numpy as np
import onnx
from bayes import CLASSES, LENGTH, Bayes
from onnx import TensorProto, helper, numpy_helper

FORMS = ("parts", "mask", "whole", "shared", "label", "sigmoid")
M = 3


def build_foreign(
    form: str, bayes: Bayes, folder: Path, opset: int = 17, rows: int | str = "batch"
) -> tuple[Path, Path]:
    """Bayes' rule over the same vectors, wired otherwise; and its description."""
    theirs = onnx.load(str(bayes.model)).graph
    own = {tensor.name: numpy_helper.to_array(tensor) for tensor in theirs.initializer}
    weights, biases = ([own[f"{name}/{what}"] for name in "abc"] for what in "wb")
    if form == "sigmoid":
        weights, biases = ([x[..., [0]] - x[..., [1]] for x in each] for each in (weights, biases))
    tell, names = helper.make_tensor_value_info, list("abc")
    stored = {f"{n}/w": w for n, w in zip(names, weights, strict=True)}
    stored |= {f"{n}/b": b for n, b in zip(names, biases, strict=True)}
    inputs, answer, more = [tell(n, TensorProto.FLOAT, [rows, LENGTH]) for n in names], "answer", []
    activation, classes = "softmax", CLASSES
    gemms = [helper.make_node("Gemm", [n, f"{n}/w", f"{n}/b"], [f"{n}/score"]) for n in names]
    if form in ("whole", "shared"):
        stored = {"weight": np.concatenate(weights), "bias": np.sum(biases, 0)}
        nodes = [helper.make_node("Gemm", ["x", "weight", "bias"], [answer])]
        if form == "whole":
            nodes = [helper.make_node("Concat", names, ["x"], axis=1), *nodes]
        else:
            inputs = [tell("x", TensorProto.FLOAT, [rows, M * LENGTH])]
    elif form == "mask":
        nodes = list(gemms)
        inputs.append(tell("mask", TensorProto.FLOAT, [rows, M]))
        for m, n in enumerate(names):
            stored[f"{n}/m"] = np.array([m])
            nodes.append(helper.make_node("Gather", ["mask", f"{n}/m"], [f"{n}/here"], axis=1))
            nodes.append(helper.make_node("Mul", [f"{n}/score", f"{n}/here"], [f"{n}/kept"]))
        nodes.append(helper.make_node("Sum", [f"{n}/kept" for n in names], [answer]))
    else:
        nodes = [*gemms, helper.make_node("Sum", [f"{n}/score" for n in names], [answer])]
    if form == "label":
        nodes[-1].output[0] = "sum"
        nodes.append(helper.make_node("Softmax", ["sum"], [answer], axis=-1))
        nodes.append(helper.make_node("ArgMax", [answer], ["label"], axis=1, keepdims=0))
        more, activation = [tell("label", TensorProto.INT64, [rows])], "none"
    if form == "sigmoid":
        activation, classes = "sigmoid", CLASSES[1::-1]
    width = 1 if form == "sigmoid" else len(CLASSES)
    graph = helper.make_graph(
        nodes, "theirs", inputs, [tell(answer, TensorProto.FLOAT, [rows, width]), *more],
        [numpy_helper.from_array(np.asarray(x, np.int64 if x.dtype.kind == "i" else np.float32), n)
         for n, x in stored.items()],
    )  # fmt: skip
    folder.mkdir(exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9),
              str(folder / "theirs.onnx"))  # fmt: skip
    text = f'classes = {list(classes)}\n[output]\nname = "{answer}"\nactivation = "{activation}"\n'.replace("'", '"')
    for m, n in enumerate(names):
        text += f'[modality.{n}]\nkind = "features"\nlength = {LENGTH}\n'
        text += 'present = "mask"\n' if form == "mask" else ""
        text += f'input = "x"\ncolumns = [{m * LENGTH}, {(m + 1) * LENGTH}]\n' if form == "shared" else ""
    (folder / "theirs.toml").write_text(text)
    return folder / "theirs.onnx", folder / "theirs.toml"
