"""The contract of a corruption: the decorated function has the physics, the wrapper the checks and conversions.

Level 0 is the signal itself, bit for bit; the five severities of the literature are the levels 0.2, 0.4, 0.6, 0.8, 1.
Noise is drawn first and scaled afterwards, and random sets are nested: the same noise grows with the level.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from robustmm.config.options import check_options, keyword_parameters
from robustmm.config.registry import Registry
from robustmm.corruptions.draws import Value, generator, scalar_strength, strength
from robustmm.corruptions.signals import KINDS, Signal, apply_physics, check_signal
from robustmm.errors import UsageError, suggest

Physics: TypeAlias = Callable[..., Any]
Statistics: TypeAlias = npt.ArrayLike | None
SMALL = 84
"""Images whose shorter side has at most this many pixels take a 32 px table: halfway to 224 on a log scale."""
SCALES = ("224", "32")
RATE = 16_000
"""Audio's samples per second where the caller gives no rate."""
ALIASES = {"gaussian-noise": "gaussian"}
"""Names in the literature of corruptions with a shorter name here. An underscore is a hyphen everywhere."""


@dataclass(frozen=True)
class Corruption:
    """A pure function of (signal, level, generator) on one sample of one kind."""

    name: str
    kind: str
    units: tuple[str, ...]  # of each number in an entry of the table; the first is what "the strength" means
    table: tuple[Value, ...]  # the physical strength at severities 1..5
    zero: Value  # the physical strength that level -> 0 starts from
    source: str  # where the table comes from
    function: Physics = field(repr=False)
    doc: str = field(default="", repr=False)
    monotone: bool = True  # damage never falls as the level rises
    small: tuple[Value, ...] | None = None  # the table for small images, where the literature has another

    def __call__(
        self,
        x: Signal,
        level: float,
        rng: np.random.Generator,
        *,
        mean: Statistics = None,
        std: Statistics = None,
        rate: int = RATE,
    ) -> Signal:
        """The corrupted signal, in the dtype, shape and range of `x`, which is never written to.

        `mean` and `std` (D,) are the training statistics of series and features, which need them; `rate` is the
        samples per second of audio; other kinds ignore them.
        """
        who = f'the corruption "{self.name}" on {self.kind}'
        if not 0 <= level <= 1:
            raise UsageError(f"{who} takes a level in [0, 1], found {level!r}")
        check_signal(x, self.kind, who)
        shape = x.shape if isinstance(x, np.ndarray) else (len(x),)
        if level == 0 or 0 in shape:  # an empty signal holds nothing to corrupt
            return x
        value = strength(level, self._table_for(shape), self.zero)
        facts = {"rate": rate} if self._asks_rate else {}
        result: Signal = apply_physics(
            lambda given: self.function(given, value, rng, **facts), x, self.kind, who, mean, std
        )
        return result

    @property
    def unit(self) -> str:
        return self.units[0]

    def for_shape(self, shape: tuple[int, ...]) -> "Corruption":
        """This corruption with the table for signals of this shape (..., height, width, channels)."""
        return self if self.small is None else replace(self, table=self._table_for(shape), small=None)

    def _table_for(self, shape: tuple[int, ...]) -> tuple[Value, ...]:
        return self.small if self.small is not None and min(shape[-3:-1]) <= SMALL else self.table

    @cached_property  # a signature takes longer to read than many a clip to corrupt
    def _asks_rate(self) -> bool:
        asked = inspect.signature(self.function).parameters.get("rate")
        return asked is not None and asked.kind is asked.KEYWORD_ONLY

    def strength(self, level: float) -> float:
        """The physical strength at a level, the first number where there are several."""
        return scalar_strength(strength(level, self.table, self.zero))

    def options(self) -> dict[str, Any]:
        """The options that `with_options` takes, with their defaults."""
        found = {p.name: p.default for p in keyword_parameters(self.function, 3) if p.name != "rate"}
        return found | ({"scale": "by size"} if self.small else {})

    def with_options(self, **options: Any) -> "Corruption":
        """This corruption with options of its function set, or with `scale`: whose constants, 224 or 32 px."""
        chosen = self
        if self.small is not None and "scale" in options:
            scale = str(options.pop("scale"))
            if scale not in SCALES:
                raise UsageError(f'the scale of "{self.name}" should be {" or ".join(SCALES)}, found "{scale}"')
            chosen = replace(self, table=self.table if scale == SCALES[0] else self.small, small=None)
        if not options:
            return chosen
        given = check_options("corruption", self.name, self.function, 3, options, reserved=("rate",))
        return replace(chosen, function=partial(self.function, **given))


