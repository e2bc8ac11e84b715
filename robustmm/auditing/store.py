"""Cells on disk: one file each, complete or absent. Two audits may share a folder."""

import os
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import IO, TypeVar
from uuid import uuid4

from robustmm.evaluation.records import Records, load_records
from robustmm.system import MOVES_OPEN_FILES, lock_file

T = TypeVar("T")

DAMAGE_ERRORS = (ValueError, KeyError, OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What reading a cell raises where a byte of it has changed."""
RESULT_FILES = ("results.json", "records.parquet")
"""Files that an audit writes beside its cells."""


class Store:
    """A folder of cells by key. A file takes its name only when it is complete, so that a killed process leaves no half
    of one; the next process removes what a dead one left under a temporary name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, key: str, suffix: str = ".npz") -> Path:
        return self.folder / key[:2] / f"{key}{suffix}"

    def has(self, key: str, suffix: str = ".npz") -> bool:
        return self.path(key, suffix).is_file()

    def put(self, key: str, records: Records) -> None:
        write_whole(self.path(key), records.write)

    def get(self, key: str) -> Records | None:
        """The records of a cell; None where there is none, or one that cannot be read, which is then removed."""
        try:
            with self.path(key).open("rb") as file:
                return load_records(file)
        except FileNotFoundError:
            return None
        except DAMAGE_ERRORS:
            self.path(key).unlink(missing_ok=True)
            return None

    def remove_partial_files(self) -> None:
        """Removes files that dead processes left half written, here and beside this folder: those that nobody has
        locked. A process id would not tell: a killed process keeps its id until its parent waits for it, and another
        machine has ids of its own."""
        beside = [self.folder.parent.glob(f".{name}.*.part") for name in RESULT_FILES]
        for path in chain(self.folder.glob("*/.*.part"), *beside):
            with suppress(OSError), path.open("r+b") as file:
                if lock_file(file):
                    path.unlink()


def read_parsed(path: Path, parse: Callable[[str], T]) -> T | None:
    """The parsed content of a text file; None where there is none, or it cannot be parsed and is then removed."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, OSError):
        path.unlink(missing_ok=True)
        return None


def write_whole(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Writes a file that is there only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        with _open_locked(part) as file:
            write(file)
            file.flush()
            if not MOVES_OPEN_FILES:
                file.close()
            part.replace(path)  # while it is locked
    except BaseException as error:
        if isinstance(error, OSError) and error.filename is None:  # the error of a full disk names no file
            error.filename = os.fspath(path)
        part.unlink(missing_ok=True)
        raise


def _open_locked(part: Path) -> IO[bytes]:
    """A new file, locked until it is closed."""
    while True:
        file = part.open("wb")
        lock_file(file, wait=True)
        if part.exists():
            return file
        file.close()  # another process removed it between the two
