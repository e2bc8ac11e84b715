"""Drafts the description of a foreign graph from its names, types and shapes, and marks what a person must check."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from robustmm.errors import DataError
from robustmm.modalities.base import modality_name
from robustmm.runtime import classifier, graph, session
from robustmm.runtime.foreign.drafting.checkpoint import apply_checkpoint, read_labels
from robustmm.runtime.foreign.drafting.kinds import Draft, draft_kind, guess_kinds, name_words
from robustmm.runtime.graph import Tensor

POSITION_WORDS = ({"position", "ids"}, {"positions"}, {"attention", "mask"}, {"padding", "mask"})
"""Words of inputs that go with others and are no signal."""


@dataclass
class DescriptionDraft:
    """A description as it is drafted: what is known, and by key what a person must check."""

    classes: list[str]
    own_labels: list[str]
    """The labels in the graph or in its checkpoint, in the output's order; empty where there are none."""
    output: dict[str, Any]
    modalities: list[Draft]
    unfed: list[str]
    """The graph's inputs that no modality feeds."""
    width: int | None = None
    """Classes by the shape of the output; None where it leaves them open."""
    folder: Path = Path()
    """Where the description will stand: the files that it names are relative to it."""
    prior: list[float] = field(default_factory=list)
    checks: dict[str, str] = field(default_factory=dict)


def draft_graph(path: Path, folder: Path = Path()) -> DescriptionDraft:
    """The first draft of a description that will stand in `folder`. Raises DataError for a file that is no ONNX, or no
    classifier of arrays."""
    model = session.read_graph(path)
    strings = [t.name for t in graph.inputs(model) if t.dtype is None and is_string(model, t.name)]
    if strings:
        raise DataError(
            f'{path} takes strings in "{strings[0]}", which are not fed here; convert the model again without the step '
            "that encodes them (OneHotEncoder, TfidfVectorizer), and give its numbers as features"
        )
    output = classifier.find_output(model)
    if output is None:
        raise DataError(f"{path} should have an output of floating-point numbers, as classifiers have")
    classifier.check_width(output, path)
    if wrong := classifier.describe_regressor(model, output):
        raise DataError(f"{path} is no classifier: {wrong}; only classifiers are evaluated")
    modalities, unfed = draft_modalities(model)
    if not modalities:
        raise DataError(f"{path} should have an input that is an image, audio, video, text, series or features")
    draft = DescriptionDraft([], [], {}, modalities, unfed, folder=folder)
    _draft_classes(draft, model, output, read_labels(path))
    _draft_output(draft, model, output)
    apply_checkpoint(draft.modalities, path, folder)
    return draft


def is_string(model: onnx.ModelProto, name: str) -> bool:
    return any(v.name == name and v.type.tensor_type.elem_type == onnx.TensorProto.STRING for v in model.graph.input)


def draft_modalities(model: onnx.ModelProto) -> tuple[list[Draft], list[str]]:
    """A draft of every input that may be a signal, and the inputs that no modality feeds."""
    tensors = graph.inputs(model)
    kinds = {tensor.name: guess_kinds(tensor) for tensor in tensors}
    texts = [tensor for tensor in tensors if kinds[tensor.name][:1] == ["text"] and not _goes_with(tensor)]
    beside = {
        key: [t.name for t in tensors if t not in texts and _goes_with(t) == key and _fits(t, texts)]
        + [t.name for t in texts if "mask" in name_words(t.name) and key == "mask"]
        for key in ("mask", "token_type")
    }
    found: list[Draft] = []
    fed: list[str] = []
    for tensor in tensors:
        alone = any(words <= name_words(tensor.name) for words in POSITION_WORDS)
        if kinds[tensor.name] and not alone and tensor.name not in beside["mask"] + beside["token_type"]:
            name = modality_name(tensor.name, [draft.name for draft in found])
            drafts = draft_kind(tensor, name, kinds[tensor.name][0])
            found += drafts
            fed += [tensor.name for _ in drafts]
    for key, names in beside.items():
        for name in names:
            free = [draft for draft in found if draft.kind == "text" and key not in draft.table]
            if free:
                nearest = max(free, key=partial(_likeness, name))
                nearest.table[key] = name
                fed.append(name)
    for draft in found:
        _apply_scaler(model, draft)
        _note_quantisation(model, draft)
    for tensor in tensors:
        wanted = [(), (1,)] if len(found) == 1 else [(len(found),)]
        if tensor.dtype == np.bool_ and tensor.name not in fed and tensor.dims and tensor.dims[1:] in wanted:
            fed.append(tensor.name)
            for draft in found:
                draft.table["present"] = tensor.name
                draft.checks["present"] = "presence mask: which modalities are present, in the order of this file"
            break  # no modality feeds a second one, and a CHECK says so
    return found, [tensor.name for tensor in tensors if tensor.name not in fed]


