"""A description held against the graph: every input fed once, by what fits it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import onnx

from robustmm.errors import known
from robustmm.modalities import Modality
from robustmm.runtime.foreign.description import Description, refuse
from robustmm.runtime.foreign.inputs import Port
from robustmm.runtime.foreign.preprocessing import Way
from robustmm.runtime.graph import Tensor, inputs, unfit

Wrong = tuple[str, str, str]
"""A modality, a key of its table, and the rest of a sentence."""


def wired(told: Description, model: onnx.ModelProto) -> list[Port]:
    """The ports of a described graph. Raises UsageError with everything that does not fit."""
    tensors = {tensor.name: tensor for tensor in inputs(model)}
    ports: list[Port] = []
    wrong: list[Wrong] = []
    used: dict[str, list[Wrong]] = defaultdict(list)  # by tensor: who feeds it, and how
    for modality, way in zip(told.modalities, told.ways, strict=True):
        for key in ("input", "mask", "token_type", "present"):
            if name := getattr(way, key):
                used[name].append((modality.name, key, ""))
        found = list(_modality(modality, way, tensors))
        wrong += found
        if not found:
            dtype = tensors[way.input].dtype
            assert dtype is not None  # or something was found
            ports.append(Port(modality, way, dtype))
    if not wrong:
        wrong += _ports(ports, tensors)
    for name, places in used.items():
        keys = {key for _, key, _ in places}
        if len(keys) > 1 or (len(places) > 1 and not keys <= {"input", "present"}):
            wrong.append((*places[-1][:2], f'the input "{name}" is fed twice'))
    errors = [told.at([f"modality.{name}", key], f"[modality.{name}] {one}") for name, key, one in wrong]
    errors += [(1, f"nobody feeds the graph's input {tensor}") for name, tensor in tensors.items() if name not in used]
    if sentence := unfit(model, told.head.output.name):
        errors.append(told.at(["output", "name"], f"[output] name: {sentence}"))
    refuse(told.path, errors)
    return ports


def _modality(modality: Modality, way: Way, tensors: dict[str, Tensor]) -> Iterator[Wrong]:
    for key in ("input", "mask", "token_type", "present"):
        name = getattr(way, key)
        tensor = tensors.get(name)
        if name and tensor is None:
            yield modality.name, key, f'{key}: the graph has no input "{name}"{known(name, tensors)}'
        elif tensor and tensor.dtype is None:
            yield modality.name, key, f"{key}: should be a tensor of numbers, found {tensor}"
    tensor = tensors.get(way.input)
    if tensor and tensor.dtype and tensor.dtype.kind != "f":
        if modality.kind == "text" and tensor.dtype.kind == "b":
            yield modality.name, "input", f"input: should take token ids, found {tensor}"
        if not way.finite:
            yield modality.name, "missing", f"missing: only floating-point inputs hold NaN, found {tensor}"


def _ports(ports: Iterable[Port], tensors: dict[str, Tensor]) -> Iterator[Wrong]:
    """What is wrong with shapes, and with how several modalities share an input."""
    sharing: dict[str, list[Port]] = defaultdict(list)
    told: dict[str, list[Port]] = defaultdict(list)
    for port in sorted(ports, key=lambda port: port.way.columns or (0, 0)):
        sharing[port.way.input].append(port)
        told[port.way.present].append(port)
        for key in ("mask", "token_type"):
            if (name := getattr(port.way, key)) and not fits(tensors[name], port.shape):
                yield port.modality.name, key, f"{key}: should be {_shown(port.shape)}, found {tensors[name]}"
    for name, group in sharing.items():
        if wrong := _columns(name, group):
            yield wrong
            continue
        for port in group:
            shape = list(port.shape)
            if group[-1].way.columns:
                shape[port.axis - 1] = group[-1].way.columns[1]
            if not fits(tensors[name], shape):
                where = f"for {port.modality.kind} in the layout {port.way.layout}"
                yield port.modality.name, "input", f"input: should be {_shown(shape)} {where}, found {tensors[name]}"
    for name, group in told.items():
        shapes = [(len(group),)] if len(group) > 1 else [(), (1,)]
        if name and not any(fits(tensors[name], shape) for shape in shapes):
            wanted = " or ".join(map(_shown, shapes))
            yield group[-1].modality.name, "present", f"present: should be {wanted}, found {tensors[name]}"


def _columns(name: str, group: list[Port]) -> Wrong | None:
    """Why modalities, sorted, do not share an input without gaps; None where they do."""
    end = 0
    for port in group:
        if port.way.columns is None and len(group) > 1:
            return port.modality.name, "input", f'the input "{name}" is shared: columns should say which are whose'
        first, after = port.way.columns or (0, 0)
        if first != end:
            how = f"nobody feeds {end} to {first - 1}" if first > end else f"{first} is fed twice"
            return port.modality.name, "columns", f'columns: {how} of "{name}"'
        end = after
    return None


def fits(tensor: Tensor, shape: Iterable[int]) -> bool:
    """Whether the graph takes rows of this shape."""
    shape = tuple(shape)
    if tensor.dims is None:
        return True
    own = tensor.dims[1:]
    return len(tensor.dims) == 1 + len(shape) and all(d is None or d == s for d, s in zip(own, shape, strict=True))


def _shown(shape: Iterable[int]) -> str:
    return f"({', '.join(map(str, ('batch', *shape)))})"
