"""Corruptions of whole samples: which modalities get which corruption, together, or another sample's signal.

The physics stays with the corruptions of single signals. What is decided here is drawn once for the sample, so that
its modalities are corrupted together; a sample that carries another one's signal names that one's row.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np

from robustmm.config.options import check_options, keyword_parameters
from robustmm.config.registry import Registry
from robustmm.corruptions.base import canonical_name, kinds
from robustmm.corruptions.base import names as single_names
from robustmm.corruptions.draws import LEVELS, generator, strength
from robustmm.corruptions.signals import KINDS
from robustmm.errors import UsageError, suggest

DRAWS = 50
"""Samples tried for one that may be carried; where none fits, the sample keeps its own signal."""


class Input(Protocol):
    """What this module needs of a modality."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...


@dataclass(frozen=True)
class Pool:
    """The samples that signals may come from: ids, labels, and who has which modality, in the manifest's order."""

    ids: Sequence[str]
    labels: Sequence[str]
    has: Callable[[str, int], bool]  # (modality, row)

    @cached_property
    def sorted_rows(self) -> list[int]:
        """Rows by id: what is drawn must not depend on the manifest's order."""
        return sorted(range(len(self.ids)), key=lambda row: self.ids[row])

    @cached_property
    def rows_by_label(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for row in self.sorted_rows:
            found.setdefault(self.labels[row], []).append(row)
        return found


@dataclass(frozen=True)
class Sample:
    """A sample as a pair sees it: its row, and the modalities that may be corrupted."""

    row: int
    modalities: tuple[Input, ...]
    pool: Pool


Fault = tuple[str, float] | int
"""A corruption and its level, or the row whose signal is carried."""


@dataclass(frozen=True)
class SampleCorruption:
    """A pure function of (sample, strength, generator) that gives the faults of the sample by modality."""

    name: str
    kinds: tuple[str, ...]
    unit: str
    table: tuple[float, ...]
    source: str
    function: Callable[..., dict[str, Fault]] = field(repr=False)
    doc: str = field(default="", repr=False)

    def __call__(self, sample: Sample, level: float, seed: int) -> dict[str, Fault]:
        """The faults by modality; none at level 0."""
        if level == 0 or not sample.modalities:
            return {}
        rng = generator(seed, sample.pool.ids[sample.row], "", self.name)
        return self.function(sample, self.strength(level), rng)

    def strength(self, level: float) -> float:
        return float(strength(level, self.table))

    def options(self) -> dict[str, Any]:
        """The options that `with_options` takes, with their defaults."""
        return {p.name: p.default for p in keyword_parameters(self.function, 3)}

    def with_options(self, **options: Any) -> "SampleCorruption":
        """This one with options of its function set."""
        if not options:
            return self
        return replace(
            self, function=partial(self.function, **check_options("corruption", self.name, self.function, 3, options))
        )


_PAIRS: Registry[SampleCorruption] = Registry("corruption")


def names() -> list[str]:
    """The registered corruptions of whole samples, sorted."""
    return list(_PAIRS)


def is_sample_corruption(name: str) -> bool:
    return canonical_name(name) in _PAIRS


def find_sample_corruption(name: str) -> SampleCorruption:
    """The corruption of whole samples of this name."""
    return _PAIRS[canonical_name(name)]


def supported_kinds(name: str) -> Sequence[str]:
    """The kinds that a corruption of either sort serves. Raises UsageError for a name that nothing has."""
    if is_sample_corruption(name):
        return find_sample_corruption(name).kinds
    if ":" not in name and canonical_name(name) not in single_names():
        raise UsageError(f'"{name}" is not a corruption{suggest(name, [*single_names(), *names()])}')
    return kinds(name)


def _register(
    name: str, unit: str, source: str, serves: Sequence[str] = KINDS, table: Sequence[float] = LEVELS
) -> Callable[[Callable[..., dict[str, Fault]]], SampleCorruption]:
    def add_entry(function: Callable[..., dict[str, Fault]]) -> SampleCorruption:
        entry = SampleCorruption(name, tuple(serves), unit, tuple(table), source, function, function.__doc__ or "")
        return _PAIRS.register(name)(entry)

    return add_entry


# -- one event, several sensors


TOGETHER: dict[str, tuple[str, dict[str, str]]] = {
    "storm": (
        "Rain before the camera and on the microphone",
        {"image": "rain", "video": "rain", "audio": "pink-noise"},
    ),
    "crowd": (
        "People before the camera, and their voices",
        {"image": "occlusion", "video": "occlusion", "audio": "babble"},
    ),
    "interference": (
        "One electrical fault: lost rows in the picture, hum in the sound, mains in the sensors",
        {"image": "defective-rows", "video": "defective-rows", "audio": "hum", "series": "mains"},
    ),
    "shock": (
        "A blow to the device: the picture shakes, the microphone clicks, the sensors spike",
        {"image": "motion-blur", "video": "camera-shake", "audio": "clicks", "series": "spikes"},
    ),
}
"""Event -> what it is, and the corruption of each kind it reaches."""


def _build_event(what: str, parts: dict[str, str]) -> Callable[..., dict[str, Fault]]:
    def event(sample: Sample, level: float, rng: np.random.Generator) -> dict[str, Fault]:
        level *= rng.uniform(0.5, 1)
        return {m.name: (parts[m.kind], level) for m in sample.modalities if m.kind in parts}

    event.__doc__ = f"{what}, all at one strength: the level times a factor in [0.5, 1] drawn once for the sample."
    return event


for _name, (_what, _parts) in TOGETHER.items():
    _register(
        _name,
        "level of each part, for the hardest hit sample",
        "ours, after the co-occurring pairs of AVRobustBench",
        tuple(sorted(_parts)),
    )(_build_event(_what, _parts))


@_register("travelling", "level of the fault", "ours: one fault that goes round")
def travelling(sample: Sample, level: float, rng: np.random.Generator, *, fault: str = "blank") -> dict[str, Fault]:
    """One modality of each sample, drawn anew for every sample, meets the fault; the others are whole."""
    able = tuple(m for m in sample.modalities if m.kind in kinds(fault))
    return {_draw_modality(replace(sample, modalities=able), rng): (fault, level)} if able else {}


@_register(
    "desynchronise", "delay, fraction of the duration", "MultiCorrupt's temporal misalignment",
    serves=("audio", "series", "video"), table=(0.02, 0.05, 0.1, 0.2, 0.4),
)  # fmt: skip
def desynchronise(sample: Sample, delay: float, rng: np.random.Generator) -> dict[str, Fault]:
    """One modality in time of each sample, drawn anew for every sample, comes late against the others."""
    return {_draw_modality(sample, rng): ("delay", float(np.interp(delay, (0, *desynchronise.table), (0, *LEVELS))))}


# -- another sample's signal


@_register("stale", "fraction of the samples", "ours: a buffer that was not refreshed")
def stale(sample: Sample, fraction: float, rng: np.random.Generator, *, age: int = 1) -> dict[str, Fault]:
    """One modality, drawn by sample, still holds the sample `age` rows before in the manifest, where there is one."""
    happens, modality = rng.random() < fraction, _draw_modality(sample, rng)
    earlier = sample.row - age
    return {modality: earlier} if happens and earlier >= 0 and sample.pool.has(modality, earlier) else {}


@_register("swap-same-class", "fraction of the samples", "ours: the pairing that a label allows")
def swap_same_class(sample: Sample, fraction: float, rng: np.random.Generator) -> dict[str, Fault]:
    """One modality, drawn by sample, is that of another sample of the same class."""
    return _swap_modality(sample, fraction, rng, same=True)


@_register("swap-other-class", "fraction of the samples", "ours: contradiction between modalities")
def swap_other_class(sample: Sample, fraction: float, rng: np.random.Generator) -> dict[str, Fault]:
    """One modality, drawn by sample, is that of a sample of another class: the modalities contradict each other."""
    return _swap_modality(sample, fraction, rng, same=False)


def _swap_modality(sample: Sample, fraction: float, rng: np.random.Generator, same: bool) -> dict[str, Fault]:
    happens, modality = rng.random() < fraction, _draw_modality(sample, rng)
    pool, label = sample.pool, sample.pool.labels[sample.row]
    rows = pool.rows_by_label[label] if same else pool.sorted_rows
    for row in rng.choice(rows, DRAWS).tolist() if happens else ():
        if row != sample.row and (pool.labels[row] == label) == same and pool.has(modality, row):
            return {modality: row}
    return {}


def _draw_modality(sample: Sample, rng: np.random.Generator) -> str:
    return sample.modalities[int(rng.integers(len(sample.modalities)))].name
