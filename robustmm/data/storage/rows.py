"""Signals of a split that are not held in memory, and the arrays that they are fed as: read where they are indexed."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustmm.data.loading import collate_signals, read_cell, refuse_or_tell
from robustmm.data.manifest import Manifest
from robustmm.data.storage.cache import stamp_cell
from robustmm.data.storage.shards import Shard
from robustmm.errors import DataError
from robustmm.modalities import Modality, Signal


class ShardedSignals(Sequence[Signal | None]):
    """The signals of all rows, from shards of `size` rows; None where `present` (samples,) says missing."""

    def __init__(self, shards: Sequence[Shard], size: int, present: NDArray[np.bool_]) -> None:
        self.shards, self.size, self.present = shards, size, present

    def __len__(self) -> int:
        return len(self.present)

    def __getitem__(self, row: Any) -> Any:
        return self.shards[row // self.size].read(row % self.size) if self.present[row] else None


class DecodedSignals(Sequence[Signal | None]):
    """The signals of all rows, decoded anew whenever one is asked for; None where `present` says missing, which may be
    set later. A file that changes from now on is refused: an epoch would train on other data than the one before."""

    def __init__(self, manifest: Manifest, modality: Modality) -> None:
        self.manifest, self.modality = manifest, modality
        self.cells = manifest.cells(modality)
        self.stamps = np.array([self.stamp(cell) for cell in self.cells], dtype=np.int64)  # (samples, 2)
        self.present = np.array([bool(cell) for cell in self.cells])

    def stamp(self, cell: str) -> tuple[int, int]:
        return stamp_cell(self.modality, cell, self.manifest.folder) or (-1, -1)

    def __len__(self) -> int:
        return len(self.present)

    def __getitem__(self, row: Any) -> Any:
        if not self.present[row]:
            return None
        if self.stamp(self.cells[row]) != tuple(self.stamps[row]):
            where = self.manifest.cell_location(row, self.modality.column_name)
            raise DataError(f"{where}: the file has changed since the training began; train a new run")
        found = read_cell(self.modality, self.cells[row], self.manifest.folder)
        if isinstance(found, DataError):
            refuse_or_tell(self.manifest, row, self.modality, found, "error")
        return found


class FedRows:
    """(samples, *shape) as the graph takes them, blank where missing; indexed by rows or a slice, as arrays are."""

    def __init__(self, modality: Modality, signals: Sequence[Signal | None], rows: NDArray[Any] | None = None) -> None:
        self.modality, self.signals = modality, signals
        self.rows = np.arange(len(signals)) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.rows), *self.modality.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.modality.dtype

    def __getitem__(self, rows: NDArray[Any] | slice) -> NDArray[Any]:
        return collate_signals(self.modality, [self.signals[int(row)] for row in self.rows[rows]])

    def take(self, rows: NDArray[Any]) -> "FedRows":
        """These rows alone, still unread."""
        return FedRows(self.modality, self.signals, self.rows[rows])


Rows = NDArray[Any] | FedRows


def take_rows(values: Rows, rows: NDArray[Any]) -> Rows:
    """Some rows, read only where all of them are in memory."""
    return values.take(rows) if isinstance(values, FedRows) else values[rows]


def blocks(values: Rows, size: int = 256) -> Iterator[NDArray[Any]]:
    """All rows in order, a few at a time."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
