"""Rows of a manifest to signals and arrays: streamed for evaluation, whole for training."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
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
    with ThreadPoolExecutor(4) as pool:
        for modality in modalities:
            name = modality.column_name
            cells = manifest.cells(modality)

            def one(row: int, modality: Modality = modality, cells: list[str] = cells) -> Signal | DataError | None:
                try:
                    return modality.read(cells[row], manifest.folder) if cells[row] else None
                except DataError as error:
                    return error
                except (OSError, ValueError) as error:  # a name too long, a NUL byte: the row is bad, not the tool
                    return DataError(str(error))

            column: list[Signal | None] = []
            for row, found in enumerate(pool.map(one, range(len(manifest)))):
                if isinstance(found, DataError):
                    sentence = f"{manifest.cell_location(row, name)}: {shorten(str(found))}"
                    if on_bad == "error":
                        pool.shutdown(wait=False, cancel_futures=True)
                        raise DataError(sentence) from found
                    bad.append(sentence)
                    found = None
                column.append(found)
            signals[modality.name] = column
    return Samples(manifest.ids, signals, bad)


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


@dataclass
class Split:
    """A split in memory: what training reads."""

    ids: list[str]
    inputs: dict[str, NDArray[Any]]  # by modality, (samples, *shape)
    present: NDArray[np.bool_]  # (samples, modality)
    target: NDArray[np.int64]
    bad: list[str]
    signals: dict[str, list[Signal | None]] = field(default_factory=dict)  # canonical, of the modalities kept

    def __len__(self) -> int:
        return len(self.ids)

    def digest(self) -> str:
        """SHA-256 of what training reads: ids, targets, presence and every array, with its name and shape."""
        total = hashlib.sha256("\n".join(map(repr, self.ids)).encode())
        for name, part in (("", self.target), ("", self.present), *self.inputs.items()):
            total.update(f"\n{name} {part.dtype} {part.shape}\n".encode())
            total.update(np.ascontiguousarray(part).data)
        return total.hexdigest()


def read_split(
    manifest: Manifest,
    modalities: Sequence[Modality],
    classes: Sequence[str],
    on_bad: OnBad = "error",
    advance: Callable[[int], None] = lambda rows: None,
    fit: bool = False,
    keep: Sequence[str] = (),
) -> tuple[Split, list[Modality]]:
    """A whole split as arrays, and the modalities; with `fit`, fitted to it (scales, vocabularies). Of the modalities
    in `keep` the canonical signals stay too."""
    parts: list[Samples] = []
    for rows, samples in read_batches(manifest, modalities, 256, on_bad):
        parts.append(samples)
        advance(rows.stop - rows.start)
    columns = {m.name: [s for part in parts for s in part.signals[m.name]] for m in modalities}
    if fit:
        modalities = [m.fit_to([s for s in columns[m.name] if s is not None]) for m in modalities]
    present = np.concatenate([part.present() for part in parts])
    bad = [sentence for part in parts for sentence in part.bad]
    parts.clear()  # what is not kept is let go of, a modality at a time
    inputs, kept = {}, {}
    for m in modalities:
        signals = columns.pop(m.name)
        inputs[m.name] = collate_signals(m, signals)
        if m.name in keep:
            kept[m.name] = share_memory(m, signals, inputs[m.name])
    return Split(manifest.ids, inputs, present, targets(manifest, classes), bad, kept), list(modalities)


def share_memory(modality: Modality, signals: Sequence[Signal | None], fed: NDArray[Any]) -> list[Signal | None]:
    """The signals, as views of what was fed where feeding changes nothing: they are not held twice."""
    pairs = zip(signals, fed, strict=True)
    return [row if isinstance(s, np.ndarray) and modality.feed(s) is s else s for s, row in pairs]
