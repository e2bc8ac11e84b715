"""A manifest: a table with one row per sample, as CSV, JSON Lines or Parquet.

Columns `id`, `split`, `label`, one per modality (an empty cell is a missing modality); any further columns are
metadata for slices. Cells are paths relative to the manifest, `array.npy#17`, or literal text.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from sys import intern

from robustmm.data.inside import check_inside
from robustmm.data.readers import READERS, read_rows
from robustmm.data.sample import describe_vanished, sample_rows
from robustmm.errors import DataError, check_regular, suggest
from robustmm.modalities import Modality
from robustmm.modalities.base import TABLE_COLUMNS
from robustmm.modalities.features import is_number

LONGEST_NAME = 10_000
"""Characters of an id, a split, a label or a column's name: they are compared, sorted and shown again and again."""
AT_MOST = f"expected at most {LONGEST_NAME:,}"
REPEATED = ("split", "label")
"""Columns of few different cells, each of which is held once."""
FOLDER_KEY = b"robustmm.folder"
"""Metadata of a Parquet table that was in memory: the folder that its cells are relative to."""


@dataclass(frozen=True)
class Manifest:
    """The rows of a table, column by column. `lines` are the rows' numbers in the file, for messages."""

    path: Path
    columns: dict[str, list[str]] = field(repr=False)
    lines: list[int] = field(repr=False)
    base: Path | None = None
    notes: tuple[str, ...] = ()
    """What a reader of its numbers should know of how the rows were chosen, a sentence each."""

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
            others = [c for c in self.columns if c not in TABLE_COLUMNS]
            raise DataError(f'{self.path} has no column "{name}"{suggest(name, others)}')
        return self.columns[name]

    def cells(self, modality: Modality) -> list[str]:
        """A modality's cell by row, empty where it is missing; the numbers of several columns as `63,120,72`."""
        columns = [self.column(name) for name in modality.column_names]
        if len(columns) == 1:
            return columns[0]
        return [",".join(row) if any(row) else "" for row in zip(*columns, strict=True)]

    def keep_cells(self, modality: Modality, kept: Iterable[bool]) -> "Manifest":
        """This table with the modality's cells empty in the rows that are not `kept`."""
        rows = list(kept)
        emptied = {
            name: [cell if keep else "" for cell, keep in zip(self.column(name), rows, strict=True)]
            for name in modality.column_names
        }
        return replace(self, columns=self.columns | emptied)

    def split_sizes(self) -> dict[str, int]:
        """Rows per split, in order of first appearance."""
        counts: dict[str, int] = {}
        for split in self.columns["split"]:
            counts[split] = counts.get(split, 0) + 1
        return counts

    def split(self, name: str, limit: int | None = None) -> "Manifest":
        """The rows of one split, at most `limit` of them (see sample.sample_rows); a class that is lost is told in
        `notes`. Raises DataError when there are none."""
        rows = [i for i, split in enumerate(self.columns["split"]) if split == name]
        if not rows:
            raise DataError(f'{self.path} has no rows in split "{name}"{suggest(name, self.split_sizes())}')
        whole = self.take(rows)
        some = sample_rows(whole.ids, whole.labels, limit)
        return replace(whole.take(some), notes=tuple(describe_vanished(whole.labels, some)))

    def take(self, rows: list[int]) -> "Manifest":
        columns = {name: [values[i] for i in rows] for name, values in self.columns.items()}
        return replace(self, columns=columns, lines=[self.lines[i] for i in rows])

    def cell_location(self, row: int, column: str) -> str:
        """How messages name a cell."""
        return f"{self.path} line {self.lines[row]} (id {self.ids[row]!r}, {column})"


def name_some(names: Iterable[object], most: int = 6) -> str:
    """The first few of many names, and how many more there are: `a, b and 998 more`."""
    listed = list(map(str, names))
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def class_names(labels: list[str]) -> list[str]:
    """The distinct labels, in numeric order when all are whole numbers, else alphabetical."""
    distinct = set(labels)
    if all(re.fullmatch(r"-?[0-9]{1,18}", label) for label in distinct):
        return sorted(distinct, key=lambda label: (int(label), label))
    return sorted(distinct)


