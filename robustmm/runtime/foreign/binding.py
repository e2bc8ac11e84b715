"""Binds a description to its graph: every input is fed once, by a modality that fits it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import onnx

from robustmm.errors import suggest
from robustmm.modalities import Modality
from robustmm.runtime.classifier import check_activation, check_classes, check_output
from robustmm.runtime.foreign.description import Description, raise_errors
from robustmm.runtime.foreign.inputs import InputBinding
from robustmm.runtime.foreign.preprocessing import Preprocessing
from robustmm.runtime.foreign.ranges import check_range
from robustmm.runtime.graph import Tensor, inputs

Problem = tuple[str, str, str]
"""A modality, a key of its table, and the rest of a sentence."""


def bind_inputs(description: Description, model: onnx.ModelProto) -> list[InputBinding]:
    """The input bindings of a described graph. Raises UsageError with everything that does not fit."""
    tensors = {tensor.name: tensor for tensor in inputs(model)}
    bindings: list[InputBinding] = []
    wrong: list[Problem] = []
    used: dict[str, list[Problem]] = defaultdict(list)  # by tensor: what feeds it, and by which key
    for modality, preprocessing in zip(description.modalities, description.preprocessing, strict=True):
        for key in ("input", "mask", "token_type", "present"):
            if name := getattr(preprocessing, key):
                used[name].append((modality.name, key, ""))
        found = list(_check_modality(modality, preprocessing, tensors))
        wrong += found
        if not found:
            dtype = tensors[preprocessing.input].dtype
            assert dtype is not None  # or something was found
            bindings.append(InputBinding(modality, preprocessing, dtype))
    if not wrong:
        wrong += _check_shapes(bindings, tensors)
        wrong += [(binding.modality.name, key, one) for binding in bindings for key, one in check_range(binding)]
    for name, places in used.items():
        keys = {key for _, key, _ in places}
        if len(keys) > 1 or (len(places) > 1 and not keys <= {"input", "present"}):
            wrong.append((*places[-1][:2], f'the input "{name}" is fed twice'))
    errors = [
        description.locate_error([f"modality.{name}", key], f"[modality.{name}] {one}") for name, key, one in wrong
    ]
    errors += [(1, f"nobody feeds the graph's input {tensor}") for name, tensor in tensors.items() if name not in used]
    output, classes = description.table.output, list(description.table.classes)
    if sentence := check_output(model, output.name):
        errors.append(description.locate_error(["output", "name"], f"[output] name: {sentence}"))
    elif sentence := check_activation(model, output.name, output.activation):
        errors.append(description.locate_error(["output", "activation"], f"[output] activation: {sentence}"))
    if sentence := check_classes(model, classes):
        errors.append(description.locate_error(["classes"], f"classes: {sentence}"))
    raise_errors(description.path, errors)
    return bindings


def _check_modality(modality: Modality, preprocessing: Preprocessing, tensors: dict[str, Tensor]) -> Iterator[Problem]:
    for key in ("input", "mask", "token_type", "present"):
        name = getattr(preprocessing, key)
        tensor = tensors.get(name)
        if name and tensor is None:
            yield modality.name, key, f'{key}: the graph has no input "{name}"{suggest(name, tensors)}'
        elif tensor and tensor.dtype is None:
            yield modality.name, key, f"{key}: should be a tensor of numbers, found {tensor}"
    tensor = tensors.get(preprocessing.input)
    if tensor and tensor.dtype and tensor.dtype.kind != "f":
        if modality.kind == "text" and tensor.dtype.kind == "b":
            yield modality.name, "input", f"input: should take token ids, found {tensor}"
        if not preprocessing.has_finite_fill:
            yield modality.name, "missing", f"missing: only floating-point inputs hold NaN, found {tensor}"


def _check_shapes(bindings: Iterable[InputBinding], tensors: dict[str, Tensor]) -> Iterator[Problem]:
    """The errors in shapes, and in how several modalities share an input."""
    sharing: dict[str, list[InputBinding]] = defaultdict(list)
    mask_groups: dict[str, list[InputBinding]] = defaultdict(list)
    for binding in sorted(bindings, key=lambda binding: binding.preprocessing.columns or (0, 0)):
        sharing[binding.preprocessing.input].append(binding)
        mask_groups[binding.preprocessing.present].append(binding)
        for key in ("mask", "token_type"):
            if (name := getattr(binding.preprocessing, key)) and not has_shape(tensors[name], binding.shape):
                wanted = _format_shape(binding.shape)
                yield binding.modality.name, key, f"{key}: should be {wanted}, found {tensors[name]}"
    for name, group in sharing.items():
        if wrong := _check_columns(name, group):
            yield wrong
            continue
        for binding in group:
            shape = list(binding.shape)
            if group[-1].preprocessing.columns:
                shape[binding.axis - 1] = group[-1].preprocessing.columns[1]
            if not has_shape(tensors[name], shape):
                where = f"for {binding.modality.kind} in the layout {binding.preprocessing.layout}"
                yield (
                    binding.modality.name,
                    "input",
                    f"input: should be {_format_shape(shape)} {where}, found {tensors[name]}",
                )
    for name, group in mask_groups.items():
        shapes = [(len(group),)] if len(group) > 1 else [(), (1,)]
        if name and not any(has_shape(tensors[name], shape) for shape in shapes):
            wanted = " or ".join(map(_format_shape, shapes))
            yield group[-1].modality.name, "present", f"present: should be {wanted}, found {tensors[name]}"


def _check_columns(name: str, group: list[InputBinding]) -> Problem | None:
    """The error of modalities, sorted, that do not share an input without gaps; None where they do."""
    end = 0
    for binding in group:
        if binding.preprocessing.columns is None and len(group) > 1:
            return binding.modality.name, "input", f'the input "{name}" is shared: columns should say which are whose'
        first, after = binding.preprocessing.columns or (0, 0)
        if first != end:
            how = f"nobody feeds {end} to {first - 1}" if first > end else f"{first} is fed twice"
            return binding.modality.name, "columns", f'columns: {how} of "{name}"'
        end = after
    return None


def has_shape(tensor: Tensor, shape: Iterable[int]) -> bool:
    """Whether the graph takes rows of this shape."""
    shape = tuple(shape)
    if tensor.dims is None:
        return True
    own = tensor.dims[1:]
    return len(tensor.dims) == 1 + len(shape) and all(d is None or d == s for d, s in zip(own, shape, strict=True))


def _format_shape(shape: Iterable[int]) -> str:
    return f"({', '.join(map(str, ('batch', *shape)))})"
