"""A condition of an evaluation: the corruptions of every sample, in order, then its missing inputs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from robustmm.conditions import missing
from robustmm.corruptions import Corruption, corrupt, find_corruption, generator, pairs
from robustmm.data.manifest import Manifest
from robustmm.errors import UsageError, suggest
from robustmm.modalities import Audio, Modality, Signal

Fill = Literal["masked", "zero", "stale"]
"""How a missing input is filled. `masked`: not at all, and the presence mask drops it. `zero`, `stale`: with zeros or
with the last earlier sample's signal, and the presence mask keeps it."""


@dataclass(frozen=True)
class Noise:
    """A corruption at a level, on some modalities (on all whose kind it supports when `on` is empty), applied to each
    sample with a probability. A corruption of whole samples corrupts the modalities that it selects from `on`."""

    name: str
    level: float
    on: tuple[str, ...] = ()
    probability: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Condition:
    """Corruptions in order, then missing modalities: at rates (`burst` neighbouring rows at a time), all but those
    in `present`, or as a stored `table` says."""

    name: str
    noises: tuple[Noise, ...] = ()
    missing: dict[str, float] = field(default_factory=dict)
    present: tuple[str, ...] = ()
    burst: int = 1
    table: str = ""
    fill: Fill = "masked"

    @property
    def is_clean(self) -> bool:
        """Whether nothing is corrupted or missing."""
        return not (self.noises or any(self.missing.values()) or self.present or self.table)

    def resolve_steps(self, modalities: Sequence[Modality]) -> list["Step"]:
        """The corruptions resolved for these modalities. Raises UsageError for a name, kind or level that does not
        fit."""
        for name in (*self.present, *self.missing):
            if name not in [m.name for m in modalities]:
                raise UsageError(f'there is no modality "{name}"{suggest(name, [m.name for m in modalities])}')
        return [_resolve_step(noise, modalities) for noise in self.noises]

    def changed_modalities(self, modalities: Sequence[Modality]) -> list[str]:
        """The modalities that must be encoded again under this condition."""
        changed = {name for step in self.resolve_steps(modalities) for name in step.on}
        if self.fill != "masked":
            changed |= {m.name for m in modalities if self.can_be_missing(m.name)}
        return [m.name for m in modalities if m.name in changed]

    def can_be_missing(self, modality: str) -> bool:
        """Whether a sample may lack this modality under the missing pattern."""
        excluded = bool(self.present) and modality not in self.present
        return excluded or bool(self.table) or self.missing.get(modality, 0) > 0

    def draw_presence(self, rows: Manifest, names: Sequence[str], seed: int) -> NDArray[np.bool_]:
        """The presence mask of the missing pattern (samples, modality)."""
        present = missing.draw_presence_table(rows.ids, names, self.missing, seed, self.burst)
        if self.present:
            present &= np.isin(list(names), self.present)
        return present & missing.read_presence_table(Path(self.table), rows.ids, names) if self.table else present


@dataclass(frozen=True)
class Step:
    """One noise of a condition, resolved: a corruption per modality, or one of whole samples."""

    name: str
    level: float
    probability: float
    on: dict[str, Corruption | None]
    pair: pairs.SampleCorruption | None = None

    def strength(self, modality: str) -> tuple[float, str]:
        """The physical strength on a modality, and its unit."""
        chosen = self.pair or self.on[modality]
        assert chosen is not None
        return chosen.strength(self.level), chosen.unit

    def is_applied(self, seed: int, sample: str, modality: str) -> bool:
        """Whether the noise is applied to this sample: a seeded draw per sample, the same at every level."""
        return self.probability >= 1 or bool(
            generator(seed, sample, modality, f"{self.name} happens").random() < self.probability
        )


