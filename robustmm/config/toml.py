"""TOML as this project reads and writes it: whole sections checked by pydantic, errors as sentences."""

import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from robustmm.config.shelf import read_text
from robustmm.config.toml_lines import find_line
from robustmm.errors import UsageError, escape_unprintable, suggest


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


S = TypeVar("S", bound=Section)


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file's content."""
    try:
        return tomllib.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error


def load_tables(path: Path, model: type[S]) -> tuple[str, S]:
    """A TOML file's text, and its content as a `model`. Raises UsageError with every error, each with its line."""
    content, source = read_toml(path), read_text(path)
    try:
        return source, model.model_validate(content)
    except ValidationError as error:
        found = sorted((find_line(source, item["loc"]), describe_error(item, model, "", 0)) for item in error.errors())
        raise UsageError("\n".join(f"{path}:{line}: {one}" for line, one in found)) from error


def describe_error(item: Any, model: type[BaseModel], prefix: str, skip: int) -> str:
    """A pydantic error as a sentence: `[train] epochs: should be greater than 0, found -1`."""
    place: list[str] = []
    for part in item["loc"][skip:]:
        place += [part] if isinstance(part, str) else [f"{place.pop()}[{part}]" if place else f"[{part}]"]
    table, key = ".".join([*([prefix] if prefix else []), *place[:-1]]), place[-1] if place else ""
    at = f"[{table}] " if table else ""
    if item["type"] in ("model_type", "dict_type"):
        return f"[{'.'.join([*([prefix] if prefix else []), *place])}] should be a table, found {item['input']!r}"
    if item["type"] == "extra_forbidden":
        keys = [*table_keys(model, place[:-1]), *(["encoder"] if prefix else [])]
        return f'{at}"{key}" is not a key here{suggest(key, keys)}'
    if item["type"] in ("claim", "answer"):  # of a whole table
        return f"[{prefix}] {item['msg']}" if prefix else item["msg"]
    if item["type"] == "missing":
        return f"{at}{key} is missing"
    expected = item["msg"][:1].lower() + item["msg"][1:]
    return f"{at}{key}: {expected.removeprefix('input ')}, found {item['input']!r}"


def table_keys(model: type[BaseModel], path: list[str]) -> Iterable[str]:
    """The keys of the table at `path`, where it is a section, or one of a list of them."""
    for part in path:
        field = model.model_fields.get(part.partition("[")[0])
        annotations = (field.annotation, *get_args(field.annotation)) if field else ()
        inner = [a for a in annotations if isinstance(a, type) and issubclass(a, BaseModel)]
        if not inner:
            return ()
        model = inner[0]
    return model.model_fields.keys() - {"name", "mean", "std", "tokenizer_json"}


def to_toml(content: Mapping[str, Any], table: str = "") -> str:
    """`content` as TOML: values first, then tables; None is left out, since TOML has no null."""
    lines = [
        f"{_format_key(k)} = {format_value(v)}"
        for k, v in content.items()
        if v is not None and not isinstance(v, Mapping)
    ]
    lines = [f"[{table}]", *lines] if table and (lines or not content) else lines
    parts = ["\n".join(lines)] if lines else []
    for key, value in content.items():
        if isinstance(value, Mapping):
            inner = to_toml(value, f"{table}.{_format_key(key)}" if table else _format_key(key))
            parts += [inner.rstrip("\n")] if inner else []
    return "\n\n".join(parts) + "\n" if parts else ""


def _format_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else format_value(key)


def format_value(value: Any) -> str:
    """A value as TOML writes it in a line."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_format_key(k)} = {format_value(v)}' for k, v in value.items())}}}"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(format_value(item) for item in value)}]"
    if isinstance(value, str):
        return escape_unprintable(json.dumps(value, ensure_ascii=False))
    return json.dumps(value)
