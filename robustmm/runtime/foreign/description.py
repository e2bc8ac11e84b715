"""A description: one TOML that says what the inputs and outputs of a foreign ONNX classifier mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from robustmm.config.shelf import text
from robustmm.config.toml import Section, parsed, sentence
from robustmm.config.toml_lines import line_of
from robustmm.errors import UsageError, known
from robustmm.modalities import KINDS, AnyModality, Modality, Text
from robustmm.runtime.foreign.preprocessing import LETTERS, Way, wrongs

_MODALITY: TypeAdapter[Modality] = TypeAdapter(AnyModality)
_NOT_HERE = {"name", "vocabulary", "tokenizer_json"}
"""Fields of a kind that a description has no use for."""


class Output(Section):
    """The tensor that answers, and what makes probabilities of it. One column is of the second of two classes."""

    name: str
    activation: Literal["softmax", "sigmoid", "none"] = "softmax"


class Head(Section):
    """What is not of one modality. `batch` is the only number of rows that the graph can take, where it does not say
    so itself."""

    classes: Annotated[tuple[str, ...], Field(min_length=2)]
    prior: tuple[Annotated[float, Field(ge=0)], ...] = ()
    batch: Annotated[int, Field(ge=0)] = 0
    output: Output
    modality: dict[str, Any]


@dataclass(frozen=True)
class Description:
    """A description that was read, and its text, in which messages tell the line."""

    path: Path
    source: str
    head: Head
    modalities: list[Modality]
    ways: list[Way]

    def at(self, place: Sequence[str], error: object) -> tuple[int, str]:
        """A sentence with its line."""
        return line_of(self.source, place), str(error)


def load(path: Path) -> Description:
    """The description at `path`. Raises UsageError with every error found, each with its line."""
    content, source = parsed(path), text(path)
    errors: list[tuple[int, str]] = []
    head = None
    try:
        head = Head.model_validate(content)
        errors += [(line_of(source, [key]), error) for key, error in _unlike(head)]
    except ValidationError as error:
        errors += [(line_of(source, item["loc"]), sentence(item, Head, "", 0)) for item in error.errors()]
    tables = content.get("modality")
    if not isinstance(tables, Mapping) or not tables:
        tables = {}
        errors.append((1, "[modality.NAME] should describe at least one modality, found none"))
    modalities, ways = [], []
    for name, table in tables.items():
        modality, way, wrong = _modality(name, table, path)
        errors += [(line_of(source, [f"modality.{name}", key]), f"[modality.{name}] {one}") for key, one in wrong]
        modalities += [modality] if modality else []
        ways += [way] if way else []
    refuse(path, errors)
    assert head is not None  # or there was an error
    return Description(path, source, head, modalities, ways)


def refuse(path: Path, errors: Sequence[tuple[int, str]]) -> None:
    """Raises UsageError with these sentences in the order of their lines, where there are any."""
    if errors:
        raise UsageError("\n".join(f"{path}:{line}: {error}" for line, error in sorted(set(errors))))


def _unlike(head: Head) -> list[tuple[str, str]]:
    """What does not fit together outside the modalities, with its key."""
    found = [("classes", f'"{c}" is listed twice') for c in set(head.classes) if head.classes.count(c) > 1]
    if head.prior and len(head.prior) != len(head.classes):
        found.append(("prior", f"prior should hold {len(head.classes)} numbers, found {len(head.prior)}"))
    elif head.prior and abs(sum(head.prior) - 1) > 1e-3:
        found.append(("prior", f"prior should sum to 1, found {sum(head.prior):g}"))
    return found


def _modality(name: str, table: Any, path: Path) -> tuple[Modality | None, Way | None, list[tuple[str, str]]]:
    """A modality and its way into the graph, or what is wrong with them, with its key."""
    if not isinstance(table, Mapping):
        return None, None, [("", f"should be a table, found {table!r}")]
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        found = f'"{kind}" is not a kind' if "kind" in table else "kind is missing"
        return None, None, [("kind", f"{found}{known(str(kind), KINDS)}")]
    own = KINDS[kind].model_fields.keys() - _NOT_HERE
    keys = own | Way.model_fields.keys()
    wrong = [(key, f'"{key}" is not a key here{known(key, keys)}') for key in table if key not in keys]
    way_table = {"input": name, "layout": f"N{LETTERS[kind]}", "missing": "empty" if kind == "text" else "zero"}
    way_table |= {key: value for key, value in table.items() if key in Way.model_fields}
    modality = way = None
    try:
        modality = _MODALITY.validate_python({**{k: v for k, v in table.items() if k in own}, "name": name})
        if isinstance(modality, Text):
            modality = _told(modality, path)
    except ValidationError as error:
        wrong += [(str(item["loc"][1]), sentence(item, KINDS[kind], "", 1)) for item in error.errors()]
    except UsageError as error:
        wrong.append(("tokenizer", str(error)))
    try:
        way = Way.model_validate(way_table)
    except ValidationError as error:
        wrong += [(str(item["loc"][0]), sentence(item, Way, "", 0)) for item in error.errors()]
    if modality and way:
        wrong += wrongs(modality, way)
    return modality, way, wrong


def _told(modality: Text, path: Path) -> Text:
    """With its tokenizer, a file beside the description."""
    if not modality.tokenizer:
        raise UsageError("tokenizer is missing: the tokenizer.json that the model was trained with, or its folder")
    beside = path.parent / modality.tokenizer
    return modality.model_copy(update={"tokenizer": str(beside)}).fitted([])
