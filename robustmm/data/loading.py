"""Rows of a manifest to signals and arrays, streamed."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from robustmm.data.manifest import Manifest, is_regression_target
from robustmm.errors import DataError, shorten, suggest
from robustmm.modalities import Modality, Signal
from robustmm.modalities.features import is_number

OnBad = Literal["error", "missing"]


@dataclass
class Samples:
    """Some rows, read: a signal by modality and row (None where missing), and what could not be read."""

    ids: list[str]
    signals: dict[str, list[Signal | None]]
    bad: list[str]

    def present(self) -> NDArray[np.bool_]:
        """(samples, modality)"""
        columns = [[signal is not None for signal in column] for column in self.signals.values()]
        return np.array(columns, dtype=bool).T.reshape(len(self.ids), len(columns))


def read_samples(manifest: Manifest, modalities: Sequence[Modality], on_bad: OnBad = "error") -> Samples:
    """Every row of `manifest` as canonical signals. A cell that cannot be read raises DataError naming its row, or,
    with `on_bad="missing"`, is missing and reported in `bad`; it is never silently read as zeros."""
    signals: dict[str, list[Signal | None]] = {}
    bad: list[str] = []
    for modality in modalities:
        column: list[Signal | None] = []
        for row, found in enumerate(read_cells(manifest, modality)):
            if isinstance(found, DataError):
                bad.append(refuse_or_tell(manifest, row, modality, found, on_bad))
                found = None
            column.append(found)
        signals[modality.name] = column
    return Samples(manifest.ids, signals, bad)


def refuse_or_tell(manifest: Manifest, row: int, modality: Modality, error: DataError, on_bad: OnBad) -> str:
    """What is wrong with a cell, and where it stands: raised, or with `on_bad="missing"` returned."""
    sentence = f"{manifest.cell_location(row, modality.column_name)}: {shorten(str(error))}"
    if on_bad == "error":
        raise DataError(sentence) from error
    return sentence


def read_cells(manifest: Manifest, modality: Modality, workers: int = 4) -> Iterator[Signal | DataError | None]:
    """Every row's canonical signal of a modality, in order: None where it is missing, the error where it cannot be
    read. Some are read at once, in threads; who stops asking stops them."""
    cells = manifest.cells(modality)
    pool = ThreadPoolExecutor(workers)
    try:
        yield from pool.map(lambda cell: read_cell(modality, cell, manifest.folder), cells)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def read_cell(modality: Modality, cell: str, folder: Path) -> Signal | DataError | None:
    """The canonical signal of a cell, None for an empty one, or the error of one that cannot be read."""
    try:
        return modality.read(cell, folder) if cell else None
    except DataError as error:
        return error
    except (OSError, ValueError) as error:  # a name too long, a NUL byte: the row is bad, not the tool
        return DataError(str(error))


def read_batches(
    manifest: Manifest, modalities: Sequence[Modality], size: int, on_bad: OnBad = "error"
) -> Iterator[tuple[slice, Samples]]:
    """`manifest` in consecutive batches, so that memory does not grow with its length."""
    for start in range(0, len(manifest), size):
        rows = slice(start, min(start + size, len(manifest)))
        yield rows, read_samples(manifest.take(list(range(rows.start, rows.stop))), modalities, on_bad)


def collate_signals(modality: Modality, signals: Sequence[Signal | None]) -> NDArray[Any]:
    """The graph's input (batch, *shape) for some signals, blanks where they are missing."""
    out = np.broadcast_to(modality.blank_input(), (len(signals), *modality.shape)).copy()
    for row, signal in enumerate(signals):
        if signal is not None:
            out[row] = modality.feed(signal)
    return out


def targets(manifest: Manifest, classes: Sequence[str]) -> NDArray[np.int64]:
    """Class indices (samples,). Raises DataError for a label the classes do not have."""
    number = {label: i for i, label in enumerate(classes)}
    for row, label in enumerate(manifest.labels):
        if label not in number:
            where, hint = manifest.cell_location(row, "label"), suggest(label, classes)
            if is_number(label) and is_regression_target(list(classes)):
                hint = f": its {len(classes)} classes are numbers, of a quantity; cut it into ranges, a label for each"
            raise DataError(f'{where}: "{label}" is not a class of the model{hint}')
    return np.array([number[label] for label in manifest.labels], dtype=np.int64)