def _goes_with(tensor: Tensor) -> str:
    """The key under which an input named so goes with token ids, empty where it does not."""
    words = name_words(tensor.name)
    if "mask" in words:
        return "mask"
    return "token_type" if "segment" in words or {"token", "type"} <= words else ""


def _fits(tensor: Tensor, texts: Sequence[Tensor]) -> bool:
    """Whether an input has the shape of some token ids."""
    return any(tensor.dims is None or text.dims is None or tensor.dims[1:] == text.dims[1:] for text in texts)


def _likeness(name: str, draft: Draft) -> float:
    return SequenceMatcher(None, name, str(draft.table["input"])).ratio()


def _apply_scaler(model: onnx.ModelProto, draft: Draft) -> None:
    """Takes mean and standard deviation from scikit-learn's scaler, which holds those of the training data."""
    for node in model.graph.node:
        if node.op_type == "Scaler" and node.input[0] == draft.table["input"]:
            stored = {a.name: [float(f"{x:.6g}") for x in a.floats] for a in node.attribute}  # single precision
            offset, scale = stored.get("offset", []), stored.get("scale", [])
            if len(offset) == len(scale) == draft.table.get("length") and min(scale) > 0:
                draft.table |= {"mean": offset, "std": [float(f"{1 / x:.6g}") for x in scale], "missing": "mean"}
                for key in ("mean", "std", "missing"):
                    draft.checks.pop(key, None)


def _note_quantisation(model: onnx.ModelProto, draft: Draft) -> None:
    """Says how a graph reads its integers, where it does: (integer - zero point) * scale."""
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.input[0] == draft.table["input"] and node.input[1] in stored:
            scale = float(numpy_helper.to_array(stored[node.input[1]]).flat[0])
            zero = node.input[2] if len(node.input) > 2 else ""
            point = int(numpy_helper.to_array(stored[zero]).flat[0]) if zero in stored else 0
            key = "subtract" if "subtract" in draft.table else "input"
            said = draft.checks.get(key, "")
            rest = f"the graph reads an integer q as (q {'-' if point >= 0 else '+'} {abs(point)}) * {scale:.6g}"
            draft.checks[key] = f"{said}; {rest}" if said else rest


def _draft_classes(draft: DescriptionDraft, model: onnx.ModelProto, output: Tensor, labels: list[str]) -> None:
    """The graph's own labels, else those of its checkpoint, else placeholders."""
    width = classifier.count_columns(output)
    count = 2 if width == 1 else width
    draft.width = count
    draft.own_labels = classifier.class_labels(model, count) or (labels if len(labels) == count else [])
    draft.classes = draft.own_labels or [f"class {i}" for i in range(count or 2)]
    if not draft.own_labels:
        known = "" if width else "how many classes there are, and "
        draft.checks["classes"] = f"{known}the manifest's labels, in the order of the output"


def _draft_output(draft: DescriptionDraft, model: onnx.ModelProto, output: Tensor) -> None:
    made = classifier.made_by(model, output.name)
    one = classifier.count_columns(output) == 1
    holds = made in classifier.PROBABILITY_OPS or "prob" in output.name.lower()  # held against what it answers later
    draft.output = {"name": output.name, "activation": "none" if holds else "sigmoid" if one else "softmax"}
    if one and not holds:
        draft.checks["activation"] = "the second class's score; or a regressor's number, which is no class"
    elif not holds:
        draft.checks["activation"] = "what makes probabilities of it: softmax where one class is right"
