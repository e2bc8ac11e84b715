"""A condition applied to the rows of a manifest: the signal of each sample, and the presence mask."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from robustmm.conditions.condition import Condition, Step, build_corruption, corrupt_signal
from robustmm.corruptions import pairs
from robustmm.data.loading import OnBad, read_cell, refuse_or_tell
from robustmm.data.manifest import Manifest
from robustmm.errors import DataError
from robustmm.modalities import Modality, Signal

KEPT_FAULTS = 1024
"""Draws for whole samples that are kept: those of the rows that are measured together."""


class Plan:
    """One condition on a manifest. Its draws depend on (seed, id), never on the batches."""

    def __init__(
        self, condition: Condition, modalities: Sequence[Modality], manifest: Manifest, seed: int, on_bad: OnBad
    ) -> None:
        self.condition, self.manifest, self.seed, self.on_bad = condition, manifest, seed, on_bad
        self.modalities = {m.name: m for m in modalities}
        self.cells = {m.name: manifest.cells(m) for m in modalities}
        self.steps = condition.resolve_steps(modalities)
        self.changed_modalities = condition.changed_modalities(modalities)
        self.present = condition.draw_presence(manifest, list(self.modalities), seed)
        self.pool = pairs.Pool(manifest.ids, manifest.labels, self._has)
        self._draw_faults = lru_cache(KEPT_FAULTS)(self._draw_sample_faults)

    def _has(self, modality: str, row: int) -> bool:
        return bool(self.cells[modality][row])

    def noises(self, modality: str) -> list[Step]:
        """The corruptions that may be applied to a modality."""
        return [step for step in self.steps if modality in step.on]

    def define(self) -> list[object]:
        """What is done to the samples, in plain values, whatever the condition is called."""
        c = self.condition
        noises = [
            [n.name, n.level, n.probability, n.options, list(step.on)]
            for n, step in zip(c.noises, self.steps, strict=True)
        ]
        missing = {name: rate for name, rate in c.missing.items() if rate}
        return [noises, missing, sorted(c.present), c.burst, c.table, c.fill]

    def presence_mask(self, here: NDArray[np.bool_], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """The presence mask that the model reads (batch, modality); `here` says which inputs the samples have."""
        return here & self.present[rows] if self.condition.fill == "masked" else here

    def key(self, modality: str) -> str:
        """A key for what happens to this modality's signals, empty if nothing: conditions that share it share
        embeddings."""
        c = self.condition
        found: list[object] = [
            (n.name, n.level, n.probability, sorted(n.options.items()), sorted(step.on) if step.pair else ())
            for n, step in zip(c.noises, self.steps, strict=True)
            if modality in step.on
        ]
        if c.fill != "masked" and c.can_be_missing(modality):
            found.append((c.fill, c.missing.get(modality), bool(c.present), c.burst, c.table))
        return repr(found) if found else ""

    def build_corrupter(self, modality: Modality) -> Callable[[int, str, Signal | None], Signal | None]:
        """A function of (row, id, signal) that gives the signal under this condition."""
        m = list(self.modalities).index(modality.name)

        def apply(row: int, sample: str, signal: Signal | None) -> Signal | None:
            if signal is not None:
                signal = self._corrupt(sample, signal, row, modality)
                if self.condition.fill != "masked" and not self.present[row, m]:
                    signal = self._fill_missing(modality, m, row)
            return signal

        return apply

    def _corrupt(self, sample: str, signal: Signal, row: int, modality: Modality) -> Signal:
        for number, step in enumerate(self.steps):
            if modality.name not in step.on:
                continue
            chosen = step.on.get(modality.name)
            if chosen and step.is_applied(self.seed, sample, modality.name):
                signal = corrupt_signal(signal, chosen, step.level, self.seed, sample, modality)
            elif step.pair and step.is_applied(self.seed, sample, ""):
                fault = self._draw_faults(number, row).get(modality.name)
                if isinstance(fault, int):
                    found = self._read_signal(modality, fault)
                    signal = signal if found is None else found
                elif fault:
                    name, level = fault
                    signal = corrupt_signal(
                        signal, build_corruption(name, modality, {}), level, self.seed, sample, modality
                    )
        return signal

    def _draw_sample_faults(self, number: int, row: int) -> dict[str, pairs.Fault]:
        """What a corruption of whole samples does to a row, by modality; each modality asks for it."""
        step = self.steps[number]
        able = tuple(self.modalities[name] for name in step.on if self._has(name, row))
        return step.pair(pairs.Sample(row, able, self.pool), step.level, self.seed) if step.pair else {}

    def _read_signal(self, modality: Modality, row: int) -> Signal | None:
        """Another row's signal."""
        found = read_cell(modality, self.cells[modality.name][row], self.manifest.folder)
        if isinstance(found, DataError):
            refuse_or_tell(self.manifest, row, modality, found, self.on_bad)
            return None
        return found

    def _fill_missing(self, modality: Modality, m: int, row: int) -> Signal:
        """The signal that fills a missing input which the presence mask keeps."""
        if self.condition.fill == "stale":
            for earlier in range(row - 1, -1, -1):
                if self.present[earlier, m] and self._has(modality.name, earlier):
                    found = self._read_signal(modality, earlier)
                    if found is not None:
                        return found
        return "" if modality.kind == "text" else np.zeros(modality.shape, modality.dtype)
