"""The rows of a table file, CSV, JSON Lines or Parquet: (line, cell by column), every cell as text."""

import csv
import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from robustmm.errors import DataError, check_regular

Row = tuple[int, dict[str, str]]
"""The number of a row in its file, and its cells."""


def read_csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(2**24)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next((row for row in reader if row), [])
            doubled = {name for name in header if header.count(name) > 1}
            if doubled or "" in header:
                raise DataError(f"{path}'s header has a column twice or without a name: {', '.join(header)}")
            for values in reader:
                if not values:
                    continue
                if len(values) != len(header):
                    raise DataError(
                        f"{path} line {reader.line_num} should have {len(header)} cells, found {len(values)}"
                    )
                yield reader.line_num, dict(zip(header, values, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a UTF-8 CSV table ({error})") from error


def read_jsonl(path: Path) -> Iterator[Row]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    row = _parse_object(line, f"{path} line {number}")
                    yield number, {_check_text(name, f"{path} line {number}"): cell for name, cell in row.items()}
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not JSON Lines ({error})") from error


def _parse_object(line: str, where: str) -> dict[str, str]:
    try:
        row = json.loads(line, object_pairs_hook=_build_row)
    except json.JSONDecodeError as error:
        raise DataError(f"{where} is not JSON: {error.msg} at character {error.colno}") from error
    except (ValueError, RecursionError) as error:  # a key twice, a number of thousands of digits
        raise DataError(f"{where} is not JSON Lines ({error})") from error
    if not isinstance(row, dict):
        raise DataError(f"{where} should be a JSON object, found {type(row).__name__}")
    return {name: format_cell(value, where, name) for name, value in row.items()}


def _build_row(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs) or "" in dict(pairs):
        raise ValueError(f"a key twice or without a name: {', '.join(name for name, _ in pairs)}")
    return dict(pairs)


def read_parquet(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(path).read()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path} is not a Parquet table ({error})") from error
    names = table.column_names
    if len(set(names)) < len(names) or "" in names:
        raise DataError(f"{path} has a column twice or without a name: {', '.join(names)}")
    columns: list[list[Any]] = []
    for name in names:
        try:
            columns.append(table[name].to_pylist())
        except (pyarrow.ArrowException, ValueError, OverflowError) as error:  # a date that Python cannot hold
            raise DataError(f'{path}, column "{name}" cannot be read ({error})') from error
    for number, values in enumerate(zip(*columns, strict=True), 1):
        where = f"{path} line {number}"
        yield number, {name: format_cell(value, where, name) for name, value in zip(names, values, strict=True)}


def format_cell(value: Any, where: str, column: str) -> str:
    """A value as a cell; null, and the NaN that pandas and JSON Lines write for it, as an empty one."""
    if value is None or value != value:
        return ""
    if not isinstance(value, (str, int, float, date, Decimal)):
        found = type(value).__name__
        hint = "; write files, and name their paths" if isinstance(value, (bytes, dict, list)) else ""
        raise DataError(f'{where}, column "{column}" should hold text, numbers or null, found {found}{hint}')
    return _check_text(str(value), f'{where}, column "{column}"')


def _check_text(text: str, where: str) -> str:
    if any("\ud800" <= c <= "\udfff" for c in text):  # JSON can spell what no file name and no terminal can
        raise DataError(f"{where} holds half a character (a lone surrogate): {text!r}")
    return text


READERS = {".csv": read_csv, ".jsonl": read_jsonl, ".parquet": read_parquet}


def read_rows(path: Path, absent: str) -> Iterator[Row]:
    """The rows of the table at `path`, by its suffix. Raises DataError for what is no file, with the sentence `absent`
    where nothing is there, and for another suffix."""
    check_regular(path)
    if not path.is_file():
        raise DataError(absent)
    if path.suffix.lower() not in READERS:
        raise DataError(f"{path} should end in {', '.join(READERS)}")
    return READERS[path.suffix.lower()](path)
