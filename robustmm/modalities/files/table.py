"""CSV tables of numbers, as sensors, spreadsheets and pandas write them."""

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustmm.errors import DataError
from robustmm.modalities.files.limits import check_claim, read_whole

INDEX = re.compile(
    r"|(unnamed: ?\d+|index|idx|time|timestamp|datetime|date|datum|zeit|t|step|sample|frame|row|elapsed|seconds|sec|ms)"
    r"([ _]*[\[(]?(s|sec|seconds|ms|us|ns|µs|utc|h|min|index|nr|no)[\])]?)?"
)
"""Names, in lower case, of a leading column that numbers the rows or says when they were; `time (s)`, and no name."""
MOMENT = re.compile(r"\d[\d:./\-+ TZ,]*[:./\-][\d:./\-+ TZ,]*")
"""A date or a time of day."""
LONGEST_MOMENT = 80
"""Characters: the pattern's time grows with their square."""
CELL_BYTES = 400
"""What a cell takes while a table is read: measured are 92 in wide tables, 352 and 372 with one or two in a line."""
ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True)
class Table:
    """The numbers (rows, columns), the names of leading columns that are left out, and the decimal sign."""

    values: NDArray[np.float64]
    left_out: list[str]
    decimal: str


def read_table(path: Path) -> Table:
    """A CSV table: `;`, tabs or commas between the columns, decimal commas where they are not between them, a first row
    of names or none. A leading column that has a name like `time` or `index`, or none beside others that have one, and
    that rises (or holds dates), is left out: it tells rows apart, and no model should learn from it.

    Raises DataError with the line and the cell that is no number, and for what could be read in two ways.
    """
    try:
        rows = _split_rows(path)
        return _build_table(rows)
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV table of numbers ({error})") from error


Rows = list[tuple[int, list[str]]]
"""The number of each line, and its cells."""


def _split_rows(path: Path) -> Rows:
    content = read_whole(path)
    try:
        text = content.decode(ENCODINGS.get(content[:2], "utf-8-sig"))
    except UnicodeDecodeError:
        text = content.decode("cp1252")  # of a spreadsheet; the numbers are the same
    separator = next((sign for sign in ";\t" if sign in text), ",")
    cells = text.count(separator) + text.count("\n") + text.count("\r") + 1
    check_claim(CELL_BYTES * cells, path, f"{cells:,} cells")
    reader = csv.reader(io.StringIO(text), delimiter=separator, skipinitialspace=True)
    rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(cell.strip() for cell in row)]
    if rows and all(len(row) > 1 and not row[-1] for _, row in rows):  # lines that end in a separator
        rows = [(line, row[:-1]) for line, row in rows]
    for line, row in rows:
        if len(row) != len(rows[0][1]):
            hint = ", are its commas decimal ones?" if separator == "," else ""
            raise ValueError(f"line {line} has {len(row)} values, line {rows[0][0]} has {len(rows[0][1])}{hint}")
        if separator == "," and any(re.fullmatch(r"0\d+", cell) for cell in row):
            raise ValueError(f"line {line}: {', '.join(row)}, are its commas decimal ones?")
    return rows


def _build_table(rows: Rows) -> Table:
    names, body = _split_names(rows)
    left_out: list[str] = []
    while len(names) > 1 and _is_index(names, [row[0] for _, row in body]):  # pandas' index, then the time
        left_out.append(names[0])
        names, body = names[1:], [(line, row[1:]) for line, row in body]
    first = 1 + len(left_out)
    commas = [(line, cell) for line, row in body for cell in row if "," in cell]
    points = [(line, cell) for line, row in body for cell in row if "." in cell]
    if commas and points:
        raise ValueError(
            f'"{commas[0][1]}" in line {commas[0][0]} and "{points[0][1]}" in line {points[0][0]}: '
            "expected one decimal sign and no separators of thousands"
        )
    values = [[_read_number(cell, line, first + i) for i, cell in enumerate(row)] for line, row in body]
    return Table(np.array(values, dtype=np.float64), left_out, "," if commas else ".")


def _split_names(rows: Rows) -> tuple[list[str], Rows]:
    """The first row's names and the rest; none where it holds numbers. 0, 1, 2, ... above fractions are names."""
    if not rows:
        return [], rows
    first = rows[0][1]
    numbered = len(first) > 1 and first == [str(i) for i in range(len(first))]
    fractions = len(rows) > 1 and any(re.search(r"\d[.,]\d", cell) for cell in rows[1][1])
    if all(map(_is_number, first)) and not (numbered and fractions):
        return [], rows
    return first, rows[1:]


def _is_index(names: list[str], cells: list[str]) -> bool:
    """Whether the leading column, with these cells, tells rows apart."""
    if not INDEX.fullmatch(names[0].lower()) or not cells:
        return False
    if all(map(_is_number, cells)):
        numbers = np.array([float(cell.replace(",", ".")) for cell in cells])
        return bool((np.diff(numbers) >= 0).all() and (len(cells) < 2 or numbers[-1] > numbers[0]))
    return all(len(cell) < LONGEST_MOMENT and MOMENT.fullmatch(cell) for cell in cells)


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _read_number(cell: str, line: int, column: int) -> Any:
    try:
        return float(cell.replace(",", "."))
    except ValueError as error:
        raise ValueError(f'line {line}, column {column}: expected a number, found "{cell}"') from error
