"""Series: float32 (steps, channels) from .npy or .csv, brought to the recipe's number of steps."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from robustmm.errors import DataError
from robustmm.modalities.base import Modality, Positive, Signal, find_file, is_array, read_array, to_float32
from robustmm.modalities.features import mean_and_std
from robustmm.modalities.files.table import read_table
from robustmm.modalities.fitting import Place, fit_length

MOST_STRETCHED = 4
"""How many times a record can be longer or shorter than the recipe's steps before it is told."""


class Series(Modality):
    """A sensor's record: `channels` values at each of `steps` steps.

    `fit = "stretch"` interpolates linearly to `steps`. `"crop"` keeps the part `cut` of a longer record; a shorter one
    is filled up at `pad`, with its first and last values (`padding = "edge"`) or zeros.
    Of a CSV table an index or time column is left out.
    `mean` and `std` (channels,) are of the training data: the unit of corruptions, and the graph's normalisation.
    """

    suffixes = (".npy", ".csv", ".tsv")

    kind: Literal["series"] = "series"
    steps: Positive
    channels: Positive
    fit: Literal["stretch", "crop"] = "stretch"
    pad: Place = "end"
    cut: Place = "centre"
    padding: Literal["edge", "zero"] = "edge"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.steps, self.channels)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)

    def read(self, cell: str, folder: Path) -> NDArray[np.float32]:
        values = self._read_values(cell, folder)
        if values.ndim == 1:
            values = values[:, None]
        if values.ndim != 2 or values.shape[1] != self.channels or not len(values):
            beside = self._tell_left_out(cell, folder)
            raise DataError(f"{cell} should be a series (steps, {self.channels}), found {values.shape}{beside}")
        return self._fit_length(values)

    def find_faults(self, cell: str, folder: Path) -> list[str]:
        length = len(self._read_values(cell, folder))
        if self.fit == "crop" and length > 2 * self.steps:
            return [f"of its {length} steps only {self.steps} are read"]
        if self.fit == "stretch" and (length > MOST_STRETCHED * self.steps or self.steps > MOST_STRETCHED * length):
            return [f"its {length} steps are interpolated to {self.steps}"]
        return []

    def size_of(self, cell: str, folder: Path) -> str:
        return " x ".join(map(str, self._read_values(cell, folder).shape))

    def _read_values(self, cell: str, folder: Path) -> NDArray[np.float32]:
        return to_float32(read_array(cell, folder) if is_array(cell) else read_csv(find_file(cell, folder)), cell)

    def _tell_left_out(self, cell: str, folder: Path) -> str:
        left_out = [] if is_array(cell) else describe_table(find_file(cell, folder)).left_out
        named = " and ".join(f'"{name}"' for name in left_out)
        return f" beside {named}, which {'is' if len(left_out) == 1 else 'are'} left out" if left_out else ""

    def _fit_length(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        if len(values) == self.steps:
            return values
        if self.fit == "crop":
            return fit_length(values, self.steps, self.pad, self.cut, self.padding)
        position = np.linspace(0, len(values) - 1, self.steps)
        low = position.astype(int)
        high = np.minimum(low + 1, len(values) - 1)
        weight = (position - low)[:, None]
        return np.asarray(values[low] * (1 - weight) + values[high] * weight, dtype=np.float32)

    def fit_to(self, signals: Iterable[Signal]) -> Self:
        mean, std = mean_and_std((np.asarray(signal) for signal in signals), self.channels)
        return self.model_copy(update={"mean": mean, "std": std})


@dataclass(frozen=True)
class TableFacts:
    """What a CSV file holds: its number of channels, the names of leading columns that are left out (an index or the
    time; "" for one without a name), and its decimal sign."""

    channels: int
    left_out: list[str]
    decimal: str


def describe_table(path: Path) -> TableFacts:
    """How a CSV file is read (see `read_table`)."""
    table = read_table(path)
    return TableFacts(table.values.shape[1] if table.values.ndim == 2 else 0, table.left_out, table.decimal)


def read_csv(path: Path) -> NDArray[Any]:
    """The numbers of a CSV file (steps, channels), one row a step (see `read_table`)."""
    return read_table(path).values
