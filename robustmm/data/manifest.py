"""A manifest: a table with one row per sample, as CSV, JSON Lines or Parquet.

Columns `id`, `split`, `label`, one per modality (an empty cell is a missing modality); any further columns are
metadata for slices. Cells are paths relative to the manifest, `array.npy#17`, or literal text.
"""

import csv
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from robustmm.errors import DataError, suggest

REQUIRED = ("id", "split", "label")
FOLDER_KEY = b"robustmm.folder"
"""Metadata of a Parquet table that was in memory: the folder that its cells are relative to."""


@dataclass(frozen=True)
class Manifest:
    """The rows of a table, column by column. `lines` are the rows' numbers in the file, for messages."""

    path: Path
    columns: dict[str, list[str]] = field(repr=False)
    lines: list[int] = field(repr=False)
    base: Path | None = None

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def folder(self) -> Path:
        """The folder that cells are relative to: the table's own, unless its metadata name another."""
        return self.base or self.path.parent

    @property
    def ids(self) -> list[str]:
        return self.columns["id"]

    @property
    def labels(self) -> list[str]:
        return self.columns["label"]

    def column(self, name: str) -> list[str]:
        if name not in self.columns:
            others = [c for c in self.columns if c not in REQUIRED]
            raise DataError(f'{self.path} has no column "{name}"{suggest(name, others)}')
        return self.columns[name]

    def split_sizes(self) -> dict[str, int]:
        """Rows per split, in order of first appearance."""
        counts: dict[str, int] = {}
        for split in self.columns["split"]:
            counts[split] = counts.get(split, 0) + 1
        return counts

    def split(self, name: str, limit: int | None = None) -> "Manifest":
        """The rows of one split, at most `limit` of them (spread evenly). Raises DataError when there are none."""
        rows = [i for i, split in enumerate(self.columns["split"]) if split == name]
        if not rows:
            raise DataError(f'{self.path} has no rows in split "{name}"{suggest(name, self.split_sizes())}')
        if limit is not None and limit < len(rows):
            rows = [rows[i * len(rows) // limit] for i in range(limit)]
        return self.take(rows)

    def take(self, rows: list[int]) -> "Manifest":
        columns = {name: [values[i] for i in rows] for name, values in self.columns.items()}
        return replace(self, columns=columns, lines=[self.lines[i] for i in rows])

    def cell_location(self, row: int, column: str) -> str:
        """How messages name a cell."""
        return f"{self.path} line {self.lines[row]} (id {self.ids[row]!r}, {column})"


def class_names(labels: list[str]) -> list[str]:
    """The distinct labels, in numeric order when all are whole numbers, else alphabetical."""
    distinct = set(labels)
    if all(re.fullmatch(r"-?[0-9]{1,18}", label) for label in distinct):
        return sorted(distinct, key=lambda label: (int(label), label))
    return sorted(distinct)


def read_manifest(path: Path) -> Manifest:
    """The manifest at `path` (a file, or a folder holding manifest.csv, .jsonl or .parquet)."""
    if path.is_dir():
        found = [path / f"manifest{suffix}" for suffix in READERS if (path / f"manifest{suffix}").is_file()]
        if len(found) != 1:
            raise DataError(f"{path} should hold one manifest.csv, .jsonl or .parquet, found {len(found)}")
        path = found[0]
    if not path.is_file():
        raise DataError(f"the manifest {path} does not exist")
    if path.suffix.lower() not in READERS:
        raise DataError(f"{path} should end in {', '.join(READERS)}")
    columns: dict[str, list[str]] = {}
    lines: list[int] = []
    for line, row in READERS[path.suffix.lower()](path):
        for name in row:
            if name not in columns:
                columns[name] = [""] * len(lines)
        for name, values in columns.items():
            values.append(row.get(name, ""))
        lines.append(line)
    manifest = Manifest(path, columns, lines, _base(path))
    _check_table(manifest)
    return manifest


def _check_table(manifest: Manifest) -> None:
    if not len(manifest):
        raise DataError(f"{manifest.path} has no rows")
    missing = [name for name in REQUIRED if name not in manifest.columns]
    if missing:
        listed = ", ".join(manifest.columns)
        raise DataError(
            f"{manifest.path} should have the columns id, split, label; no {', '.join(missing)} in {listed}"
        )
    seen: dict[str, int] = {}
    for row, sample in enumerate(manifest.ids):
        for name in REQUIRED:
            if not manifest.columns[name][row].strip():
                raise DataError(f"{manifest.path} line {manifest.lines[row]} has an empty {name}")
        if sample in seen:
            raise DataError(f"{manifest.path} lines {seen[sample]} and {manifest.lines[row]} share the id {sample!r}")
        seen[sample] = manifest.lines[row]


def _read_csv(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
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


def _read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                row = json.loads(line, object_pairs_hook=_build_row)
                if not isinstance(row, dict):
                    raise DataError(f"{path} line {number} should be a JSON object, found {type(row).__name__}")
                yield (
                    number,
                    {
                        _format_cell(name, path, number): _format_cell(value, path, number)
                        for name, value in row.items()
                    },
                )
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, a number of thousands of digits
        raise DataError(f"{path} is not JSON Lines ({error})") from error


def _build_row(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs) or "" in dict(pairs):
        raise ValueError(f"a key twice or without a name: {', '.join(name for name, _ in pairs)}")
    return dict(pairs)


def _read_parquet(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    import pyarrow
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path} is not a Parquet table ({error})") from error
    for number, row in enumerate(rows, 1):
        yield number, {name: _format_cell(value, path, number) for name, value in row.items()}


def _format_cell(value: Any, path: Path, line: int) -> str:
    if value is None or value != value:  # null, or what pandas and JSON Lines write for it: NaN
        return ""
    if not isinstance(value, (str, int, float, date, Decimal)):
        raise DataError(f"{path} line {line} should hold text, numbers or null, found {type(value).__name__}")
    text = str(value)
    if any("\ud800" <= c <= "\udfff" for c in text):  # JSON can spell what no file name and no terminal can
        raise DataError(f"{path} line {line} holds half a character (a lone surrogate): {text!r}")
    return text


def _base(path: Path) -> Path | None:
    """The folder that a table from memory was written for; see robustmm.api."""
    if path.suffix.lower() != ".parquet":
        return None
    import pyarrow.parquet

    stored = (pyarrow.parquet.read_schema(path).metadata or {}).get(FOLDER_KEY)
    return Path(os.fsdecode(stored)) if stored else None


READERS = {".csv": _read_csv, ".jsonl": _read_jsonl, ".parquet": _read_parquet}
