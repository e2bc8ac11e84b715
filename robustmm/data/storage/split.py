"""A split, as training reads it: in memory, from the cache, or decoded anew. What is read is the same."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from robustmm.data.loading import OnBad, Samples, collate_signals, read_batches, read_cells, refuse_or_tell, targets
from robustmm.data.manifest import Manifest
from robustmm.data.storage import cache
from robustmm.data.storage.rows import DecodedSignals, FedRows, Rows, ShardedSignals, blocks
from robustmm.data.storage.shards import Shard
from robustmm.errors import DataError
from robustmm.modalities import Modality, Signal

Mode = Literal["memory", "cache", "decode"]


@dataclass(frozen=True)
class Storage:
    """Where a training keeps its data, how many threads read them, and how many bytes the cache may take."""

    mode: Mode = "memory"
    workers: int = 4
    limit: int = cache.DEFAULT_LIMIT


IN_MEMORY = Storage()


@dataclass
class Split:
    """What training reads. `inputs` are arrays, or read where they are indexed; `signals`, the canonical ones, are of
    the modalities that were asked for, and of all where none is in memory."""

    ids: list[str]
    inputs: dict[str, Rows]  # by modality, (samples, *shape)
    present: NDArray[np.bool_]  # (samples, modality)
    target: NDArray[np.int64]
    bad: list[str]
    signals: dict[str, Sequence[Signal | None]] = field(default_factory=dict)
    workers: int = 0
    """Threads that read ahead; 0 where everything is in memory."""
    limit: int = 0
    """Bytes that the cache may take, for what is made of the signals."""

    def __len__(self) -> int:
        return len(self.ids)

    def digest(self) -> str:
        """SHA-256 of what training reads: ids, targets, presence and every array, with its name and shape."""
        total = hashlib.sha256("\n".join(map(repr, self.ids)).encode())
        for name, part in (("", self.target), ("", self.present), *self.inputs.items()):
            total.update(f"\n{name} {part.dtype} {part.shape}\n".encode())
            for block in blocks(part):
                total.update(np.ascontiguousarray(block).data)
        return total.hexdigest()


def read_split(
    manifest: Manifest,
    modalities: Sequence[Modality],
    classes: Sequence[str],
    on_bad: OnBad = "error",
    advance: Callable[[int], None] = lambda rows: None,
    fit: bool = False,
    keep: Sequence[str] = (),
    storage: Storage = IN_MEMORY,
    kept: NDArray[np.bool_] | None = None,
) -> tuple[Split, list[Modality]]:
    """A split, and the modalities; with `fit`, fitted to it (scales, vocabularies). In memory, the canonical signals
    stay of the modalities in `keep`. What is not `kept` (samples, modality) is missing; only the cache reads it, for
    trainings that keep it."""
    labels = targets(manifest, classes)
    if kept is None:
        kept = np.ones((len(manifest), len(modalities)), dtype=bool)
    if storage.mode == "cache":
        signals, present, bad = hold_shards(manifest, modalities, kept, on_bad, storage, advance)
    else:
        for m, modality in enumerate(modalities):
            manifest = manifest.keep_cells(modality, kept[:, m])
        if storage.mode == "memory":
            return read_whole(manifest, modalities, labels, on_bad, advance, fit, keep)
        signals, present, bad = hold_cells(manifest, modalities, on_bad, storage, advance)
    if fit:
        modalities = [m.fit_to(s for s in signals[m.name] if s is not None) for m in modalities]
    inputs: dict[str, Rows] = {m.name: FedRows(m, signals[m.name]) for m in modalities}
    return Split(manifest.ids, inputs, present, labels, bad, signals, storage.workers, storage.limit), list(modalities)


Held = tuple[dict[str, Sequence[Signal | None]], NDArray[np.bool_], list[str]]
"""Signals by modality, presence (samples, modality), and what could not be read."""


def hold_shards(
    manifest: Manifest,
    modalities: Sequence[Modality],
    kept: NDArray[np.bool_],
    on_bad: OnBad,
    storage: Storage,
    advance: Callable[[int], None],
) -> Held:
    """The split in shards of the cache; those that are not there are made."""
    shards: dict[str, list[Shard]] = {m.name: [] for m in modalities}

    def open_part(part: Manifest, modality: Modality) -> tuple[list[bool], Mapping[int, str]]:
        shard = cache.open_shard(part, modality, storage.workers)
        shards[modality.name].append(shard)
        return shard.present(), shard.bad

    present, bad = look_through(manifest, modalities, kept, on_bad, advance, open_part)
    signals: dict[str, Sequence[Signal | None]] = {
        m.name: ShardedSignals(shards[m.name], cache.SHARD_ROWS, present[:, column])
        for column, m in enumerate(modalities)
    }
    return signals, present, bad


def hold_cells(
    manifest: Manifest,
    modalities: Sequence[Modality],
    on_bad: OnBad,
    storage: Storage,
    advance: Callable[[int], None],
) -> Held:
    """The split as its files; each is read once to see that it can be."""
    decoded = [DecodedSignals(manifest, m) for m in modalities]

    def read_part(part: Manifest, modality: Modality) -> tuple[list[bool], Mapping[int, str]]:
        there, bad = [], {}
        for row, found in enumerate(read_cells(part, modality, storage.workers)):
            if isinstance(found, DataError):
                bad[row] = str(found)
            there.append(found is not None and row not in bad)
        return there, bad

    everything = np.ones((len(manifest), len(modalities)), dtype=bool)
    present, bad = look_through(manifest, modalities, everything, on_bad, advance, read_part)
    for each, there in zip(decoded, present.T, strict=True):
        each.present = there
    return {each.modality.name: each for each in decoded}, present, bad


def look_through(
    manifest: Manifest,
    modalities: Sequence[Modality],
    kept: NDArray[np.bool_],
    on_bad: OnBad,
    advance: Callable[[int], None],
    look: Callable[[Manifest, Modality], tuple[list[bool], Mapping[int, str]]],
) -> tuple[NDArray[np.bool_], list[str]]:
    """Presence (samples, modality), and what cannot be read of what is kept. `look` says of the rows of a shard which
    are there, and which are bad."""
    present, told, start = kept.copy(), list[str](), 0
    for part in cache.split_shards(manifest):
        rows = slice(start, start + len(part))
        for m, modality in enumerate(modalities):
            there, bad = look(part, modality)
            present[rows, m] &= there
            for row, reason in bad.items():
                if kept[start + row, m]:
                    told.append(refuse_or_tell(part, row, modality, DataError(reason), on_bad))
        start = rows.stop
        advance(len(part))
    return present, told


def read_whole(
    manifest: Manifest,
    modalities: Sequence[Modality],
    labels: NDArray[np.int64],
    on_bad: OnBad,
    advance: Callable[[int], None],
    fit: bool,
    keep: Sequence[str],
) -> tuple[Split, list[Modality]]:
    """The split in memory."""
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
    inputs: dict[str, Rows] = {}
    stay: dict[str, Sequence[Signal | None]] = {}
    for m in modalities:
        signals = columns.pop(m.name)
        fed = collate_signals(m, signals)
        inputs[m.name] = fed
        if m.name in keep:
            stay[m.name] = share_memory(m, signals, fed)
    return Split(manifest.ids, inputs, present, labels, bad, stay), list(modalities)


def share_memory(modality: Modality, signals: Sequence[Signal | None], fed: NDArray[Any]) -> list[Signal | None]:
    """The signals, as views of what was fed where feeding changes nothing: they are not held twice."""
    pairs = zip(signals, fed, strict=True)
    return [row if isinstance(s, np.ndarray) and modality.feed(s) is s else s for s, row in pairs]
