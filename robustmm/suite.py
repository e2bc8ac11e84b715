"""A suite: one TOML that names conditions, alone or as grids. Its form is checked whole; modalities when it meets a
model: what serves none of them is left out of a grid, and refused in a condition."""

from collections.abc import Iterator, Sequence
from itertools import permutations
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from robustmm import contribution
from robustmm.conditions import Condition, Fill, Noise
from robustmm.corruptions import KINDS, corruption_for, pairs
from robustmm.errors import UsageError, known
from robustmm.modalities import Modality
from robustmm.shelf import text
from robustmm.toml import Section, parsed, sentence
from robustmm.toml_lines import line_of

Rate = Annotated[float, Field(ge=0, le=1)]
Rates = Annotated[tuple[Rate, ...], Field(min_length=1)]
LEVELS = (0.2, 0.4, 0.6, 0.8, 1.0)
ALL_ORDERS = 4
"""Modalities up to which every order of imbalanced rates is tried; above, every rotation."""


class NoiseTable(Section):
    name: str
    level: Rate
    on: tuple[str, ...] = ()
    probability: Rate = 1.0
    options: dict[str, Any] = {}
    kind: tuple[str, ...] = KINDS
    optional: bool = False
    """Left out on a model without a modality that it serves, and with it a condition that holds nothing else."""


class Table(Section):
    """What makes conditions."""

    def conditions(self, modalities: Sequence[Modality]) -> Iterator[Condition]:
        raise NotImplementedError


class ConditionTable(Table):
    """`missing` holds rates by modality; the key "*" stands for every modality not named."""

    name: str
    noise: tuple[NoiseTable, ...] = ()
    missing: dict[str, Rate] = {}
    present: tuple[str, ...] = ()
    burst: Annotated[int, Field(ge=1)] = 1
    table: str = ""
    fill: Fill = "masked"

    def conditions(self, modalities: Sequence[Modality]) -> Iterator[Condition]:
        rates = {m.name: self.missing.get(m.name, self.missing.get("*", 0.0)) for m in modalities}
        rates |= {name: rate for name, rate in self.missing.items() if name != "*"}  # a name nobody has is refused
        noises = []
        for n in self.noise:
            able = tuple(m.name for m in modalities if m.kind in n.kind and m.kind in pairs.serves(n.name))
            if able or not n.optional:
                on = n.on or (able if n.kind != KINDS else ())
                noises.append(Noise(n.name, n.level, on, n.probability, n.options))
        if noises or not self.noise:
            rates = rates if self.missing else {}
            yield Condition(self.name, tuple(noises), rates, self.present, self.burst, self.table, self.fill)


class GridTable(Table):
    """Every one of `noise` at every one of `level`: on each modality it serves by itself, or on all of them at once."""

    noise: Annotated[tuple[str, ...], Field(min_length=1)]
    level: Rates = LEVELS
    on: Literal["each", "all"] = "each"
    kind: tuple[str, ...] = KINDS
    probability: Rate = 1.0
    options: dict[str, Any] = {}

    def conditions(self, modalities: Sequence[Modality]) -> Iterator[Condition]:
        for name in self.noise:
            whole, serves = pairs.is_pair(name), pairs.serves(name)
            able = [m.name for m in modalities if m.kind in serves and m.kind in self.kind]
            ways = {f" on {m}": (m,) for m in able} if self.on == "each" and not whole else {"": tuple(able)}
            for where, on in ways.items() if able else ():
                for level in self.level:
                    noise = Noise(name, level, on, self.probability, self.options)
                    yield Condition(f"{name} {level:g}{where}", (noise,))


