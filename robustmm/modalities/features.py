"""Features: a float32 vector of the recipe's length, from .npy, from numbers in a cell or in several columns."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from robustmm.errors import DataError
from robustmm.modalities.base import Modality, Positive, Signal, is_array, read_array, to_float32


class Features(Modality):
    """A vector of `length` numbers: an array, or a cell such as `63,120,72`. With `column = ["age", "bp", "hr"]` the
    numbers stand in these columns of the manifest, in this order. `mean` and `std` are of the training data (see
    Series)."""

    suffixes = (".npy",)
    takes_columns: ClassVar[bool] = True

    kind: Literal["features"] = "features"
    length: Positive
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @field_validator("length")
    @classmethod
    def _check_length(cls, length: int, info: ValidationInfo) -> int:
        column = info.data.get("column")
        if isinstance(column, tuple) and len(column) != length:
            raise PydanticCustomError("length", "should be {n}, a number for each column", {"n": len(column)})
        return length

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)

    def read(self, cell: str, folder: Path) -> NDArray[np.float32]:
        values = to_float32(self._parse_numbers(cell) if self._is_list(cell) else read_array(cell, folder), cell)
        if values.shape != (self.length,):
            raise DataError(f"{cell} should be a vector of {self.length} numbers, found shape {values.shape}")
        return values

    def size_of(self, cell: str, folder: Path) -> str:
        return str(self.length) if self._is_list(cell) else super().size_of(cell, folder)

    def _is_list(self, cell: str) -> bool:
        """Whether the cell holds the numbers themselves, and not the name of an array."""
        return isinstance(self.column, tuple) or is_number(cell) or ("," in cell and not is_array(cell))

    def _parse_numbers(self, cell: str) -> NDArray[np.float64]:
        """The numbers of `63,120,72`. A row that lacks some of them is refused: no number stands for an unknown one."""
        parts = [part.strip() for part in cell.split(",")]
        names = self.column if isinstance(self.column, tuple) else ()
        wrong = [(i, part) for i, part in enumerate(parts) if not is_number(part)]
        if len(parts) != self.length or (wrong and not names):
            example = ", ".join(names) or "a .npy array or a list such as 63,120,72"
            raise DataError(f"{cell!r} should be {self.length} numbers ({example}), with decimal points")
        if wrong:
            place, part = wrong[0]
            found = f"holds {part!r}, which is no number" if part else "is empty while others of its row are not"
            raise DataError(f'column "{names[place]}" {found}; empty all of {self.column_name} where they are missing')
        return np.array(parts, dtype=np.float64)

    def fit_to(self, signals: Iterable[Signal]) -> Self:
        mean, std = mean_and_std((np.asarray(signal)[None] for signal in signals), self.length)
        return self.model_copy(update={"mean": mean, "std": std})


def is_number(cell: str) -> bool:
    """Whether a cell is a finite number as tables write it: `nan`, `1_000` and `3,5` are none."""
    return re.fullmatch(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*", cell, re.ASCII) is not None


def mean_and_std(signals: Iterable[NDArray[Any]], channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel over (steps, channels) arrays; 0 and 1 where there is nothing."""
    count, mean, spread = np.zeros(channels), np.zeros(channels), np.zeros(channels)
    for signal in signals:  # merged by Chan's formula, so that large offsets do not cancel the variance away
        values = signal.astype(np.float64)
        finite = np.isfinite(values)
        n = finite.sum(0)
        centre = np.where(finite, values, 0.0).sum(0) / np.maximum(n, 1)
        share = n / np.maximum(count + n, 1)
        spread += (np.where(finite, values - centre, 0.0) ** 2).sum(0) + (centre - mean) ** 2 * count * share
        mean += (centre - mean) * share
        count += n
    std = np.sqrt(spread / np.maximum(count, 1))
    varies = std > 1e-12 * np.maximum(np.abs(mean), 1)  # less is rounding
    return tuple(mean.tolist()), tuple(np.where(varies, std, 1.0).tolist())
