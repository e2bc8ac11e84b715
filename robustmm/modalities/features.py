"""Features: a float32 vector of the recipe's length, from .npy."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from robustmm.errors import DataError
from robustmm.modalities.base import Modality, Positive, Signal, read_array, to_float32


class Features(Modality):
    """A vector of `length` numbers. `mean` and `std` are of the training data (see Series)."""

    suffixes = (".npy",)

    kind: Literal["features"] = "features"
    length: Positive
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)

    def read(self, cell: str, folder: Path) -> NDArray[np.float32]:
        values = to_float32(read_array(cell, folder), cell)
        if values.shape != (self.length,):
            raise DataError(f"{cell} should be a vector of {self.length} numbers, found shape {values.shape}")
        return values

    def fit_to(self, signals: Iterable[Signal]) -> Self:
        mean, std = mean_and_std((np.asarray(signal)[None] for signal in signals), self.length)
        return self.model_copy(update={"mean": mean, "std": std})


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
