"""What the rules see: samples of a split, clean or corrupted, through the model; what was encoded is kept on disk.

A file is named by the hash of all that its numbers depend on: the encoder with what the detectors read, the samples,
the corruption and its level.
"""

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from robustmm.conditions.condition import build_corruption, corrupt_signal
from robustmm.data.loading import targets
from robustmm.data.manifest import Manifest
from robustmm.files import make_folder
from robustmm.guard import examples
from robustmm.guard.detectors.broken import CERTAIN
from robustmm.guard.detectors.modality import COLUMNS
from robustmm.guard.examples import MISMATCHED, Encoded, Fault, encode_signals, read_signals
from robustmm.guard.graph.answers import list_decoded
from robustmm.guard.harden import Observed
from robustmm.guard.table import Table
from robustmm.modalities import Modality, Signal
from robustmm.progress import Reporter
from robustmm.runtime.graph import extract_part
from robustmm.runtime.runner import Runner
from robustmm.runtime.session import Session

Array = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]
Wide = Mapping[str, NDArray[np.float32]]
ROWS = 1024


@dataclass(frozen=True)
class View:
    """Samples as the rules see them: `table` is what ours reads; `z` (modality, sample, width); `logits` and calibrated
    `p` (sample, decoded subset, class)."""

    table: Table
    z: NDArray[np.float32]
    columns: NDArray[np.float32]  # (modality, sample, COLUMNS)
    logits: NDArray[np.float32]
    p: NDArray[np.float32]

    @cached_property
    def number(self) -> dict[tuple[bool, ...], int]:
        return {tuple(mask): k for k, mask in enumerate(list_decoded(len(self.z)).tolist())}

    def alone(self, m: int) -> int:
        """Which decoded subset is modality m alone."""
        return self.number[tuple((np.arange(len(self.z)) == m).tolist())]

    def without(self, m: int) -> int:
        return self.number[tuple((np.arange(len(self.z)) != m).tolist())]

    def take(self, rows: NDArray[Any]) -> "View":
        return View(self.table.take(rows), self.z[:, rows], self.columns[:, rows], self.logits[rows], self.p[rows])


@dataclass(frozen=True)
class Split:
    """A split: signals, and clean wide embeddings (sample, width + COLUMNS) by modality."""

    ids: Sequence[str]
    signals: Mapping[str, Sequence[Signal | None]]
    clean: Wide
    present: NDArray[np.bool_]
    target: NDArray[np.int64]


class Lens:
    """A model and what its guard observes; makes views."""

    def __init__(self, session: Session, seen: Observed) -> None:
        self.session, self.seen, self.names = session, seen, session.names
        given, a = ["present", *(f"z.{n}" for n in self.names)], seen.answers
        self.runner = Runner(extract_part(seen.subject.model, given, [a.features, a.probabilities, a.raw["logits"]]))
        self.encoder = {
            n: hashlib.sha256(extract_part(seen.subject.model, [n], [f"z.{n}"]).SerializeToString()).hexdigest()
            for n in self.names
        }

    def look(self, z: Wide, present: NDArray[np.bool_], target: NDArray[np.int64]) -> View:
        """Through the graph as far as the decision."""
        parts = []
        for start in range(0, len(target), ROWS):
            part = slice(start, start + ROWS)
            parts.append(self.runner.run({"present": present[part], **{f"z.{n}": z[n][part] for n in self.names}}))
        features, answers, logits = zip(*parts, strict=True)
        raw = np.concatenate(logits, 1).transpose(1, 0, 2)
        wide = np.stack([z[n] for n in self.names])
        here = present & (np.isfinite(wide).all(-1) & (wide[..., -1] < CERTAIN)).T
        masks = list_decoded(len(self.names))
        scale = self.seen.temperature.scale(masks & here[:, None])
        table = Table(
            np.arange(len(target)), np.full(here.shape, -1), np.concatenate(features), np.concatenate(answers),
            here, target,
        )  # fmt: skip
        return View(table, wide[..., :-COLUMNS], wide[..., -COLUMNS:], raw, softmax(raw / scale, -1))

    def read(self, rows: Manifest, tell: Reporter) -> Split:
        with tell.stage(f"reading {len(rows)} samples", len(rows)) as advance:
            samples = read_signals(rows, self.session.modalities, "error", advance)
        clean = {m.name: encode_signals(m, samples.signals[m.name], self.seen.encode) for m in self.session.modalities}
        return Split(samples.ids, samples.signals, clean, samples.present(), targets(rows, self.session.classes))


