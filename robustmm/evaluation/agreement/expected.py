"""What a user expects of a model: the answers of their own pipeline by id, or an accuracy."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robustmm.data.manifest import Manifest
from robustmm.data.readers import read_rows
from robustmm.errors import DataError, suggest

CLASS_COLUMNS = ("prediction", "predicted", "pred", "answer", "class", "label")
"""Names of the column that holds the class, the likeliest first; `label` may be the truth."""


@dataclass(frozen=True)
class Expected:
    """The answers that a table expects of some rows of a manifest: class indices (samples,), and probabilities
    (samples, class) where the table has them. `others` of its ids are not among the rows, such as those of other
    splits."""

    path: Path
    rows: list[int]
    classes: NDArray[np.int64]
    probabilities: NDArray[np.float64] | None = None
    others: int = 0


def read_expected(path: Path, manifest: Manifest, classes: Sequence[str]) -> Expected:
    """The table of a user's own predictions: `id`, and the class or a column of probabilities for each class (named as
    the class, or `p.CLASS`). Raises DataError for a table that does not fit the manifest or the classes."""
    table = list(read_rows(path, f"the predictions {path} do not exist"))
    columns = list(dict.fromkeys(name for _, row in table for name in row))
    if not table:
        raise DataError(f"{path} has no rows")
    if "id" not in columns:
        raise DataError(f"{path} should have the columns id and a class, or id and probabilities, found {columns}")
    number = {sample: row for row, sample in enumerate(manifest.ids)}
    ids = [row.get("id", "") for _, row in table]
    if len(set(ids)) < len(ids):
        twice = next(sample for sample in ids if ids.count(sample) > 1)
        raise DataError(f'{path} has the id "{twice}" twice')
    here = [(line, row) for line, row in table if row.get("id", "") in number]
    if not here:
        raise DataError(
            f'{path} has none of the {len(number)} ids that are read; its first is "{ids[0]}"{suggest(ids[0], number)}'
        )
    rows, others = [number[row["id"]] for _, row in here], len(table) - len(here)
    named = {c: c if c in columns else f"p.{c}" for c in classes}
    if set(named.values()) <= set(columns):
        p = np.array([[_parse_number(path, line, row, named[c]) for c in classes] for line, row in here])
        return Expected(path, rows, p.argmax(1).astype(np.int64), p, others)
    return Expected(path, rows, _read_classes(path, here, columns, classes), None, others)


def _read_classes(
    path: Path, table: list[tuple[int, dict[str, str]]], columns: list[str], classes: Sequence[str]
) -> NDArray[np.int64]:
    others = [name for name in columns if name != "id"]
    column = next((name for name in CLASS_COLUMNS if name in others), others[0] if len(others) == 1 else "")
    if not column:
        wanted = f"{CLASS_COLUMNS[0]}, or a column of probabilities for each of {', '.join(classes)}"
        raise DataError(f"{path} should have a column {wanted}; found {', '.join(columns)}")
    index = {label: i for i, label in enumerate(classes)}
    for line, row in table:
        if (label := row.get(column, "")) not in index:
            raise DataError(f'{path} line {line}, {column}: "{label}" is not a class{suggest(label, classes)}')
    return np.array([index[row[column]] for _, row in table], np.int64)


def _parse_number(path: Path, line: int, row: dict[str, str], column: str) -> float:
    try:
        number = float(row.get(column, ""))
    except ValueError:
        number = float("nan")
    if not -1e-3 <= number <= 1 + 1e-3:
        raise DataError(f'{path} line {line}, {column}: should be a probability, found "{row.get(column, "")}"')
    return number
