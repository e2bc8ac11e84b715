"""The tables that a suite is made of: conditions, grids of corruptions, missing patterns, searches."""

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from robustmm.conditions.condition import Condition, Fill, Noise
from robustmm.config.toml import Section
from robustmm.corruptions import KINDS, LEVELS, pairs
from robustmm.errors import UsageError
from robustmm.metrics import contribution
from robustmm.modalities import Modality

Rate = Annotated[float, Field(ge=0, le=1)]
Rates = Annotated[tuple[Rate, ...], Field(min_length=1)]
FILL_NAMES: dict[Fill, str] = {"masked": "", "zero": ", filled with zeros", "stale": ", filled with the last value"}
"""The end of a condition's name, by fill."""
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
    """Left out on a model without a modality that it supports; a condition that holds nothing else goes with it."""


class Table(Section):
    """A table that yields conditions."""

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
        rates |= {name: rate for name, rate in self.missing.items() if name != "*"}  # an unknown name is refused later
        noises = []
        for n in self.noise:
            able = tuple(m.name for m in modalities if m.kind in n.kind and m.kind in pairs.supported_kinds(n.name))
            if not able and not n.on and n.kind != KINDS and not n.optional:
                raise UsageError(
                    f'condition "{self.name}": {n.name} on {", ".join(n.kind)} serves no modality of the model '
                    f"({', '.join(f'{m.name}: {m.kind}' for m in modalities)}); it may be optional = true"
                )
            if able or not n.optional:
                on = n.on or (able if n.kind != KINDS else ())
                noises.append(Noise(n.name, n.level, on, n.probability, n.options))
        if noises or not self.noise:
            rates = rates if self.missing else {}
            yield Condition(self.name, tuple(noises), rates, self.present, self.burst, self.table, self.fill)


class GridTable(Table):
    """Every corruption in `noise` at every `level`: on each modality it supports, or on all of them at once."""

    noise: Annotated[tuple[str, ...], Field(min_length=1)]
    level: Rates = LEVELS
    on: Literal["each", "all"] = "each"
    kind: tuple[str, ...] = KINDS
    probability: Rate = 1.0
    options: dict[str, Any] = {}

    def conditions(self, modalities: Sequence[Modality]) -> Iterator[Condition]:
        how = "".join(f", {key} {value}" for key, value in sorted(self.options.items()))
        how += f", met by {self.probability:g}" if self.probability < 1 else ""
        for name in self.noise:
            whole, serves = pairs.is_sample_corruption(name), pairs.supported_kinds(name)
            able = [m.name for m in modalities if m.kind in serves and m.kind in self.kind]
            ways = {f" on {m}": (m,) for m in able} if self.on == "each" and not whole else {"": tuple(able)}
            for where, on in ways.items() if able else ():
                for level in self.level:
                    noise = Noise(name, level, on, self.probability, self.options)
                    yield Condition(f"{name} {level:g}{where}{how}", (noise,))


class MissingTable(Table):
    """Missing patterns: a family of `subsets`; or every `rate`, of one modality at a time or of `all` alike; or
    `imbalanced` rates in every order over the modalities (the list is interpolated to their number)."""

    subsets: Literal["", "all", "only", "all-but"] = ""
    rate: Annotated[tuple[Rate, ...], Field()] = ()
    imbalanced: Annotated[tuple[Rate, ...], Field()] = ()
    on: Literal["each", "all"] = "all"
    burst: Annotated[int, Field(ge=1)] = 1
    fill: Fill = "masked"

    @model_validator(mode="after")
    def _check_one_pattern(self) -> "MissingTable":
        if (bool(self.subsets) + bool(self.rate) + bool(self.imbalanced)) != 1:
            raise ValueError("should hold one of subsets, rate and imbalanced")
        return self

    def conditions(self, modalities: Sequence[Modality]) -> Iterator[Condition]:
        names = [m.name for m in modalities]
        how = f" in bursts of {self.burst}" if self.burst > 1 else ""
        how += FILL_NAMES[self.fill]
        if self.subsets:
            for kept in self._list_subsets(names):
                yield Condition(f"with {'+'.join(kept)}{how}", present=kept, fill=self.fill)
        for rate in self.rate:
            for where, lost in {f" {m}": [m] for m in names}.items() if self.on == "each" else [("", names)]:
                yield Condition(
                    f"missing{where} {rate:g}{how}", (), dict.fromkeys(lost, rate), burst=self.burst, fill=self.fill
                )
        for rates in self._list_rate_orders(len(names)):
            written = "/".join(f"{rate:g}" for rate in rates)
            lost_at = dict(zip(names, rates, strict=True))
            yield Condition(f"missing {written}{how}", (), lost_at, burst=self.burst, fill=self.fill)

    def _list_subsets(self, names: list[str]) -> list[tuple[str, ...]]:
        M = len(names)
        if self.subsets == "all":
            if M > contribution.EXACT_LIMIT:
                raise UsageError(f'subsets = "all" takes up to {contribution.EXACT_LIMIT} modalities, found {M}')
            masks = sorted(contribution.subset_masks(M)[1:].tolist(), key=sum)
        else:
            one = np.eye(M, dtype=bool)
            masks = (one if self.subsets == "only" or M == 1 else ~one).tolist()
        return [tuple(n for n, kept in zip(names, mask, strict=True) if kept) for mask in masks]

    def _list_rate_orders(self, count: int) -> list[tuple[float, ...]]:
        if not self.imbalanced:
            return []
        rates = np.interp(np.linspace(0, 1, count), np.linspace(0, 1, len(self.imbalanced)), self.imbalanced)
        spread = [round(float(rate), 3) for rate in rates]
        if count <= ALL_ORDERS:
            return sorted(set(permutations(spread)))
        return [tuple(spread[i:] + spread[:i]) for i in range(count)]


class MixTable(Section):
    """Searches the worst mix of some corruptions within budgets of level; see robustmm.search.mix."""

    attack: Literal["mix"]
    noise: Annotated[tuple[str, ...], Field(min_length=1)]
    budget: tuple[Annotated[float, Field(gt=0)], ...] = ()
    level: Rates = tuple(i / 10 for i in range(11))
    samples: Annotated[int, Field(ge=2)] | None = None


class SquareTable(Section):
    """Searches within norms by modality; see robustmm.search.square."""

    attack: Literal["square"]
    on: tuple[str, ...] = ()
    eps: dict[str, Annotated[float, Field(gt=0)]] = {}
    scale: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (0.5, 1.0, 2.0)
    queries: Annotated[int, Field(ge=1)] = 200
    samples: Annotated[int, Field(ge=1)] | None = None


SearchTable = Annotated[MixTable | SquareTable, Field(discriminator="attack")]