class Cache:
    """Arrays by what they depend on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_folder(folder)

    def keep(self, parts: Sequence[str], make: Callable[[], Arrays]) -> Arrays:
        path = self.folder / f"{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:24]}.npz"
        if not path.is_file():
            found = make()
            half = path.with_suffix(".part.npz")
            np.savez(half, **found)
            half.replace(path)
        with np.load(path) as file:
            return dict(file)


def name_samples(ids: Sequence[str], present: NDArray[np.bool_]) -> str:
    return hashlib.sha256("\0".join(ids).encode() + present.tobytes()).hexdigest()


def corrupt_valid(lens: Lens, cache: Cache, tell: Reporter) -> list[list[Encoded]]:
    """What `table.corrupt_all` gives, kept by modality."""
    seen, found = lens.seen, []
    source = "".join(map(inspect.getsource, (examples.corrupt_modality, examples.list_corruptions)))
    for k, m in enumerate(lens.session.modalities):
        here = int(seen.present[:, k].sum())
        chosen = examples.list_corruptions(m)
        count = examples.count_signals(here, len(chosen))

        def make(m: Modality = m, total: int = count * len(chosen)) -> Arrays:
            with tell.stage(f"corrupting {m.name} of valid", total) as advance:
                made = examples.corrupt_modality(m, seen.ids, seen.signals[m.name], seen.encode, advance)
            return {
                "faults": np.array([each.fault[1:3] for each in made]),
                "levels": np.array([each.fault.level for each in made]),
                "sizes": np.array([len(each.rows) for each in made]),
                "rows": np.concatenate([each.rows for each in made]),
                "z": np.concatenate([each.z for each in made]),
            }

        key = [lens.encoder[m.name], name_samples(seen.ids, seen.present), source, str(count)]
        kept = cache.keep(key, make)
        ends = np.cumsum(kept["sizes"])[:-1]
        found.append([
            Encoded(Fault(m.name, str(family), str(name), float(level)), rows, z)
            for (family, name), level, rows, z in zip(
                kept["faults"], kept["levels"], np.split(kept["rows"], ends), np.split(kept["z"], ends), strict=True
            )
        ])  # fmt: skip
        found[-1].append(examples.mismatch(m.name, seen.clean[m.name], seen.present[:, k], count))
    return found


def corrupt_test(lens: Lens, cache: Cache, test: Split, fault: Fault) -> NDArray[np.float32]:
    """Wide embeddings (sample, width + COLUMNS) of the test split under a fault; clean where the modality is absent."""
    m = lens.session.modality(fault.modality)
    here, z = test.present[:, lens.names.index(m.name)], test.clean[fault.modality].copy()
    if fault.name == MISMATCHED:
        other = examples.mismatch(m.name, z, here, int(here.sum()))
        z[other.rows] = other.z
        return z

    def make() -> Arrays:
        corruption, rows = build_corruption(fault.name, m, {}), np.flatnonzero(here)
        made = []
        for row in rows:
            signal = test.signals[m.name][row]
            assert signal is not None
            made.append(corrupt_signal(signal, corruption, fault.level, 0, test.ids[row], m))
        z[rows] = encode_signals(m, made, lens.seen.encode)
        return {"z": z}

    key = [lens.encoder[m.name], name_samples(test.ids, test.present), fault.name, repr(fault.level)]
    return cache.keep(key, make)["z"]
