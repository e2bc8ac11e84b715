"""A description: one TOML that says what the inputs and outputs of a foreign ONNX classifier mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import Field, TypeAdapter, ValidationError

from robustmm.config.shelf import read_text
from robustmm.config.toml import Section, describe_error, read_toml
from robustmm.config.toml_lines import find_line
from robustmm.errors import UsageError, suggest
from robustmm.modalities import KINDS, AnyModality, Modality, Text
from robustmm.modalities.text import find_padding, read_tokenizer
from robustmm.runtime.foreign.preprocessing import AXIS_LETTERS, Preprocessing, check_preprocessing
from robustmm.runtime.foreign.tokens import MarkedText

_MODALITY: TypeAdapter[Modality] = TypeAdapter(AnyModality)
ECOSYSTEM_DEFAULTS: dict[str, dict[str, Any]] = {
    "audio": {"pad": "end", "cut": "start"},
    "series": {"fit": "crop", "pad": "end", "cut": "start", "padding": "zero"},
    "image": {"interpolation": "linear"},
    "video": {"interpolation": "linear"},
}
"""By kind, what pipelines of other tools do (Hugging Face's feature extractors, torchvision's Resize) where a recipe's
default differs."""
FITTING = ("resize", "interpolation", "fit", "pad", "cut", "padding", "colours", "normalise")
"""Keys of a kind that say how a file becomes the model's input, and that no graph tells."""
_UNUSED_FIELDS = {"name", "vocabulary", "tokenizer_json"}
"""Fields of a kind that a description does not use."""


def known_defaults(kind: str) -> dict[str, Any]:
    """The ecosystem's defaults of a kind."""
    return ECOSYSTEM_DEFAULTS.get(kind, {})


def fitting_options(kind: str) -> dict[str, tuple[str, ...]]:
    """By key of `FITTING`, the values that a kind offers; the padding of text is an id and offers none."""
    found = {key: KINDS[kind].model_fields[key].annotation for key in FITTING if key in KINDS[kind].model_fields}
    return {key: get_args(values) for key, values in found.items() if get_origin(values) is Literal}


class Output(Section):
    """The output tensor and its activation to probabilities. A single column is of the second of two classes."""

    name: str
    activation: Literal["softmax", "sigmoid", "none"] = "softmax"


class InputStatistics(Section):
    """Mean and deviation of the training data for every column of an input, of which each modality takes its own."""

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()


class DescriptionTable(Section):
    """The keys outside the modalities; `input` has a table by name for inputs that modalities share. `batch` is the
    only number of rows that the graph can take, where the graph does not say so itself."""

    classes: Annotated[tuple[str, ...], Field(min_length=2)]
    prior: tuple[Annotated[float, Field(ge=0)], ...] = ()
    batch: Annotated[int, Field(ge=0)] = 0
    output: Output
    input: dict[str, InputStatistics] = {}
    modality: dict[str, Any]


@dataclass(frozen=True)
class Description:
    """A description that was read, and its text, for the line numbers of messages."""

    path: Path
    source: str
    table: DescriptionTable
    modalities: list[Modality]
    preprocessing: list[Preprocessing]

    def locate_error(self, place: Sequence[str], error: object) -> tuple[int, str]:
        """An error with its line."""
        return find_line(self.source, place), str(error)


def load_description(path: Path) -> Description:
    """The description at `path`. Raises UsageError with every error found, each with its line."""
    content, source = read_toml(path), read_text(path)
    errors: list[tuple[int, str]] = []
    head = None
    try:
        head = DescriptionTable.model_validate(content)
        errors += [(find_line(source, [key]), error) for key, error in _check_classes(head)]
    except ValidationError as error:
        errors += [_locate_head_error(item, source) for item in error.errors()]
    tables = content.get("modality")
    if not isinstance(tables, Mapping) or not tables:
        tables = {}
        errors.append((1, "[modality.NAME] should describe at least one modality, found none"))
    modalities, preprocessings = [], []
    shared = head.input if head else {}
    fed = [table.get("input", name) for name, table in tables.items() if isinstance(table, Mapping)]
    for name in shared:
        if name not in fed:
            line = find_line(source, [f"input.{name}"])
            errors.append((line, f"[input.{name}] no modality has this input{suggest(name, set(map(str, fed)))}"))
    for name, table in tables.items():
        if isinstance(table, Mapping):
            table = take_statistics(table, shared.get(table.get("input", name)))
        modality, preprocessing, wrong = _load_modality(name, table, path)
        errors += [(find_line(source, [f"modality.{name}", key]), f"[modality.{name}] {one}") for key, one in wrong]
        modalities += [modality] if modality else []
        preprocessings += [preprocessing] if preprocessing else []
    raise_errors(path, errors)
    assert head is not None  # or there was an error
    return Description(path, source, head, modalities, preprocessings)


