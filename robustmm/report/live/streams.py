"""The three streams that a process begins with, any of which may be closed, full or without a reader.

A write to them never raises: a result that is in its files survives a broken stderr, and work goes on where nobody
reads. Whether the result arrived on stdout is asked once, at the end.
"""

import errno
import os
import select
import sys
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import TYPE_CHECKING, Any

from robustmm.errors import DataError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class LastingFile(FileIO):
    """A file descriptor to write to. What cannot be written is dropped, and the first error kept."""

    error: OSError | None = None

    def write(self, data: "ReadableBuffer") -> int:
        try:
            while (written := super().write(data)) is None:  # a pipe that does not wait, and is full
                select.select([], [self], [])
            return written
        except OSError as error:
            self.error = self.error or error
            return memoryview(data).nbytes


def open_streams() -> None:
    """Makes stdout and stderr last, and opens on the null device what was closed: a file that is opened later never
    gets the number of a standard stream, and is never printed into."""
    if sys.stdin is None:
        sys.stdin = open(_open_null(os.O_RDONLY), encoding="utf-8")  # noqa: SIM115
    # opened to read only: what is printed there fails as it does on a closed stdout
    sys.stdout = _make_lasting(sys.stdout, sys.__stdout__, os.O_RDONLY, "replace")
    sys.stderr = _make_lasting(sys.stderr, sys.__stderr__, os.O_WRONLY, "backslashreplace")


def check_delivery() -> None:
    """Raises DataError where a part of stdout did not arrive. A reader that left early has what it wanted."""
    try:
        sys.stdout.flush()
        raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
        error = raw.error if isinstance(raw, LastingFile) else None
    except OSError as raised:  # of a stream that another program put there
        error = raised
    if error is not None and error.errno != errno.EPIPE:
        why = "stdout is closed" if error.errno == errno.EBADF else error.strerror
        raise DataError(f"the result could not be printed: {why}")


def _open_null(way: int) -> int:
    """The null device under the lowest free number, which worker processes inherit as they do every standard stream."""
    number = os.open(os.devnull, way)
    os.set_inheritable(number, True)
    return number


def _make_lasting(stream: Any, own: Any, way: int, errors: str) -> Any:
    """The stream, whose writes no longer raise; `errors` says what becomes of a character that it cannot show. One that
    a notebook or a test put there, or a Windows console, only gets that."""
    if stream is None:
        raw = LastingFile(_open_null(way), "w")
        return TextIOWrapper(BufferedWriter(raw), encoding="utf-8", errors=errors)
    if not isinstance(stream, TextIOWrapper):
        return stream
    stream.reconfigure(errors=errors)
    if stream is not own or type(getattr(stream.buffer, "raw", stream.buffer)) is not FileIO:
        return stream
    stream.flush()
    return TextIOWrapper(
        BufferedWriter(LastingFile(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors=errors,
        line_buffering=stream.line_buffering or stream.write_through,
    )
