"""A folder of files as a manifest: class folders (ImageFolder), or Hugging Face folders with a metadata table."""

import csv
import io
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import NoReturn

from robustmm.data.manifest import name_some
from robustmm.data.readers import READERS
from robustmm.errors import DataError, suggest
from robustmm.modalities import KINDS
from robustmm.modalities.base import TABLE_COLUMNS

SPLIT_NAMES = {
    "train": "train", "training": "train", "valid": "valid", "val": "valid", "validation": "valid", "dev": "valid",
    "test": "test", "testing": "test",
}  # fmt: skip
"""Names of folders that are splits, and what a manifest calls them."""
COLUMNS = {".npy": "array"} | {s: name for name, kind in KINDS.items() for s in kind.suffixes if s != ".npy"}
"""The column of a file by its suffix: its kind. An array may be of any kind."""


@dataclass(frozen=True)
class Sample:
    """A row to be: files by column, and what a metadata table says of it. `split` is empty where no folder names it."""

    id: str
    split: str
    label: str
    files: dict[str, Path]
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Contents:
    """What a folder holds: samples, and the files that are none."""

    samples: list[Sample]
    left_out: list[Path]

    def split_sizes(self) -> dict[str, int]:
        return dict(Counter(sample.split for sample in self.samples))


def read_folder(folder: Path, label: str = "label") -> Contents:
    """The samples of a folder, by its metadata tables where there are some, else by its class folders. `label` is the
    metadata column of the classes. Raises DataError where there is nothing to make rows of."""
    if not folder.is_dir():
        raise DataError(
            f"{folder} should be a folder" + (", found a file" if folder.exists() else ", it does not exist")
        )
    files = list_files(folder)
    tables = [file for file in files if file.stem == "metadata" and file.suffix.lower() in READERS]
    found = _read_metadata(folder, files, tables, label) if tables else _read_class_folders(folder, files)
    ids = Counter(sample.id for sample in found.samples)
    if doubled := [one for one, count in ids.items() if count > 1]:
        raise DataError(f"{folder}: several rows have the id {name_some(map(repr, doubled), 3)}")
    if len({bool(sample.split) for sample in found.samples}) > 1:
        alone = next(sample for sample in found.samples if not sample.split)
        raise DataError(f"{folder}: some files stand in a folder of a split and others, such as {alone.id}, do not")
    return found


def list_files(folder: Path) -> list[Path]:
    """The files of a folder, sorted, without hidden ones; linked folders are followed, each folder once."""
    found, seen = [], set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        found += [Path(place, name) for name in names if not name.startswith(".")]
    return sorted(found)


def _read_class_folders(folder: Path, files: Sequence[Path]) -> Contents:
    groups: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    left_out = []
    for file in files:
        place = _find_place(file.relative_to(folder))
        if file.suffix.lower() in COLUMNS and place[1]:
            groups[*place, str(file.relative_to(folder).with_suffix("").as_posix())].append(file)
        else:
            left_out.append(file)
    if not groups:
        _refuse(folder, left_out)
    samples = []
    for (split, label, stem), members in groups.items():
        columns = [COLUMNS[file.suffix.lower()] for file in members]
        if len(set(columns)) == len(columns):  # img.png and img.wav are one sample
            samples.append(Sample(stem, split, label, dict(zip(columns, members, strict=True))))
        else:
            samples += [
                Sample(file.relative_to(folder).as_posix(), split, label, {column: file})
                for column, file in zip(columns, members, strict=True)
            ]
    return Contents(samples, left_out)


def _refuse(folder: Path, left_out: Sequence[Path]) -> NoReturn:
    found = name_some(file.relative_to(folder).as_posix() for file in left_out[:3]) or "no files"
    raise DataError(
        f"{folder} should hold a folder for each class, such as cat/x.png or train/cat/x.png, or metadata.csv with the "
        f"column file_name; found {found}"
    )