def take_statistics(table: Mapping[str, Any], shared: InputStatistics | None) -> Mapping[str, Any]:
    """A modality's table with its columns of what its input shares, unless it says its own."""
    columns = table.get("columns")
    part = slice(None)
    if isinstance(columns, list) and len(columns) == 2 and all(isinstance(i, int) for i in columns):
        part = slice(*columns)
    taken = {key: list(getattr(shared, key)[part]) for key in ("mean", "std") if shared and getattr(shared, key)}
    return taken | dict(table)


def raise_errors(path: Path, errors: Sequence[tuple[int, str]]) -> None:
    """Raises UsageError with these sentences in the order of their lines, where there are any."""
    if errors:
        raise UsageError("\n".join(f"{path}:{line}: {error}" for line, error in sorted(set(errors))))


def _locate_head_error(item: Any, source: str) -> tuple[int, str]:
    """An error of pydantic outside the modalities, with its line."""
    if item["loc"][0] != "input" or len(item["loc"]) < 3:
        return find_line(source, item["loc"]), describe_error(item, DescriptionTable, "", 0)
    _, name, key, *_ = item["loc"]
    sentence = describe_error(item, InputStatistics, "", 2)
    if item["type"] == "extra_forbidden":
        sentence = f'"{key}" is not a key here{suggest(str(key), InputStatistics.model_fields)}'
    return find_line(source, [f"input.{name}", key]), f"[input.{name}] {sentence}"


def _check_classes(head: DescriptionTable) -> list[tuple[str, str]]:
    """The errors outside the modalities, each with its key."""
    found = [("classes", f'"{c}" is listed twice') for c in set(head.classes) if head.classes.count(c) > 1]
    if head.prior and len(head.prior) != len(head.classes):
        found.append(("prior", f"prior should hold {len(head.classes)} numbers, found {len(head.prior)}"))
    elif head.prior and abs(sum(head.prior) - 1) > 1e-3:
        found.append(("prior", f"prior should sum to 1, found {sum(head.prior):g}"))
    return found


def _load_modality(
    name: str, table: Any, path: Path
) -> tuple[Modality | None, Preprocessing | None, list[tuple[str, str]]]:
    """A modality, its preprocessing, and the errors in them, each with its key."""
    if not isinstance(table, Mapping):
        return None, None, [("", f"should be a table, found {table!r}")]
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        found = f'"{kind}" is not a kind' if "kind" in table else "kind is missing"
        return None, None, [("kind", f"{found}{suggest(str(kind), KINDS)}")]
    own = KINDS[kind].model_fields.keys() - _UNUSED_FIELDS
    keys = own | Preprocessing.model_fields.keys()
    wrong = [(key, f'"{key}" is not a key here{suggest(key, keys)}') for key in table if key not in keys]
    keys_given = {"input": name, "layout": f"N{AXIS_LETTERS[kind]}", "missing": "empty" if kind == "text" else "zero"}
    keys_given |= {key: value for key, value in table.items() if key in Preprocessing.model_fields}
    modality = preprocessing = None
    try:
        given = {key: value for key, value in (known_defaults(kind) | dict(table)).items() if key in own}
        modality = _MODALITY.validate_python({**given, "name": name})
        if isinstance(modality, Text):
            modality = _load_tokenizer(modality, path, masked="mask" in table)
    except ValidationError as error:
        wrong += [
            ("".join(map(str, item["loc"][1:2])), describe_error(item, KINDS[kind], "", 1)) for item in error.errors()
        ]
    except UsageError as error:
        wrong.append(("padding" if "padding" in str(error) else "tokenizer", str(error)))
    try:
        preprocessing = Preprocessing.model_validate(keys_given)
    except ValidationError as error:
        wrong += [(str(item["loc"][0]), describe_error(item, Preprocessing, "", 0)) for item in error.errors()]
    if modality and preprocessing:
        wrong += check_preprocessing(modality, preprocessing)
    return modality, preprocessing, wrong


def _load_tokenizer(modality: Text, path: Path, masked: bool) -> MarkedText:
    """The modality with its tokenizer, a file beside the description. Where a mask says what is padding, the id that is
    fed there does not matter, and need not be given."""
    if not modality.tokenizer:
        raise UsageError("tokenizer is missing: the tokenizer.json that the model was trained with, or its folder")
    beside = path.parent / modality.tokenizer
    if masked and modality.padding is None and find_padding(read_tokenizer(beside)) is None:
        modality = modality.model_copy(update={"padding": 0})
    modality = modality.model_copy(update={"tokenizer": str(beside)}).fit_to([])
    return MarkedText(**modality.model_dump())