MANY_NUMBERS = 20
"""Different numbers from which labels may be a quantity. Scales of marks and counts of stars have fewer."""


def is_regression_target(labels: list[str]) -> bool:
    """Whether labels look like a quantity: many different numbers that are no whole numbers, or that seldom repeat and
    leave some out, as the numbers of classes do not."""
    distinct = set(labels)
    if len(distinct) < MANY_NUMBERS or not all(map(is_number, distinct)):
        return False
    values = sorted(map(float, distinct))
    if not all(value.is_integer() for value in values):
        return True
    return 5 * len(distinct) > len(labels) and values[-1] - values[0] + 1 > len(values)


def find_table(path: Path) -> Path:
    """A manifest's file: `path` itself, or the manifest.csv, .jsonl or .parquet in that folder."""
    if not path.is_dir():
        return path
    named = [path / f"manifest{suffix}" for suffix in READERS]
    for one in named:
        check_regular(one)
    found = [one for one in named if one.is_file()]
    if len(found) != 1:
        raise DataError(f"{path} should hold one manifest.csv, .jsonl or .parquet, found {len(found)}")
    return found[0]


def read_manifest(path: Path, inside: Path | None = None) -> Manifest:
    """The manifest at `path` (see `find_table`). With `inside`, a cell that names a file outside of that folder is
    refused."""
    path = find_table(path)
    columns: dict[str, list[str]] = {}
    lines: list[int] = []
    for line, row in read_rows(path, f"the manifest {path} does not exist"):
        for name in row:
            if name not in columns:
                columns[name] = [""] * len(lines)
        for name, values in columns.items():
            cell = row.get(name, "")
            values.append(intern(cell) if name in REPEATED else cell)
        lines.append(line)
    manifest = Manifest(path, columns, lines, _base(path))
    _check_table(manifest)
    if inside is not None:
        check_inside(manifest, inside)
    return manifest


def _check_table(manifest: Manifest) -> None:
    if not len(manifest):
        raise DataError(f"{manifest.path} has no rows")
    missing = [name for name in TABLE_COLUMNS if name not in manifest.columns]
    if missing:
        listed = ", ".join(manifest.columns)
        raise DataError(
            f"{manifest.path} should have the columns id, split, label; no {', '.join(missing)} in {listed}"
        )
    for name in manifest.columns:
        if len(name) > LONGEST_NAME:
            raise DataError(f"{manifest.path} has a column with a name of {len(name):,} characters, {AT_MOST}")
    for name in TABLE_COLUMNS:
        for line, cell in zip(manifest.lines, manifest.columns[name], strict=True):
            if len(cell) > LONGEST_NAME:
                what = f"{'an' if name == 'id' else 'a'} {name} of {len(cell):,} characters"
                raise DataError(f"{manifest.path} line {line} has {what}, {AT_MOST}")
        empty = [line for line, cell in zip(manifest.lines, manifest.columns[name], strict=True) if not cell.strip()]
        if empty:
            have = "line {} has" if len(empty) == 1 else "lines {} have"
            raise DataError(f"{manifest.path} {have.format(name_some(empty, 3))} an empty {name}")
    seen: dict[str, int] = {}
    for row, sample in enumerate(manifest.ids):
        if sample in seen:
            raise DataError(f"{manifest.path} lines {seen[sample]} and {manifest.lines[row]} share the id {sample!r}")
        seen[sample] = manifest.lines[row]


def _base(path: Path) -> Path | None:
    """The folder that a table from memory was written for; see robustmm.api."""
    if path.suffix.lower() != ".parquet":
        return None
    import pyarrow.parquet

    stored = (pyarrow.parquet.read_schema(path).metadata or {}).get(FOLDER_KEY)
    return Path(os.fsdecode(stored)) if stored else None
