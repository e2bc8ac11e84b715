"""The contract of a corruption: the decorated function owns the physics, the wrapper everything boring.

Level 0 is the signal itself, bit for bit; the five severities of the literature are the levels 0.2, 0.4, 0.6, 0.8, 1.
Noise is drawn first and scaled afterwards, and random sets are nested: the same noise grows with the level.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from robustmm.corruptions.draws import generator, strength
from robustmm.corruptions.signals import KINDS, Signal, apply, check
from robustmm.errors import UsageError, known
from robustmm.registry import Registry

Physics: TypeAlias = Callable[[Any, float, np.random.Generator], Any]
Statistics: TypeAlias = npt.ArrayLike | None


@dataclass(frozen=True)
class Corruption:
    """A pure function of (signal, level, generator) on one sample of one kind."""

    name: str
    kind: str
    unit: str
    table: tuple[float, ...]  # the physical strength at severities 1..5
    zero: float  # the physical strength that level -> 0 starts from
    source: str  # where the table comes from
    function: Physics = field(repr=False)
    doc: str = field(default="", repr=False)
    monotone: bool = True  # damage never falls as the level rises

    def __call__(
        self, x: Signal, level: float, rng: np.random.Generator, *, mean: Statistics = None, std: Statistics = None
    ) -> Signal:
        """The corrupted signal, in the dtype, shape and range of `x`, which is never written to.

        `mean` and `std` (D,) are the training statistics of series and features; other kinds ignore them.
        """
        who = f'the corruption "{self.name}" on {self.kind}'
        if not 0 <= level <= 1:
            raise UsageError(f"{who} takes a level in [0, 1], found {level!r}")
        check(x, self.kind, who)
        if level == 0 or 0 in (len(x), np.size(x)):  # an empty signal holds nothing to corrupt
            return x
        value = strength(level, self.table, self.zero)
        result: Signal = apply(lambda given: self.function(given, value, rng), x, self.kind, who, mean, std)
        return result


_FAMILIES: Registry[dict[str, Corruption]] = Registry("corruption")  # name -> kind -> corruption


def corruption(
    name: str,
    *,
    kind: str,
    unit: str,
    table: Sequence[float],
    zero: float = 0.0,
    source: str,
    doc: str = "",
    monotone: bool = True,
) -> Callable[[Physics], Corruption]:
    """A decorator that turns `(x, strength, rng) -> x'` into the corruption `name` on `kind`, and files it."""
    if kind not in KINDS:
        raise ValueError(f'"{kind}" is not a kind{known(kind, KINDS)}')
    if len(table) != 5 or not all(map(math.isfinite, (*table, zero))):
        raise ValueError(f'the table of "{name}" on {kind} must be five finite numbers, found {tuple(table)}')

    def file(function: Physics) -> Corruption:
        family = _FAMILIES[name] if name in _FAMILIES else _FAMILIES.register(name)({})
        if kind in family:
            raise ValueError(f'corruption "{name}" is registered twice on {kind}')
        text = doc or function.__doc__ or ""
        family[kind] = Corruption(name, kind, unit, tuple(table), zero, source, function, text, monotone)
        return family[kind]

    return file


def names() -> list[str]:
    """The registered corruptions, sorted."""
    return list(_FAMILIES)


def kinds(name: str) -> list[str]:
    """The kinds that a corruption serves, sorted."""
    return sorted(_family(name))


def corruption_for(name: str, kind: str) -> Corruption:
    """The corruption of this name (or `package.module:Name`) on this kind, or a sentence."""
    family = _family(name)
    if kind in family:
        return family[kind]
    if kind not in KINDS:
        raise UsageError(f'"{kind}" is not a kind{known(kind, KINDS)}')
    raise UsageError(f'the corruption "{name}" does not serve {kind}, only {", ".join(sorted(family))}')


def _family(name: str) -> dict[str, Corruption]:
    found: object = _FAMILIES[name]
    if isinstance(found, Corruption):  # a user's own, imported: it serves the kind it was written for
        return {found.kind: found}
    if isinstance(found, dict) and name in _FAMILIES:
        return found
    raise UsageError(f'"{name}" is of type {type(found).__name__}, expected a function under @corruption')


def corrupted(
    x: Signal, chosen: Corruption, level: float, *, seed: int, sample_id: str, modality: str, **statistics: Statistics
) -> Signal:
    """One sample's signal under one corruption, with the generator that is its own; `mean` and `std` as above."""
    return chosen(x, level, generator(seed, sample_id, modality, chosen.name), **statistics)