class MissingTable(Table):
    """Missing patterns: every one of some `subsets`; or every `rate`, one modality at a time or `all` alike; or
    `imbalanced` rates in every order over the modalities (as many as there are, read off the list)."""

    subsets: Literal["", "all", "only", "all-but"] = ""
    rate: Annotated[tuple[Rate, ...], Field()] = ()
    imbalanced: Annotated[tuple[Rate, ...], Field()] = ()
    on: Literal["each", "all"] = "all"
    burst: Annotated[int, Field(ge=1)] = 1
    fill: Fill = "masked"

    @model_validator(mode="after")
    def _one(self) -> "MissingTable":
        if (bool(self.subsets) + bool(self.rate) + bool(self.imbalanced)) != 1:
            raise ValueError("should hold one of subsets, rate and imbalanced")
        return self

    def conditions(self, modalities: Sequence[Modality]) -> Iterator[Condition]:
        names = [m.name for m in modalities]
        how = f" in bursts of {self.burst}" if self.burst > 1 else ""
        how += "" if self.fill == "masked" else f", {self.fill} stands in"
        if self.subsets:
            for kept in self._subsets(names):
                yield Condition(f"with {'+'.join(kept)}{how}", present=kept, fill=self.fill)
        for rate in self.rate:
            for where, lost in {f" {m}": [m] for m in names}.items() if self.on == "each" else [("", names)]:
                yield Condition(
                    f"missing{where} {rate:g}{how}", (), dict.fromkeys(lost, rate), burst=self.burst, fill=self.fill
                )
        for rates in self._orders(len(names)):
            written = "/".join(f"{rate:g}" for rate in rates)
            lost_at = dict(zip(names, rates, strict=True))
            yield Condition(f"missing {written}{how}", (), lost_at, burst=self.burst, fill=self.fill)

    def _subsets(self, names: list[str]) -> list[tuple[str, ...]]:
        M = len(names)
        if self.subsets == "all":
            if M > contribution.EXACT_LIMIT:
                raise UsageError(f'subsets = "all" takes up to {contribution.EXACT_LIMIT} modalities, found {M}')
            masks = sorted(contribution.subsets(M)[1:].tolist(), key=sum)
        else:
            one = np.eye(M, dtype=bool)
            masks = (one if self.subsets == "only" or M == 1 else ~one).tolist()
        return [tuple(n for n, kept in zip(names, mask, strict=True) if kept) for mask in masks]

    def _orders(self, count: int) -> list[tuple[float, ...]]:
        if not self.imbalanced:
            return []
        rates = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(self.imbalanced)), self.imbalanced)
        spread = [round(float(rate), 3) for rate in rates]
        if count <= ALL_ORDERS:
            return sorted(set(permutations(spread)))
        return [tuple(spread[i:] + spread[:i]) for i in range(count)]


class Suite(Section):
    condition: tuple[ConditionTable, ...] = ()
    grid: tuple[GridTable, ...] = ()
    missing: tuple[MissingTable, ...] = ()

    def conditions(self, modalities: Sequence[Modality]) -> list[Condition]:
        """The conditions on a model with these modalities, each name once."""
        found: dict[str, Condition] = {}
        tables: tuple[Table, ...] = (*self.condition, *self.grid, *self.missing)
        for table in tables:
            for made in table.conditions(modalities):
                found.setdefault(made.name, made)
        if not found:
            raise UsageError(f"none of the suite's conditions serves {', '.join(m.kind for m in modalities)}")
        return list(found.values())


def is_suite(path: Path) -> bool:
    """Whether a TOML file is a suite and not a recipe."""
    try:
        return not parsed(path).keys().isdisjoint(Suite.model_fields)
    except UsageError:
        return False


def load(path: Path) -> Suite:
    """The suite at `path`. Raises UsageError with every error found, each with its line."""
    content: dict[str, Any] = parsed(path)
    source = text(path)

    def told(place: Sequence[str | int], error: object) -> str:
        return f"{path}:{line_of(source, place)}: {error}"

    try:
        suite = Suite.model_validate(content)
    except ValidationError as error:
        found = sorted((line_of(source, item["loc"]), sentence(item, Suite, "", 0)) for item in error.errors())
        raise UsageError("\n".join(f"{path}:{line}: {one}" for line, one in found)) from error
    errors = []
    if not (suite.condition or suite.grid or suite.missing):
        errors.append(f"{path}: one of [[condition]], [[grid]] and [[missing]] should be given, found none")
    names = [table.name for table in suite.condition]
    errors += [
        told(("condition", i, "name"), f'two conditions are called "{name}"')
        for i, name in enumerate(names)
        if name in names[:i]
    ]
    for i, table in enumerate(suite.condition):
        for j, noise in enumerate(table.noise):
            if wrong := refusal(noise.name, noise.options):
                errors.append(told(("condition", i, "noise", j, "name"), f'condition "{table.name}": {wrong}'))
    for i, grid in enumerate(suite.grid):
        wrongs = [refusal(name, grid.options) for name in grid.noise]
        wrongs += [f'"{kind}" is not a kind{known(kind, KINDS)}' for kind in grid.kind if kind not in KINDS]
        wrongs += [unserved(name, grid.kind) for name in grid.noise] if not any(wrongs) else []
        errors += [told(("grid", i, "noise"), wrong) for wrong in wrongs if wrong]
    if errors:
        raise UsageError("\n".join(errors))
    return suite


def unserved(name: str, wanted: Sequence[str]) -> str:
    """Why a corruption can never be met on these kinds; empty where it can."""
    serves = pairs.serves(name)
    return "" if set(serves).intersection(wanted) else f'"{name}" serves {", ".join(serves)}, not {", ".join(wanted)}'


def refusal(name: str, options: dict[str, Any]) -> str:
    """Why there can be no corruption of this name with these options; empty where there can."""
    try:
        serves = pairs.serves(name)
        if pairs.is_pair(name):
            pairs.pair(name).having(**options)
        else:
            for kind in serves:
                corruption_for(name, kind).having(**options)
    except UsageError as error:
        return str(error)
    return ""
