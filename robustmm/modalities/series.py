"""Series: float32 (steps, channels) from .npy or .csv, brought to the recipe's number of steps."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from robustmm.errors import DataError
from robustmm.modalities.base import Modality, Positive, Signal, find_file, is_array, read_array, to_float32
from robustmm.modalities.features import mean_and_std
from robustmm.modalities.fitting import Place, fit_length


class Series(Modality):
    """A sensor's record: `channels` values at each of `steps` steps.

    `fit = "stretch"` interpolates linearly to `steps`. `"crop"` keeps the part `cut` of a longer record; a shorter one
    is filled up at `pad`, with its first and last values (`padding = "edge"`) or zeros.
    `mean` and `std` (channels,) are of the training data: the unit of corruptions, and the graph's normalisation.
    """

    suffixes = (".npy", ".csv")

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
            raise DataError(f"{cell} should be a series (steps, {self.channels}), found {values.shape}")
        return self._fit_length(values)

    def size_of(self, cell: str, folder: Path) -> str:
        return " x ".join(map(str, self._read_values(cell, folder).shape))

    def _read_values(self, cell: str, folder: Path) -> NDArray[np.float32]:
        return to_float32(read_array(cell, folder) if is_array(cell) else read_csv(find_file(cell, folder)), cell)

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


def read_csv(path: Path) -> NDArray[Any]:
    """The numbers of a CSV file, one row a step; a first row of names is skipped."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        rows = [[float(value) for value in line.split(",")] for line in lines[1:] if line.strip()]
        with suppress(ValueError, IndexError):
            rows.insert(0, [float(value) for value in lines[0].split(",")])
        return np.array(rows)
    except ValueError as error:
        raise DataError(f"{path} is not a CSV table of numbers ({error})") from error
