"""Drafts the description of a foreign graph from its names, types and shapes, and marks what a person must check."""

from difflib import SequenceMatcher
from functools import partial
from pathlib import Path
from textwrap import wrap

import numpy as np
import onnx

from robustmm.config.toml import to_toml
from robustmm.errors import DataError
from robustmm.modalities.base import modality_name
from robustmm.runtime import graph, session
from robustmm.runtime.foreign.kinds import Draft, guess_modalities
from robustmm.runtime.graph import Tensor

PASS_THROUGH_OPS = {"Identity", "Cast", "Reshape", "Squeeze", "Flatten"}
"""Operations that pass an output on as it is."""

PROBABILITY_OPS = {"Softmax", "Sigmoid", "Normalizer", "LinearClassifier", "TreeEnsembleClassifier", "SVMClassifier"}
"""Operations whose output is probabilities."""

WIDTH = 80

HEADER = """\
# The inputs and outputs of a model, as `robustmm describe` guesses them.
# Go through every CHECK, then:
# robustmm attack MODEL.onnx --describe THIS.toml --data MANIFEST
"""


def draft_description(path: Path) -> str:
    """The TOML of a first description. Raises DataError for a file that is no ONNX, or no classifier of arrays."""
    model = session.read_graph(path)
    output = graph.find_output(model)
    if output is None:
        raise DataError(f"{path} should have an output of floating-point numbers, as classifiers have")
    tables, unfed = draft_modalities(model)
    if not tables:
        raise DataError(f"{path} should have an input that is an image, audio, video, text, series or features")
    parts = [
        HEADER + _format_classes(model, output),
        _format_output(model, output),
        *(_format_table(draft) for draft in tables),
    ]
    parts += [f"# CHECK: nobody feeds {to_toml({'input': name}).strip()}; make it a constant" for name in unfed]
    return "\n\n".join(parts) + "\n"


def draft_modalities(model: onnx.ModelProto) -> tuple[list[Draft], list[str]]:
    """A draft of every input that may be a signal, and the inputs that no modality feeds."""
    tensors = graph.inputs(model)
    beside = {key: [t.name for t in tensors if key.split("_")[-1] in t.name.lower()] for key in ("mask", "token_type")}
    found: list[Draft] = []
    fed: list[str] = []
    for tensor in tensors:
        if tensor.name not in beside["mask"] + beside["token_type"]:
            drafts = guess_modalities(tensor, modality_name(tensor.name, [draft.name for draft in found]))
            for draft in drafts:
                draft.table = {"kind": draft.table.pop("kind"), "input": tensor.name, **draft.table}
            found += drafts
            fed += [tensor.name for _ in drafts]
    for draft in found:
        for key, names in beside.items() if draft.table["kind"] == "text" else ():
            alike = partial(_name_similarity, draft.table["input"])
            if left := [name for name in names if name not in fed]:
                draft.table[key] = max(left, key=alike)
                fed.append(draft.table[key])
        _apply_scaler(model, draft)
    for tensor in tensors:
        wanted = [(), (1,)] if len(found) == 1 else [(len(found),)]
        if tensor.dtype == np.bool_ and tensor.name not in fed and tensor.dims and tensor.dims[1:] in wanted:
            fed.append(tensor.name)
            for draft in found:
                draft.table["present"] = tensor.name
                draft.checks["present"] = "presence mask: which modalities are present, in the order of this file"
            break  # no modality feeds a second one, and a CHECK says so
    return found, [tensor.name for tensor in tensors if tensor.name not in fed]


def _name_similarity(name: str, other: str) -> float:
    return SequenceMatcher(None, name, other).ratio()


def _apply_scaler(model: onnx.ModelProto, draft: Draft) -> None:
    """Takes mean and standard deviation from scikit-learn's scaler, which holds those of the training data."""
    for node in model.graph.node:
        if node.op_type == "Scaler" and node.input[0] == draft.table["input"]:
            stored = {a.name: [float(f"{x:.6g}") for x in a.floats] for a in node.attribute}  # single precision
            offset, scale = stored.get("offset", []), stored.get("scale", [])
            if len(offset) == len(scale) == draft.table.get("length") and min(scale) > 0:
                draft.table |= {"mean": offset, "std": [float(f"{1 / x:.6g}") for x in scale], "missing": "mean"}
                draft.more = [line for line in draft.more if not line.startswith(("mean", "std"))]


def _format_classes(model: onnx.ModelProto, output: Tensor) -> str:
    width = output.dims[-1] if output.dims and len(output.dims) > 1 else 1 if output.dims else None
    labels = graph.class_labels(model)
    count = 2 if width == 1 else (width or len(labels) or 2)
    if len(labels) != count:
        labels = [f"class {i}" for i in range(count)]
    known = "" if width or graph.class_labels(model) else "how many classes there are, and "
    return "\n".join(_format_entry("classes", labels, f"{known}the manifest's labels, in the order of the output"))


def _format_output(model: onnx.ModelProto, output: Tensor) -> str:
    nodes, name = graph.producers(model), output.name
    while name in nodes and nodes[name].op_type in PASS_THROUGH_OPS and nodes[name].input:
        name = nodes[name].input[0]
    normalised = (name in nodes and nodes[name].op_type in PROBABILITY_OPS) or "prob" in output.name.lower()
    one = output.dims is not None and (len(output.dims) == 1 or output.dims[-1] == 1)
    activation = "none" if normalised else "sigmoid" if one else "softmax"
    check = "what makes probabilities of it: softmax, sigmoid, or none where it holds them"
    return "\n".join(["[output]", _format_line("name", output.name), *_format_entry("activation", activation, check)])


def _format_table(draft: Draft) -> str:
    lines = [
        line for key, value in draft.table.items() for line in _format_entry(key, value, draft.checks.get(key, ""))
    ]
    notes = [line for text in draft.more for line in _format_comment(text)]
    return "\n".join([f"[modality.{draft.name}]", *lines, *notes])


def _format_entry(key: str, value: object, check: str) -> list[str]:
    return [*(_format_comment(f"CHECK: {check}") if check else []), _format_line(key, value)]


def _format_comment(text: str) -> list[str]:
    return wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _format_line(key: str, value: object) -> str:
    """`key = value`, a long list on several lines."""
    line = to_toml({key: value}).strip()
    if len(line) <= WIDTH or not isinstance(value, list) or not all(isinstance(item, float) for item in value):
        return line
    numbers = line.partition("[")[2].removesuffix("]")
    return "\n".join([f"{key} = [", *wrap(numbers, WIDTH, initial_indent="  ", subsequent_indent="  "), "]"])
