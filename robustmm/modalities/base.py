"""A modality: a named input with a kind, and the way from a manifest cell to the array that enters the graph."""

from collections.abc import Iterable
from functools import lru_cache
from math import prod
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from robustmm.errors import DataError, check_regular
from robustmm.modalities.files.limits import NUMBER_BYTES, check_claim, describe_excess

Signal = NDArray[Any] | str
"""The canonical signal that corruptions see: an array, or a string for text."""

TABLE_COLUMNS = ("id", "split", "label")
"""Columns of every manifest that are about a sample, not inputs of it."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
Positive = Annotated[int, Field(gt=0)]


def _check_column(column: Any) -> Any:
    """A name, or names as a tuple, so that the message is one sentence and not one for each member of the union."""
    if isinstance(column, (list, tuple)) and column and all(isinstance(name, str) and name for name in column):
        return tuple(column)
    if not isinstance(column, str):
        raise PydanticCustomError("column", "should be the name of a column, or for features a list of names")
    return column


Column = Annotated[str | tuple[str, ...], BeforeValidator(_check_column)]


class Modality(BaseModel):
    """What every kind shares. A subclass defines its shape, its dtype and how a cell is read."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    suffixes: ClassVar[tuple[str, ...]] = ()
    takes_columns: ClassVar[bool] = False
    """Whether the kind may be read from several columns."""
    number_bytes: ClassVar[int] = NUMBER_BYTES
    """The most that a number of the signal takes in memory while a sample is read and answered."""

    name: Name
    kind: str
    column: Column = ""
    """The manifest's column; the modality's own name when empty. Features may stand in several, a number in each."""

    @field_validator("column")
    @classmethod
    def _check_number_of_columns(cls, column: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(column, tuple) and not cls.takes_columns:
            raise PydanticCustomError(
                "columns", "should be the name of one column, only features are read from several"
            )
        for name in (column,) if isinstance(column, str) else column:
            if name in TABLE_COLUMNS:
                told = 'it would read the column "{name}", which is no input; give its own with: column = "NAME"'
                raise PydanticCustomError("answer", told, {"name": name})
        return column

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        """A recipe, a description and the metadata of a model are believed within the limit of a cell."""
        if excess := describe_excess(self.number_bytes * prod(self.shape)):
            shape = " x ".join(f"{n:,}" for n in self.shape)
            raise PydanticCustomError("claim", f"a sample has {shape} numbers, {excess}")
        return self

    @property
    def column_names(self) -> tuple[str, ...]:
        """The manifest's columns that hold this modality: one, or several of features."""
        return self.column if isinstance(self.column, tuple) else (self.column or self.name,)

    @property
    def column_name(self) -> str:
        """The columns as messages name them."""
        return ", ".join(self.column_names)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample as it enters the graph, without the batch."""
        raise NotImplementedError

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of one sample as it enters the graph."""
        raise NotImplementedError

    @property
    def input_bytes(self) -> int:
        """What one sample takes as it enters the graph."""
        return prod(self.shape) * self.dtype.itemsize

    def read(self, cell: str, folder: Path) -> Signal:
        """The canonical signal a manifest cell names. Raises DataError when it cannot be read."""
        raise NotImplementedError

    def size_of(self, cell: str, folder: Path) -> str:
        """The cell's own size, before it is brought to the recipe's: `28 x 28 x 1`, `0.53 s at 8000 Hz`."""
        return " x ".join(map(str, read_array(cell, folder).shape))

    def find_faults(self, cell: str, folder: Path) -> list[str]:
        """What of a readable cell is lost or was put right when it is read, a sentence each."""
        return []

    def feed(self, signal: Signal) -> NDArray[Any]:
        """The array that enters the graph: token ids of a text, else the signal, in the model's colours or scale."""
        return np.asarray(signal)

    def blank_input(self) -> NDArray[Any]:
        """The fill of the graph's input where the modality is missing; its content does not matter."""
        return np.zeros(self.shape, self.dtype)

    def fit_to(self, signals: Iterable[Signal]) -> Self:
        """This modality with what it learns from training signals (scale, vocabulary); itself when nothing."""
        return self


def is_array(cell: str) -> bool:
    """Whether a cell names an array file (`a.npy`) or a row of one (`a.npy#17`)."""
    return named_file(cell).endswith(".npy")


def named_file(cell: str) -> str:
    """The path that a cell names: `a.npy` of a row `a.npy#17`; another cell names a file whole, whatever folders it
    leads through."""
    path, hash_, row = cell.rpartition(".npy#")
    return f"{path}.npy" if hash_ and "/" not in row else cell


_ONE_AT_A_TIME = Lock()
"""numpy parses headers with `ast`, which Python 3.11 cannot do in two threads at once (cpython#106905)."""


@lru_cache(maxsize=32)
def _map_array(file: Path, changed: int, size: int) -> NDArray[Any]:
    """The array in a file, mapped and not read; opened once for all its rows, and again when the file changes."""
    del changed, size
    try:
        loaded = np.load(file, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a malformed header fails in many ways
        raise DataError(f"{file} is not a readable .npy array ({error})") from error
    if not isinstance(loaded, np.ndarray):
        loaded.close()
        raise DataError(f"{file} is an .npz archive, expected one .npy array")
    return loaded


def read_array(cell: str, folder: Path) -> NDArray[Any]:
    """The array at `file.npy`, or its row 17 at `file.npy#17`; pickles are never loaded."""
    path, hash_, row = cell.rpartition(".npy#")
    file = folder / (path + ".npy" if hash_ else cell)
    check_regular(file)
    try:
        found = file.stat()
    except FileNotFoundError as error:
        raise DataError(f"{file} does not exist") from error
    except (OSError, ValueError) as error:  # a name too long, or with a NUL in it
        raise DataError(f"{file} is not a readable .npy array ({error})") from error
    with _ONE_AT_A_TIME:
        loaded = _map_array(file, found.st_mtime_ns, found.st_size)
    if not hash_:
        check_claim(loaded.nbytes, file, f"an array {loaded.shape} of {loaded.dtype}")
        return np.array(loaded)
    rows = len(loaded) if loaded.ndim else 0
    if not row.isdecimal() or int(row) >= rows:
        raise DataError(f"{file} has {f'rows 0 to {rows - 1}' if rows else 'no rows'}, found #{row}")
    check_claim(loaded.nbytes // rows, file, f"rows {loaded.shape[1:]} of {loaded.dtype}")
    return np.array(loaded[int(row)])


def to_float32(values: NDArray[Any], file: str) -> NDArray[np.float32]:
    """`values` as float32. Raises DataError for anything that is not a real number (NaN is allowed through)."""
    if values.dtype.kind not in "fiub":
        raise DataError(f"{file} should hold real numbers, found dtype {values.dtype}")
    check_claim(4 * values.size, file, f"an array {values.shape} of {values.dtype}")  # of bytes it is four times theirs
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and `data check` reports it
        return np.ascontiguousarray(values, dtype=np.float32)


def find_file(cell: str, folder: Path) -> Path:
    """The file a cell names, relative to the manifest's folder."""
    path = folder / cell
    check_regular(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist" if not path.exists() else f"{path} is not a file")
    return path


def modality_name(column: str, taken: list[str]) -> str:
    """A modality's name from a column's."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in column)[:60]
    name = name if name[:1].isalpha() else f"m{name}"
    return next(n for n in (name, *(f"{name}_{i}" for i in range(2, len(taken) + 3))) if n not in taken)
