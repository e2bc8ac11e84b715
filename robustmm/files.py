"""Files that are there whole or not at all, and what a killed process left of one."""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO
from uuid import uuid4

from robustmm.errors import DataError, UsageError, check_regular, explain_write
from robustmm.system import MOVES_OPEN_FILES, lock_file


def write_whole(
    path: Path, write: Callable[[IO[bytes]], object], shown: Path | None = None, safe: bool = False
) -> None:
    """Writes a file that has its name only when it is complete: no reader sees half of it, a full disk leaves the old
    one. `safe` waits until the disk has it. Raises DataError, on the path `shown` where `path` is not the user's own,
    where it cannot be written."""
    part = path.with_name(f".{path.name}.{uuid4().hex[:12]}.part")
    with explain_write(shown or path):
        try:
            with _open_locked(part) as file:
                write(file)
                file.flush()
                if safe:
                    os.fsync(file.fileno())
                if not MOVES_OPEN_FILES:
                    file.close()
                part.replace(path)  # while it is locked
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise


def write_file(path: Path, content: bytes, shown: Path | None = None) -> None:
    """Writes the bytes as `write_whole` does, and safely."""
    check_regular(path)  # a device would be replaced by a file
    write_whole(path, lambda file: file.write(content), shown, safe=True)


def write_if_changed(path: Path, content: bytes) -> None:
    """Writes the bytes whole, but for a file that holds them already: finished work is read where nothing can be
    written."""
    if not (path.is_file() and path.read_bytes() == content):
        write_whole(path, lambda file: file.write(content))


def check_place(path: Path) -> None:
    """Raises DataError, as writing would, for a file that has no place: told before the work whose result it holds."""
    check_regular(path)
    with explain_write(path):
        os.stat(os.path.join(path.absolute().parent, ""))  # the empty name: what is above must be a folder
        with suppress(FileNotFoundError):
            if stat.S_ISDIR(path.stat().st_mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))


def refuse_existing(path: Path) -> None:
    """Raises UsageError for a file that is there already."""
    if path.exists():
        raise UsageError(f"{path} exists already and is left as it is")


def write_new_file(path: Path, text: str) -> None:
    """Writes a file that must not exist yet. Raises UsageError where it does, DataError where it cannot be written."""
    try:
        content = text.encode()
    except UnicodeError as error:
        raise DataError(f"{path} cannot be written: {error}") from error
    with explain_write(path):
        try:
            path.open("x").close()  # no other process gets the name meanwhile
        except FileExistsError as error:
            raise UsageError(f"{path} exists already and is left as it is") from error
    try:
        write_file(path, content)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def _open_locked(partial: Path) -> IO[bytes]:
    """A new file, locked until it is closed: `remove_partial_files` leaves it alone."""
    while True:
        file = partial.open("wb")
        lock_file(file, wait=True)
        if partial.exists():
            return file
        file.close()  # another process removed it between the two


def remove_partial_files(found: Iterable[Path]) -> None:
    """Removes those of these files that dead processes left half written: those that nobody has locked. A process id
    would not tell: a killed process keeps its id until its parent waits for it, and another machine has ids of its
    own."""
    for path in found:
        with suppress(OSError), path.open("r+b") as file:
            if lock_file(file):
                path.unlink()


def make_folder(path: Path) -> None:
    """Makes a folder and those above it. Raises DataError where it cannot."""
    with explain_write(path, "cannot be made a folder"):
        if not path.is_dir():  # making one that is there may take milliseconds
            path.mkdir(parents=True, exist_ok=True)


def hash_file(path: Path) -> str | None:
    """SHA-256 of a file; None where there is none: a folder, a pipe, a name that no file has."""
    if not is_file(path):
        return None
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def stamp_file(path: Path) -> tuple[int, int] | None:
    """Size and time of change, which tell that a file is another one; None where nothing is, or no path at all."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns


def is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, or with a NUL in it
        return False
