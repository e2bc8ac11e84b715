"""What makes an ONNX graph a classifier: the output, what made it, and the classes that the graph names itself."""

import math
from pathlib import Path

import onnx
from onnx import numpy_helper

from robustmm.errors import suggest
from robustmm.modalities.files.limits import CLASS_BYTES, check_claim
from robustmm.runtime.graph import Tensor, outputs, producers

PASS_THROUGH_OPS = {"Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose"}
PASS_THROUGH_OPS |= {"QuantizeLinear", "DequantizeLinear"}
"""Operations that pass an output on as it is, or as its nearest 8 bits."""

PICKING_OPS = {"Slice", "Gather", "Split", "ArrayFeatureExtractor"}
"""Operations that take single columns out of an output."""

PROBABILITY_OPS = {"Softmax", "Sigmoid", "Normalizer", "LinearClassifier", "TreeEnsembleClassifier", "SVMClassifier"}
"""Operations whose output is probabilities; of the last three where the converter asked for them."""

REGRESSION_OPS = {"LinearRegressor", "TreeEnsembleRegressor", "SVMRegressor"}


def find_output(model: onnx.ModelProto) -> Tensor | None:
    """The likeliest output: probabilities before logits. For a sequence of maps, and for an output per class, the
    tensor that they are made from."""
    nodes, found = producers(model), []
    for tensor in outputs(model):
        if tensor.name in nodes and nodes[tensor.name].op_type == "ZipMap":
            found.append(Tensor(nodes[tensor.name].input[0], None, None))
        elif tensor.dtype and tensor.dtype.kind == "f":
            found.append(tensor)
    picked = [tensor.name for tensor in found if _trace(nodes, tensor.name, PASS_THROUGH_OPS)[1] in PICKING_OPS]
    whole = {_trace(nodes, name, PASS_THROUGH_OPS | PICKING_OPS)[0] for name in picked}
    if len(picked) > 1 and len(picked) == len(found) and len(whole) == 1:
        return Tensor(whole.pop(), None, (None, len(picked)))
    words = ("prob", "logit")
    return max(found, key=lambda tensor: [word in tensor.name.lower() for word in words], default=None)


def _trace(nodes: dict[str, onnx.NodeProto], name: str, through: set[str]) -> tuple[str, str]:
    """Back from a tensor through these operations: the tensor before them, and the operation that makes it (empty
    for an input)."""
    while name in nodes and nodes[name].op_type in through and nodes[name].input:
        name = nodes[name].input[0]
    return name, nodes[name].op_type if name in nodes else ""


def count_columns(output: Tensor) -> int | None:
    """Columns of an output (batch, ...), whatever axes of length one it has; None where the graph leaves them open."""
    if output.dims is None or None in output.dims[1:]:
        return None
    return math.prod(size or 1 for size in output.dims[1:])


def check_width(output: Tensor, path: Path) -> None:
    """Raises DataError for more classes than can be named and answered within the limit of a cell."""
    count = count_columns(output) or 0
    check_claim(CLASS_BYTES * max(count, output.batch), path, f"the output {output}")


def made_by(model: onnx.ModelProto, output: str) -> str:
    """The operation that an output comes from, behind what passes it on: `Softmax`, `Gemm`, `LinearRegressor`."""
    return _trace(producers(model), output, PASS_THROUGH_OPS)[1]


def describe_regressor(model: onnx.ModelProto, output: Tensor) -> str:
    """Why a graph is certainly no classifier, empty where it may be one."""
    operation = made_by(model, output.name)
    if operation in REGRESSION_OPS:
        return f'its output "{output.name}" is a number that {operation} predicts'
    listed = outputs(model)
    if model.producer_name == "skl2onnx" and len(listed) == 1 and not class_labels(model, count_columns(output)):
        return f'its only output is "{output.name}", where scikit-learn\'s classifiers answer a label and probabilities'
    return ""


def class_labels(model: onnx.ModelProto, count: int | None = None) -> list[str]:
    """The labels that converters of scikit-learn, XGBoost and LightGBM wrote into the graph, in the output's order;
    with `count`, only labels of that many classes. Empty where the graph has none."""
    found = [labels for node in model.graph.node if (labels := _node_labels(node))]
    zipped = [_node_labels(node) for node in model.graph.node if node.op_type == "ZipMap"]
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:  # label = classes[argmax]
        if node.op_type == "ArrayFeatureExtractor" and node.input[0] in stored:
            values = numpy_helper.to_array(stored[node.input[0]]).ravel().tolist()
            if all(isinstance(value, (bytes, str, int)) for value in values):
                found.append([value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
                              for value in values])  # fmt: skip
    fitting = [labels for labels in [*found, *zipped] if len(set(labels)) == len(labels)]
    fitting = [labels for labels in fitting if count is None or len(labels) == count]
    return fitting[-1] if fitting else []


def _node_labels(node: onnx.NodeProto) -> list[str]:
    for attribute in node.attribute:
        if attribute.name.startswith("classlabels"):
            words = [word.decode("utf-8", "replace") for word in attribute.strings]
            if labels := words or [str(number) for number in attribute.ints]:
                return labels
    return []


def check_output(model: onnx.ModelProto, output: str) -> str:
    """The error of a tensor that cannot be the output, empty where it can. scikit-learn's converter makes a sequence of
    maps by default."""
    listed, nodes = [value.name for value in model.graph.output], producers(model)
    if output not in listed and output not in nodes:
        return f'the graph has no output "{output}"{suggest(output, listed)}'
    if output in nodes and nodes[output].op_type == "ZipMap":
        return (
            f'"{output}" is a sequence of maps; name the tensor before it, "{nodes[output].input[0]}", or convert the '
            "model again with zipmap=False"
        )
    operation = made_by(model, output)
    if operation in REGRESSION_OPS:
        return f'"{output}" is a number that {operation} predicts; only classifiers are evaluated'
    return ""


def check_activation(model: onnx.ModelProto, output: str, activation: str) -> str:
    """The error of an activation that the graph has applied already, empty where it fits."""
    operation = made_by(model, output)
    if operation in ("Softmax", "Sigmoid") and activation != "none":
        return f'"{output}" holds probabilities already, after a {operation}; expected "none"'
    return ""


def check_classes(model: onnx.ModelProto, classes: list[str]) -> str:
    """The error of classes that contradict the labels in the graph, empty where they fit. Whole numbers from 0 are
    positions, which any names may stand for; names of none in common are a translation."""
    own = class_labels(model, len(classes))
    if not own or own == classes:
        return ""
    listed = ", ".join(f'"{label}"' for label in own)
    if sorted(own) == sorted(classes):
        return f"the graph's own labels are the same in another order; expected [{listed}]"
    if own == [str(i) for i in range(len(own))]:
        return ""
    strange = [label for label in classes if label not in own]
    hints = [suggest(label, own) for label in strange]
    if len(strange) < len(own) or any("did you mean" in hint for hint in hints):
        named = next((i for i, hint in enumerate(hints) if "did you mean" in hint), 0)
        return f'"{strange[named]}" is not a label of the graph{hints[named]}; its order is [{listed}]'
    return ""