def _find_place(path: PurePath) -> tuple[str, str]:
    """The split and the class that a path's folders name; empty where they do not."""
    folders = path.parts[:-1]
    split = SPLIT_NAMES.get(folders[0].lower(), "") if folders else ""
    folders = folders[1:] if split else folders
    return split, folders[0] if folders else ""


def _read_metadata(folder: Path, files: Sequence[Path], tables: Sequence[Path], label: str) -> Contents:
    rows = [(table, line, row) for table in tables for line, row in READERS[table.suffix.lower()](table)]
    samples = [_read_row(folder, table, line, row, label) for table, line, row in rows]
    ids = [row.get("id", "") for *_, row in rows]
    if all(ids) and len(set(ids)) == len(ids):
        samples = [replace(sample, id=one) for sample, one in zip(samples, ids, strict=True)]
    named = {os.path.abspath(path) for sample in samples for path in sample.files.values()}
    left_out = [file for file in files if file not in tables and os.path.abspath(file) not in named]
    return Contents(samples, left_out)


def _read_row(folder: Path, table: Path, line: int, row: dict[str, str], label: str) -> Sample:
    """A sample from a row of a metadata table, whose files are relative to the table."""
    where = f"{table} line {line}"
    if not any(map(_names_file, row)):
        raise DataError(f"{where} should have the column file_name, found {name_some(row, 12)}")
    files = {_name_column(name, cell): table.parent / cell for name, cell in row.items() if _names_file(name) and cell}
    if not files:
        raise DataError(f"{where} names no file")
    place = Path(os.path.relpath(next(iter(files.values())), folder))
    split, folder_class = _find_place(place)
    answer = row.get(label, folder_class)
    if not answer.strip():
        hint = suggest(label, [name for name in row if not _names_file(name)])
        raise DataError(f'{where} has no "{label}"{hint}; --label names another column')
    told = row.get("split", "").strip()
    rest = {name: cell for name, cell in row.items() if not _names_file(name) and name not in {*TABLE_COLUMNS, label}}
    if clash := sorted(rest.keys() & files.keys()):
        raise DataError(f'{table} has a column "{clash[0]}" beside its files of that kind; rename it')
    return Sample(place.as_posix(), SPLIT_NAMES.get(told.lower(), told) or split, answer, files, rest)


def _names_file(column: str) -> bool:
    return column == "file_name" or column.endswith("_file_name")


def _name_column(column: str, cell: str) -> str:
    """`image_file_name` is the column image; `file_name` that of the file's kind."""
    return (
        column.removesuffix("_file_name")
        if column != "file_name"
        else COLUMNS.get(PurePath(cell).suffix.lower(), "file")
    )


def format_manifest(samples: Sequence[Sample], beside: Path) -> str:
    """The table as CSV; paths are relative to the folder `beside`."""
    files = list(dict.fromkeys(column for sample in samples for column in sample.files))
    metadata = list(dict.fromkeys(column for sample in samples for column in sample.metadata))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*TABLE_COLUMNS, *files, *metadata])
    for sample in samples:
        paths = (_format_path(sample.files.get(column), beside) for column in files)
        said = (sample.metadata.get(column, "") for column in metadata)
        writer.writerow([sample.id, sample.split, sample.label, *paths, *said])
    return text.getvalue()


def _format_path(path: Path | None, beside: Path) -> str:
    return "" if path is None else Path(os.path.relpath(path, beside)).as_posix()


def describe_contents(contents: Contents) -> Iterator[str]:
    """What was found, a sentence each."""
    kinds = Counter((column, path.suffix.lower()) for s in contents.samples for column, path in s.files.items())
    classes = Counter(sample.label for sample in contents.samples)
    listed = ", ".join(f"{count} {column} ({suffix})" for (column, suffix), count in kinds.items())
    yield f"{len(contents.samples)} rows of {len(classes)} classes ({name_some(classes)}): {listed}"
    if contents.left_out:
        names = name_some((file.name for file in contents.left_out), 3)
        yield f"left out, since they belong to no row ({len(contents.left_out)}): {names}"
