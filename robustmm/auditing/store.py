"""Cells on disk: one file each, complete or absent. Two audits may share a folder.

A cell begins with a line of its own name and the checksum of what follows. One that was damaged, swapped with another
or brought from elsewhere is found as it is read, removed and told, and whoever reads it makes it again.
"""

import logging
import os
from collections.abc import Callable
from hashlib import blake2b
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import TypeVar

from robustmm.errors import DataError, explain_write, printable
from robustmm.evaluation.records import Records, load_records
from robustmm.files import is_file, make_folder, remove_partial_files, write_whole

T = TypeVar("T")

DAMAGE_ERRORS = (ValueError, KeyError, OSError, RuntimeError, MemoryError)
"""What parsing the content of a cell raises where it is not what was written."""
RESULTS, RECORDS = "results.json", "records.parquet"
"""What an audit found, and every sample's answer under every condition."""
RESULT_FILES = (
    RESULTS, RECORDS, "audit.json", "statement.dsse.json", "examples.json", "report.html",
)  # fmt: skip
"""Files beside the cells: what an audit writes, the signature on it, and the report."""


class Store:
    """A folder of cells by key. A file takes its name only when it is complete, so that a killed process leaves no half
    of one; the next process removes what a dead one left under a temporary name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str, suffix: str = ".cell") -> Path:
        return self.folder / key[:2] / f"{key}{suffix}"

    def has(self, key: str, suffix: str = ".cell") -> bool:
        return os.path.isfile(f"{self.folder}/{key[:2]}/{key}{suffix}")  # asked of every cell, several times

    def put(self, key: str, records: Records) -> None:
        content = BytesIO()
        records.write(content)
        write_cell(self.path(key), content.getvalue())

    def get(self, key: str) -> Records | None:
        """The records of a cell; None where there is none, or a wrong one, which is then removed."""
        return read_cell(self.path(key), lambda content: load_records(BytesIO(content)))

    def remove_results(self) -> None:
        """Removes the results of another question that was asked here, or of this one before cells were lost: an audit
        that stops now should leave none that look like its own."""
        for name in RESULT_FILES:
            path = self.folder.parent / name
            with explain_write(path):
                path.unlink(missing_ok=True)

    def remove_partial_files(self) -> None:
        """Removes files that dead processes left half written, here and beside this folder."""
        beside = [self.folder.parent.glob(f".{name}.*.part") for name in RESULT_FILES]
        remove_partial_files(chain(self.folder.glob("*/.*.part"), *beside))


def write_cell(path: Path, content: bytes) -> None:
    make_folder(path.parent)
    write_whole(path, lambda file: file.write(seal(path.name, content) + content))


def seal(name: str, content: bytes) -> bytes:
    """The first line of a cell."""
    return f"{name} {blake2b(content, digest_size=20).hexdigest()}\n".encode()


def read_cell(path: Path, parse: Callable[[bytes], T]) -> T | None:
    """The parsed content of a cell; None where there is none, or one that is damaged or not of this name, which is
    then removed and told. What is no file, such as a pipe, is none."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            head = file.readline(len(seal(path.name, b"")))
            if head.startswith(f"{path.name} ".encode()):  # else what follows is not ours, however large
                content = file.read()
                if head == seal(path.name, content):
                    return parse(content)
    except FileNotFoundError:  # another process found it first
        return None
    except DAMAGE_ERRORS:
        pass
    with explain_write(path, "is not as it was written and cannot be removed"):
        path.unlink(missing_ok=True)
    told = "audit: %s is not as it was written, or is the cell of something else; it is made again"
    logging.getLogger(__name__).warning(told, printable(str(path)))
    return None


def read_sealed(path: Path) -> bytes | None:
    """The content of a cell, which is left as it is; None where there is none, or one that is not as it was written."""
    if not is_file(path):
        return None
    try:
        head, _, content = path.read_bytes().partition(b"\n")
    except OSError:
        return None
    return content if head + b"\n" == seal(path.name, content) else None


def read_made(path: Path, parse: Callable[[bytes], T]) -> T:
    """The parsed content of a cell that was written a moment ago. Raises DataError where another took it away."""
    found = read_cell(path, parse)
    if found is None:
        raise DataError(f"{path} was changed while the audit ran; the same command makes it again")
    return found
