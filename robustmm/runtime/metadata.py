"""The metadata that `robustmm export` writes into a file: read whole, and held against the graph beside it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from robustmm.errors import DataError
from robustmm.modalities import AnyModality, Modality, Text
from robustmm.modalities.files.limits import NUMBER_BYTES, check_claim
from robustmm.runtime import graph
from robustmm.runtime.graph import Tensor

KEY = "robustmm"
"""The entry of the file's metadata that holds ours, as JSON."""
FORMAT = 1
GUARD_KEY = "robustmm.guard"
"""The entry of a file of another tool that was given a guard, as JSON."""
HARDENED_FORMAT = 2
"""Of a file with a guard, which an older robustmm must not take for one without."""
SUM_TOLERANCE = 1e-6
"""How far from 1 the sum of the prior may be: rounding."""
MAX_SHOWN = 60
"""Characters of a wrong value that a sentence shows."""


class Table(BaseModel):
    """A key that this format does not have is ignored: later versions may add facts that change no answer."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class MethodFacts(Table):
    """The training method. Its options are kept as they are: nothing here reads them."""

    model_config = ConfigDict(extra="allow")
    name: str


class RecipeFacts(Table):
    """The effective recipe, kept whole; an audit reads the name of its method."""

    model_config = ConfigDict(extra="allow")
    method: MethodFacts


class GuardFacts(Table):
    """A guard in the graph: from which expected gain it drops each modality, and what it may cost on clean data."""

    thresholds: list[Annotated[float, Field(ge=0)]]
    clean_cost: Annotated[float, Field(ge=0)]


class ForeignGuard(GuardFacts):
    """Likewise in a file of another tool, whose description tells the rest."""

    modalities: list[str]


class Metadata(Table):
    """Format 1, or 2 with a `guard`. `data` has a SHA-256 by split, `versions` those of packages at training and at
    export, and `manifest` is empty but for the embedded data set."""

    format: Annotated[int, Field(ge=FORMAT, le=HARDENED_FORMAT)]
    modalities: Annotated[list[AnyModality], Field(min_length=1)]
    classes: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)]
    prior: list[Annotated[float, Field(ge=0)]]
    width: Annotated[int, Field(gt=0)]
    recipe: RecipeFacts
    data: dict[str, str]
    manifest: str
    run: str
    precision: str
    versions: dict[str, dict[str, str]]
    guard: GuardFacts | None = None


def load_metadata(model: onnx.ModelProto, path: Path) -> Metadata:
    """The metadata of a graph that was read from `path`, which fits the graph. Raises DataError otherwise."""
    stored = {entry.key: entry.value for entry in model.metadata_props}
    if KEY not in stored:
        raise DataError(
            f"{path} was not exported by robustmm; describe it with: robustmm describe {path} -o model.toml, "
            f"then: robustmm audit {path} --describe model.toml --data MANIFEST"
        )
    try:
        found = Metadata.model_validate_json(stored[KEY])
    except ValidationError as error:
        raise DataError(f"{path} {_describe_error(error.errors()[0])}") from error
    check_claim(NUMBER_BYTES * found.width, path, f"embeddings of {found.width:,} numbers")
    if wrong := find_contradiction(found.modalities, found.classes, found.prior) or _find_misfit(found, model):
        raise DataError(f"{path} has damaged metadata: {wrong}; export it again")
    return found


def _describe_error(item: Any) -> str:
    """What follows the path in the sentence of an error of pydantic."""
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in item["loc"]).lstrip(".")
    shown = _shorten(repr(item["input"]))
    if place == "format" and item["type"] != "missing":
        return f"has format {shown}, this robustmm reads {FORMAT} and {HARDENED_FORMAT}"
    if item["type"] == "claim":
        return f"has metadata that claim too much: {place}: {item['msg']}"
    expected = item["msg"][:1].lower() + item["msg"][1:]
    where = f"{place}: " if place else ""
    found = "" if item["type"] == "missing" else f", found {shown}"
    return f"has damaged metadata: {where}{expected.removeprefix('input ')}{found}; export it again"


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def find_contradiction(modalities: Sequence[Modality], classes: Sequence[str], prior: Sequence[float]) -> str:
    """Where the facts of a model contradict each other, empty where they do not."""
    for what, names in (("classes", classes), ("modalities", [m.name for m in modalities])):
        if len(set(names)) < len(names):
            twice = Counter(names).most_common(1)[0][0]
            return f"{what} should have different names, found {_shorten(repr(twice))} twice"
    if len(prior) != len(classes):
        return f"prior should hold {len(classes)} numbers, one a class, found {len(prior)}"
    if abs(sum(prior) - 1) > SUM_TOLERANCE:
        return f"prior should sum to 1, found {sum(prior):g}"
    return next(filter(None, map(_find_modality_fault, modalities)), "")


def _find_modality_fault(modality: Modality) -> str:
    """What was learned from training signals and cannot be used: a scale, or a tokenizer."""
    for key in ("mean", "std"):
        values = getattr(modality, key, None)
        if values is None:
            continue
        if len(values) != modality.shape[-1]:
            return f"the {key} of {modality.name} should hold {modality.shape[-1]} numbers, found {len(values)}"
        if not np.isfinite(values).all() or (key == "std" and min(values) < 0):
            return f"the {key} of {modality.name} should hold finite numbers{', none below 0' * (key == 'std')}"
    if isinstance(modality, Text):
        try:
            modality.feed("a text")
        except Exception as error:  # tokenizers raises Exception itself
            return f"the tokenizer of {modality.name} cannot be used ({_shorten(' '.join(str(error).split()))})"
    return ""


def _find_misfit(found: Metadata, model: onnx.ModelProto) -> str:
    """Where the metadata does not fit the inputs and outputs of the graph, empty where it does."""
    if (found.format == HARDENED_FORMAT) != (found.guard is not None):
        return f"format {found.format} {'lacks' if found.guard is None else 'has'} a guard"
    if found.guard and len(found.guard.thresholds) != len(found.modalities):
        return f"guard.thresholds should hold {len(found.modalities)} numbers, found {len(found.guard.thresholds)}"
    names = [m.name for m in found.modalities]
    floats = np.dtype(np.float32)
    classes, width = (None, len(found.classes)), (None, found.width)
    wanted = [Tensor("present", np.dtype(np.bool_), (None, len(names)))]
    wanted += [Tensor(m.name, m.dtype, (None, *m.shape)) for m in found.modalities]
    answers = [Tensor(name, floats, classes) for name in ("logits", "probabilities")]
    answers += [Tensor(f"z.{name}", floats, width) for name in names]
    if found.guard:
        answers.append(Tensor("used", np.dtype(np.bool_), (None, len(names))))
        answers += [Tensor(f"{what}.{name}", floats, (None,)) for what in ("strangeness", "gain") for name in names]
        answers.append(Tensor("memory.next", floats, (None, len(names))))
    for what, told, given in (("input", wanted, graph.inputs(model)), ("output", answers, graph.outputs(model))):
        if len(told) != len(given):
            return f"it tells of {len(told)} {what}s, the graph has {len(given)}"
        for one, other in zip(told, given, strict=True):
            if one != other:
                return f"it tells of the {what} {one}, the graph has {other}"
    return ""