def _resolve_step(noise: Noise, modalities: Sequence[Modality]) -> Step:
    if not 0 <= noise.level <= 1:
        raise UsageError(f"the level of {noise.name} should be in [0, 1], found {noise.level:g}")
    by_name = {m.name: m for m in modalities}
    for name in noise.on:
        if name not in by_name:
            raise UsageError(f'there is no modality "{name}"{suggest(name, by_name)}')
    serves = pairs.supported_kinds(noise.name)
    pair = (
        pairs.find_sample_corruption(noise.name).with_options(**noise.options)
        if pairs.is_sample_corruption(noise.name)
        else None
    )
    chosen = list(dict.fromkeys(noise.on)) or [m.name for m in modalities if m.kind in serves]
    if not chosen:
        found = ", ".join(f"{m.name} ({m.kind})" for m in modalities)
        raise UsageError(f'"{noise.name}" serves {", ".join(serves)}; the model has {found}')
    if pair:
        for name in chosen:
            if by_name[name].kind not in serves:
                raise UsageError(
                    f'the corruption "{noise.name}" does not serve {by_name[name].kind}, only {", ".join(serves)}'
                )
        empty_pool = pairs.Pool(("",), ("",), lambda modality, row: False)
        sample = pairs.Sample(0, tuple(by_name[n] for n in chosen), empty_pool)
        faults = pair(sample, noise.level, 0)  # raises where these modalities do not fit
        if not all(isinstance(fault, int) for fault in faults.values()):  # corruptions, not other samples' signals
            for name in chosen:
                check_unit(by_name[name])
        return Step(noise.name, noise.level, noise.probability, dict.fromkeys(chosen), pair)
    on = {n: build_corruption(noise.name, by_name[n], noise.options) for n in chosen}
    return Step(noise.name, noise.level, noise.probability, dict(on))


def build_corruption(name: str, modality: Modality, options: dict[str, Any]) -> Corruption:
    """The corruption of this name on a modality, with its options and the table for its size. Raises UsageError for a
    modality whose unit of noise is not known."""
    check_unit(modality)
    return find_corruption(name, modality.kind).with_options(**options).for_shape(modality.shape)


def check_unit(modality: Modality) -> None:
    """Raises UsageError for series and features without the mean and std of the training data: their corruptions are
    in units of it."""
    lacking = [key for key in ("mean", "std") if getattr(modality, key, None) == ()]
    if lacking:
        keys = " and ".join(f"{key} = [...]" for key in lacking)
        raise UsageError(
            f"noise on {modality.name} is in units of the training data, which are not known: give {keys} under "
            f"[modality.{modality.name}] in the description, or a manifest whose train split has it"
        )


def corrupt_signal(
    signal: Signal, chosen: Corruption, level: float, seed: int, sample: str, modality: Modality
) -> Signal:
    """One sample's signal of one modality under one corruption."""
    facts: dict[str, Any] = {key: _as_array(getattr(modality, key, None) or None) for key in ("mean", "std")}
    if isinstance(modality, Audio):
        facts["rate"] = modality.rate
    return corrupt(signal, chosen, level, seed=seed, sample_id=sample, modality=modality.name, **facts)


@lru_cache(maxsize=64)
def _as_array(numbers: tuple[float, ...] | None) -> NDArray[np.float64] | None:
    """What is asked for every signal of a modality, made once; None stays."""
    return None if numbers is None else np.array(numbers, np.float64)


def build_condition(
    name: str,
    noises: Sequence[str],
    levels: Sequence[float],
    on: Sequence[str],
    missing: dict[str, float],
    options: Sequence[str] = (),
    table: str = "",
    fill: Fill = "masked",
) -> Condition:
    """A condition from a command line's options: one level for all corruptions, or one for each; `options` like
    `background.folder=noises`."""
    if noises and len(levels) not in (1, len(noises)):
        raise UsageError(f"--level should be given once or for each of the {len(noises)} --noise, found {len(levels)}")
    if not noises and (levels or on):
        raise UsageError("--level and --on go with a --noise, found none")
    given: dict[str, dict[str, Any]] = {}
    for option in options:
        key, separator, value = option.partition("=")
        owner, dot, key = key.rpartition(".")
        if not separator or not dot or owner not in noises:
            raise UsageError(f'--set is NOISE.OPTION=VALUE with a NOISE that is given, found "{option}"')
        given.setdefault(owner, {})[key] = value
    each = list(levels) * len(noises) if len(levels) == 1 else list(levels)
    corruptions = (Noise(n, x, tuple(on), options=given.get(n, {})) for n, x in zip(noises, each, strict=True))
    return Condition(name, tuple(corruptions), missing, table=table, fill=fill)
