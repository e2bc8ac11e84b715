"""A shard: the canonical signals of neighbouring rows of a manifest, of one modality, in one file.

    MAGIC | length of the header, 8 bytes | header, JSON | the signals' bytes, one after another

A file is believed whole where its length and the checksum in its header are right. Rows are read by seeking, and not
mapped: what is mapped counts as the process's own memory as soon as it was touched, and a training touches all of it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from robustmm.errors import DataError
from robustmm.files import write_whole
from robustmm.modalities import Signal

MAGIC = b"robustmm signals 1\n"
TEXT = "text"
BLOCK = 2**20


def write_shard(path: Path, signals: Sequence[Signal | None], bad: Mapping[int, str], about: Mapping[str, str]) -> None:
    """Writes signals (None: missing) with what was wrong with the rows that could not be read; whole or not at all."""
    rows: list[Any] = []
    payload: list[bytes] = []
    for signal in signals:
        if signal is None:
            rows.append(None)
        elif isinstance(signal, str):
            payload.append(signal.encode("utf-8", "surrogatepass"))
            rows.append([TEXT, [len(payload[-1])]])
        else:
            payload.append(np.ascontiguousarray(signal).tobytes())
            rows.append([signal.dtype.str, list(signal.shape)])
    total = hashlib.sha256()
    for part in payload:
        total.update(part)
    header = json.dumps(
        {"about": dict(about), "rows": rows, "bad": dict(bad), "sha256": total.hexdigest()}, sort_keys=True
    ).encode()

    def write(file: Any) -> None:
        file.write(MAGIC + len(header).to_bytes(8, "little") + header)
        file.writelines(payload)

    write_whole(path, write)


class Shard:
    """A shard on disk. Raises ValueError where the file is not one, or not whole; OSError where there is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        header, start = read_header(path)
        try:
            self.about: dict[str, str] = header["about"]
            self.bad = {int(row): str(told) for row, told in header["bad"].items()}
            self.digest: str = header["sha256"]
            forms = [None if row is None else (str(row[0]), tuple(map(int, row[1]))) for row in header["rows"]]
            known = {form: form for form in forms}
            self._rows = [known[form] for form in forms]  # most rows have one form: it is held once
            sizes = [0 if row is None else count_bytes(*row) for row in self._rows]
        except (LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} has a header of another form ({error})") from error
        self._starts = np.cumsum([start, *sizes])

    def __len__(self) -> int:
        return len(self._rows)

    def present(self) -> list[bool]:
        return [row is not None for row in self._rows]

    def check(self) -> None:
        """Raises ValueError where the signals are not those that were written."""
        total = hashlib.sha256()
        with self.path.open("rb") as file:
            file.seek(int(self._starts[0]))
            while block := file.read(BLOCK):
                total.update(block)
            if file.tell() != self._starts[-1] or total.hexdigest() != self.digest:
                raise ValueError(f"{self.path} is damaged")

    def read(self, row: int) -> Signal | None:
        """The canonical signal of a row. Raises DataError where the file has gone or changed."""
        entry = self._rows[row]
        if entry is None:
            return None
        begin, end = map(int, self._starts[row : row + 2])
        try:
            with self.path.open("rb") as file:
                file.seek(begin)
                content = file.read(end - begin)
        except OSError as error:
            raise DataError(f"{self.path} of the cache cannot be read any more ({error.strerror})") from error
        if len(content) < end - begin:
            raise DataError(f"{self.path} of the cache has become shorter while it was used")
        kind, shape = entry
        if kind == TEXT:
            return content.decode("utf-8", "surrogatepass")
        return np.frombuffer(content, kind).reshape(shape)


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """A shard's header, and where its signals begin."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ValueError(f"{path} does not begin as a shard")
        length = int.from_bytes(file.read(8), "little")
        content = file.read(min(length, 2**28))
    if len(content) < length:
        raise ValueError(f"{path} ends within its header")
    header = json.loads(content)
    if not isinstance(header, dict):
        raise ValueError(f"{path} has a header of another form")
    return header, len(MAGIC) + 8 + length


def count_bytes(kind: str, shape: tuple[int, ...]) -> int:
    return prod(shape) * (1 if kind == TEXT else np.dtype(kind).itemsize)
