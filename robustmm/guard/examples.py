"""Samples that the guard learns from: clean ones, and ones with faults that the catalogue makes, one or two at a time.

A modality's embedding follows from its input alone, so each modality is corrupted and encoded apart, and the examples
are put together from what there is. What two encodings of a sample have is the sample; the faults are independent.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from robustmm.conditions.condition import build_corruption, corrupt_signal
from robustmm.corruptions import LEVELS, family, kinds, names
from robustmm.data.loading import OnBad, Samples, collate_signals, read_batches
from robustmm.data.manifest import Manifest
from robustmm.errors import UsageError
from robustmm.modalities import Modality, Signal

CORRUPTED = 8_000
"""Corrupted signals of a modality, over all corruptions."""
FEWEST = 40
"""Corrupted signals of a corruption, at least."""
NUMBERS = 2**27
"""Probabilities of all examples at most."""
BATCH = 64
MISMATCHED = "mismatch"
"""The fault of an input that belongs to another sample: a good signal, which the other modalities contradict."""

Encode = Callable[[str, NDArray[Any]], NDArray[np.float32]]
"""A modality and its inputs (batch, *shape) to embeddings (batch, width)."""


class Fault(NamedTuple):
    """What was done to a modality's signals."""

    modality: str
    family: str
    name: str
    level: float


@dataclass(frozen=True)
class Encoded:
    """The samples of one modality under one fault: rows of the split, and an embedding for each."""

    fault: Fault
    rows: NDArray[np.int64]
    z: NDArray[np.float32]


def list_corruptions(modality: Modality) -> list[str]:
    """The corruptions that a modality can be given without a file or an option."""
    found = []
    for name in names():
        if modality.kind in kinds(name):
            try:
                build_corruption(name, modality, {})
            except UsageError:
                continue
            found.append(name)
    return found


def name_family(name: str, modality: Modality) -> str:
    """The family of a corruption: blur, weather, device, ... Where a kind has one family, each corruption is one."""
    families = {n: family(n, modality.kind) for n in list_corruptions(modality)}
    return families[name] if len(set(families.values())) > 1 else name


def count_signals(samples: int, corruptions: int) -> int:
    """Signals of each corruption."""
    return min(samples, max(FEWEST, CORRUPTED // max(1, corruptions)))


def corrupt_modality(
    modality: Modality,
    ids: Sequence[str],
    signals: Sequence[Signal | None],
    encode: Encode,
    advance: Callable[[int], None],
) -> list[Encoded]:
    """Every corruption at every level on some of the samples, each level on a share of them."""
    here = np.flatnonzero([signal is not None for signal in signals])
    chosen = list_corruptions(modality)
    rng = np.random.default_rng(0)
    found = []
    for name in chosen:
        corruption = build_corruption(name, modality, {})
        rows = np.sort(rng.permutation(here)[: count_signals(len(here), len(chosen))])
        group = name_family(name, modality)
        for level, part in zip(LEVELS, np.array_split(rng.permutation(rows), len(LEVELS)), strict=True):

            def one(row: int, level: float = level, corruption: Any = corruption) -> Signal:
                signal = signals[row]
                assert signal is not None
                return corrupt_signal(signal, corruption, level, 0, ids[row], modality)

            with ThreadPoolExecutor(2) as pool:
                made = list(pool.map(one, part.tolist()))
            if made:
                z = encode_signals(modality, made, encode)
                found.append(Encoded(Fault(modality.name, group, name, level), part, z))
            advance(len(made))
    return found


def encode_signals(modality: Modality, signals: Sequence[Signal | None], encode: Encode) -> NDArray[np.float32]:
    parts = [signals[i : i + BATCH] for i in range(0, len(signals), BATCH)]
    return np.concatenate([encode(modality.name, collate_signals(modality, part)) for part in parts])


def mismatch(modality: str, z: NDArray[np.float32], here: NDArray[np.bool_], count: int) -> Encoded:
    """Embeddings (sample, width) of other samples in the place of some samples' own. Each modality has others, or two
    that are both mismatched would agree."""
    rng = np.random.default_rng([1, *modality.encode()])
    rows = np.flatnonzero(here)
    other = rng.permutation(rows)
    some = np.sort(rng.permutation(len(rows))[:count])
    return Encoded(Fault(modality, MISMATCHED, MISMATCHED, 1.0), rows[some], z[other[some]])


def read_signals(
    rows: Manifest, modalities: Sequence[Modality], on_bad: OnBad, advance: Callable[[int], None]
) -> Samples:
    """A split, read; a batch at a time."""
    parts = []
    for part, samples in read_batches(rows, modalities, 256, on_bad):
        parts.append(samples)
        advance(part.stop - part.start)
    signals = {m.name: [s for part in parts for s in part.signals[m.name]] for m in modalities}
    return Samples(rows.ids, signals, [sentence for part in parts for sentence in part.bad])


class Example(NamedTuple):
    """Which encodings meet in an example: the row, and the fault of each modality by its number, -1 where clean."""

    row: int
    faults: tuple[int, ...]


def combine(encoded: Sequence[Sequence[Encoded]], samples: int, most: int) -> list[Example]:
    """Every sample clean, then one fault each, then two. `encoded` holds the faults of every modality. As many as there
    may be: of the others a random part."""
    rng = np.random.default_rng(2)
    M = len(encoded)
    clean = [Example(row, (-1,) * M) for row in range(samples)]
    single = [
        Example(int(row), tuple(k if i == m else -1 for i in range(M)))
        for m in range(M)
        for k, each in enumerate(encoded[m])
        for row in each.rows
    ]
    single = [single[i] for i in np.sort(rng.permutation(len(single))[: max(0, 3 * (most - samples) // 4)])]
    by_row: list[dict[int, list[int]]] = [{} for _ in range(M)]
    for m in range(M):
        for k, each in enumerate(encoded[m]):
            for row in each.rows:
                by_row[m].setdefault(int(row), []).append(k)
    double = []
    for _ in range(len(single) // 3 if M > 1 else 0):
        a, b = rng.choice(M, 2, replace=False)
        row = int(rng.integers(samples))
        if row in by_row[a] and row in by_row[b]:
            faults = [-1] * M
            for m in (a, b):
                faults[m] = int(rng.choice(by_row[m][row]))
            double.append(Example(row, tuple(faults)))
    return clean + single + double
