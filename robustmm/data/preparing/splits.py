"""Lists of splits that a user brings: a table with id and split, or a list of ids for each split."""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from robustmm.data.folder import SPLIT_NAMES
from robustmm.data.manifest import name_some
from robustmm.data.preparing.benchmark import Benchmark, Row
from robustmm.data.readers import READERS, read_rows
from robustmm.errors import DataError, UsageError, check_regular, suggest


@dataclass
class SplitList:
    """Splits, and labels where the lists say them, by key; empty where the user gave no list."""

    splits: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.splits)

    def name_files(self) -> str:
        return name_some(self.files)

    def add(self, key: str, split: str, label: str, where: str) -> None:
        known = SPLIT_NAMES.get(split.strip().lower())
        if known is None:
            raise DataError(f'{where}: "{split}" is not a split{suggest(split, ("train", "valid", "test"))}')
        if self.splits.setdefault(key, known) != known:
            raise DataError(f"{where}: {key} is in two splits, {self.splits[key]} and {known}")
        if label and self.labels.setdefault(key, label) != label:
            raise DataError(f"{where}: {key} has two labels, {self.labels[key]} and {label}")


def read_lists(options: Sequence[str], benchmark: Benchmark) -> SplitList:
    """The lists of `--split`, each FILE or SPLIT=FILE. Raises UsageError for an option that is neither, DataError for
    a file that is no such list."""
    chosen = SplitList()
    for option in options:
        name, separator, rest = option.partition("=")
        alone = not separator or Path(option).is_file()
        path = Path(option if alone else rest)
        if not alone and name.lower() not in SPLIT_NAMES:
            raise UsageError(f'--split {option}: "{name}" is not a split{suggest(name, ("train", "valid", "test"))}')
        check_regular(path)
        if not path.is_file():
            raise DataError(f"the list {path} {'is not a file' if path.exists() else 'does not exist'}")
        chosen.files.append(path)
        before = len(chosen.splits)
        for where, split, fields in _read_table(path) if alone else _read_lines(path, name):
            key, label = benchmark.identify(fields)
            if key:
                chosen.add(key, split, label, where)
        if len(chosen.splits) == before:
            raise DataError(f"the list {path} names no sample that the lists before it do not")
    return chosen


def _read_table(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    if path.suffix.lower() not in READERS:
        raise UsageError(
            f"--split {path}: a list of one split is given as SPLIT=FILE, such as train={path}; a table of all splits "
            "ends in .csv or .jsonl and has the columns id and split"
        )
    for line, row in read_rows(path, f"the list {path} does not exist"):
        if "id" not in row or "split" not in row:
            raise DataError(
                f"{path} should have the columns id and split, found {name_some(row)}; a list of one split is given as "
                f"SPLIT=FILE, such as train={path}"
            )
        yield f"{path} line {line}", row["split"], [row["id"], *([row["label"]] if row.get("label") else [])]


def _read_lines(path: Path, split: str) -> Iterator[tuple[str, str, list[str]]]:
    """A sample a line: JSON with "id" and "label", else fields between commas, or blanks where there are none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, line in enumerate(file.read().splitlines(), 1):
                where = f"{path} line {number}"
                if number == 1 and {"id", "split"} <= set(line.strip().lower().split(",")):
                    raise UsageError(f"{path} is a table with id and split: give it as --split {path}")
                if path.suffix.lower() == ".jsonl" and line.strip():
                    yield where, split, _read_object(line, where)
                elif line.strip() and not re.match(r"\s*(id|filename|clip)\s*,", line, re.IGNORECASE):
                    fields = next(csv.reader([line])) if "," in line and "&" not in line else line.split()
                    yield where, split, [line] if "&" in line else [field.strip() for field in fields]
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not a list in UTF-8 ({error})") from error


def _read_object(line: str, where: str) -> list[str]:
    try:
        found = json.loads(line)
        return [str(found["id"]), *([str(found["label"])] if "label" in found else [])]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f'{where} should be a JSON object with "id" and "label"') from error


def apply_lists(rows: Sequence[Row], chosen: SplitList) -> tuple[list[Row], int]:
    """The rows in the splits of the list, and how many are left out because it does not name them. A row that no list
    names keeps its official split, unless a list says which rows that split has.

    Raises DataError where the list names what the raw tree has not, or another label.
    """
    if not chosen:
        return list(rows), 0
    keys = {row.listed for row in rows}
    if unknown := [key for key in chosen.splits if key not in keys]:
        most = "none" if len(unknown) == len(chosen.splits) else f"{len(unknown)} of {len(chosen.splits)}"
        verb = "is" if most == "none" else "are not"
        example = f", which has such as {rows[0].listed}" if rows else ""
        raise DataError(
            f"{most} of the samples that {chosen.name_files()} names {verb} in the raw tree: "
            f"{name_some(unknown, 3)}{example}; is it a list of this benchmark?"
        )
    for row in rows:
        label = chosen.labels.get(row.listed, row.label)
        if label != row.label:
            raise DataError(f'{chosen.name_files()}: {row.listed} is "{label}", the raw tree says "{row.label}"')
    named = set(chosen.splits.values())
    kept = [
        replace(row, split=chosen.splits.get(row.listed, row.split))
        for row in rows
        if row.listed in chosen.splits or (row.split and row.split not in named)
    ]
    return kept, len(rows) - len(kept)
