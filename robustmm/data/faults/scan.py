"""What the cells of a modality hold, read once: by row a digest, a size and its faults; by channel how it runs."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from robustmm.data.loading import read_batches
from robustmm.data.manifest import Manifest
from robustmm.modalities import Modality, Signal

BATCH = 64


@dataclass
class Scan:
    """A modality's cells, read. Rows are those of the manifest."""

    modality: Modality
    cells: list[str]
    digests: list[str] = field(default_factory=list)
    """By row, empty where there is no signal."""
    sizes: dict[int, str] = field(default_factory=dict)
    unreadable: dict[int, str] = field(default_factory=dict)
    """The reason by row."""
    losses: dict[int, str] = field(default_factory=dict)
    """What is lost in reading, by row."""
    not_finite: list[int] = field(default_factory=list)
    constant: list[int] = field(default_factory=list)
    channels: "Channels | None" = None


class Channels:
    """Channels of series and numbers of features, over all rows: which never change, and which only count."""

    def __init__(self, count: int) -> None:
        self.low, self.high = np.full(count, np.inf), np.full(count, -np.inf)
        self.rising, self.falling = np.zeros(count, int), np.zeros(count, int)
        self.seen = 0
        """Records, or pairs of neighbouring rows, that were looked at for a direction."""
        self._last: NDArray[np.float64] | None = None

    def add(self, signal: NDArray[np.float32]) -> None:
        values = np.where(np.isfinite(signal), signal, np.nan).astype(np.float64)
        rows = values[None] if values.ndim == 1 else values
        self.low, self.high = np.fmin(self.low, np.fmin.reduce(rows)), np.fmax(self.high, np.fmax.reduce(rows))
        if values.ndim == 2:  # a record: whether a channel runs in one direction through it
            self._count(np.diff(values, axis=0))
        elif self._last is not None:  # one number a row: whether it runs in one direction through the table
            self._count((values - self._last)[None])
        self._last = values

    def _count(self, steps: NDArray[np.float64]) -> None:
        if not len(steps):
            return
        self.seen += 1
        most = (steps != 0).mean(0) > 0.5  # a step that stands still now and then is one of a padded end
        self.rising += (steps >= 0).all(0) & most
        self.falling += (steps <= 0).all(0) & most

    def find_constant(self) -> list[int]:
        """Channels that hold one value in all rows."""
        return np.flatnonzero(self.low == self.high).tolist()

    def find_counting(self, least: int) -> list[int]:
        """Channels that run in one direction through every record, or through the whole table."""
        if self.seen < least:
            return []
        return np.flatnonzero(np.maximum(self.rising, self.falling) == self.seen).tolist()


def scan_manifest(
    manifest: Manifest, modalities: Sequence[Modality], advance: Callable[[int], None] = lambda rows: None
) -> list[Scan]:
    """Reads every cell of every modality."""
    scans = [Scan(m, manifest.cells(m)) for m in modalities]
    for scan in scans:
        if scan.modality.kind in ("series", "features"):
            scan.channels = Channels(scan.modality.shape[-1])
    with ThreadPoolExecutor(4) as pool:
        for rows, samples in read_batches(manifest, modalities, BATCH, "missing"):
            for scan in scans:
                _scan_batch(scan, manifest, rows.start, samples.signals[scan.modality.name], samples.bad, pool)
            advance(rows.stop - rows.start)
    return scans


def _scan_batch(
    scan: Scan, manifest: Manifest, start: int, signals: list[Signal | None], bad: list[str], pool: ThreadPoolExecutor
) -> None:
    there = [row for row, signal in enumerate(signals, start) if signal is not None]

    def look(row: int) -> tuple[str, list[str]]:
        cell, folder = scan.cells[row], manifest.folder
        return scan.modality.size_of(cell, folder), scan.modality.find_faults(cell, folder)

    for row, (size, faults) in zip(there, pool.map(look, there), strict=True):
        scan.sizes[row] = size
        if faults:
            scan.losses[row] = "; ".join(faults)
    for row, signal in enumerate(signals, start):
        scan.digests.append("" if signal is None else digest(signal))
        if signal is None and scan.cells[row]:
            where = f"{manifest.cell_location(row, scan.modality.column_name)}: "
            scan.unreadable[row] = next(one for one in bad if one.startswith(where)).removeprefix(where)
        if signal is None:
            continue
        if not isinstance(signal, str) and not np.isfinite(signal).all():
            scan.not_finite.append(row)
        if is_constant(signal):
            scan.constant.append(row)
        if scan.channels is not None and not isinstance(signal, str):
            scan.channels.add(signal)


def digest(signal: Signal) -> str:
    content = signal.encode() if isinstance(signal, str) else np.ascontiguousarray(signal).tobytes()
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def is_constant(signal: Signal) -> bool:
    """Whether an input is blank or silent: no words, or several numbers of one value."""
    if isinstance(signal, str):
        return not signal.strip()
    return signal.size > 1 and bool((signal == signal.flat[0]).all() and np.isfinite(signal.flat[0]))