_FAMILIES: Registry[dict[str, Corruption]] = Registry("corruption")  # name -> kind -> corruption


def corruption(
    name: str,
    *,
    kind: str,
    unit: str | tuple[str, ...],
    table: Sequence[Value],
    zero: Value = 0.0,
    source: str,
    doc: str = "",
    monotone: bool = True,
    small: Sequence[Value] | None = None,
) -> Callable[[Physics], Corruption]:
    """A decorator that turns `(x, strength, rng) -> x'` into the corruption `name` on `kind`, and files it.

    The physics may take `rate` (audio) and further keywords with defaults, which are the user's options. Where `unit`
    has several entries, so has each entry of the tables, and `strength` is a tuple.
    """
    if kind not in KINDS:
        raise ValueError(f'"{kind}" is not a kind{suggest(kind, KINDS)}')
    units = (unit,) if isinstance(unit, str) else unit
    for given in (table, *([small] if small else [])):
        rows = [np.atleast_1d(row) for row in (*given, zero)]
        if len(given) != 5 or any(row.shape != (len(units),) or not np.isfinite(row).all() for row in rows):
            each = "numbers" if len(units) == 1 else f"rows of {len(units)} numbers"
            raise ValueError(f'the table of "{name}" on {kind} must be five finite {each}, found {tuple(given)}')

    def add_entry(function: Physics) -> Corruption:
        family = _FAMILIES[name] if name in _FAMILIES else _FAMILIES.register(name)({})
        if kind in family:
            raise ValueError(f'corruption "{name}" is registered twice on {kind}')
        text = doc or function.__doc__ or ""
        tables = tuple(table), tuple(small) if small else None
        family[kind] = Corruption(name, kind, units, tables[0], zero, source, function, text, monotone, tables[1])
        return family[kind]

    return add_entry


def canonical_name(name: str) -> str:
    """The registered name behind one of the literature, `gaussian_noise` or `defocus_blur`."""
    if ":" in name or name in _FAMILIES:
        return name
    name = name.replace("_", "-")
    return ALIASES.get(name, name)


def names() -> list[str]:
    """The registered corruptions, sorted."""
    return list(_FAMILIES)


def kinds(name: str) -> list[str]:
    """The kinds that a corruption serves, sorted."""
    return sorted(_find_family(name))


def family(name: str, kind: str) -> str:
    """The family of a corruption on a kind: blur, weather, device, ... It is the module that it stands in."""
    return find_corruption(name, kind).function.__module__.rpartition(".")[2]


def list_families(kind: str) -> dict[str, list[str]]:
    """The registered corruptions of a kind by family."""
    found: dict[str, list[str]] = {}
    for name in names():
        if kind in kinds(name):
            found.setdefault(family(name, kind), []).append(name)
    return found


def find_corruption(name: str, kind: str) -> Corruption:
    """The corruption of this name (or `package.module:Name`) on this kind. Raises UsageError where there is none."""
    family = _find_family(name)
    if kind in family:
        return family[kind]
    if kind not in KINDS:
        raise UsageError(f'"{kind}" is not a kind{suggest(kind, KINDS)}')
    raise UsageError(f'the corruption "{name}" does not serve {kind}, only {", ".join(sorted(family))}')


def _find_family(name: str) -> dict[str, Corruption]:
    name = canonical_name(name)
    found: object = _FAMILIES[name]
    if isinstance(found, Corruption):  # a user's own, imported: it serves the kind it was written for
        return {found.kind: found}
    if isinstance(found, dict) and name in _FAMILIES:
        return found
    raise UsageError(f'"{name}" is of type {type(found).__name__}, expected a function under @corruption')


def corrupt(
    x: Signal, chosen: Corruption, level: float, *, seed: int, sample_id: str, modality: str, **facts: Any
) -> Signal:
    """One sample's signal under one corruption, with the generator that is its own; `mean`, `std`, `rate` as above."""
    return chosen(x, level, generator(seed, sample_id, modality, chosen.name), **facts)
