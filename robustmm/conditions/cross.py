"""Corruptions of several modalities at once. They cost decoder calls only: each modality is encoded once for each of
its own corruptions."""

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from math import prod
from typing import Annotated, Any, Literal

from pydantic import Field

from robustmm.conditions.condition import Condition, Noise
from robustmm.conditions.tables import Rates, Table
from robustmm.corruptions import KINDS, LEVELS, pairs
from robustmm.errors import UsageError
from robustmm.modalities import Modality

MAX_CONDITIONS = 20_000
"""The most conditions that one crossing may make."""
CLEAN, ABSENT = "clean", "absent"


class CrossTable(Table):
    """Every corruption in `noise` that supports a modality, at every `level`, combined with every one on another
    modality (`pairs`), or on all others, each modality also left clean (`all`). With `absent`, a modality may also be
    missing."""

    noise: Annotated[tuple[str, ...], Field(min_length=1)]
    level: Rates = LEVELS
    of: Literal["pairs", "all"] = "pairs"
    absent: bool = False
    kind: tuple[str, ...] = KINDS
    options: dict[str, Any] = {}

    def conditions(self, modalities: Sequence[Modality]) -> Iterator[Condition]:
        ways = {m.name: some for m in modalities if m.kind in self.kind and (some := self._list_choices(m))}
        sets = list(combinations(ways, 2)) if self.of == "pairs" else [tuple(ways)]
        total = sum(prod(len(ways[name]) for name in names) for names in sets)
        if total > MAX_CONDITIONS:
            raise UsageError(f"a crossing may make {MAX_CONDITIONS} conditions, this one makes {total}")
        how = "".join(f", {key} {value}" for key, value in sorted(self.options.items()))
        for names in sets:
            for chosen in product(*(ways[name] for name in names)):
                noises = tuple(way for way in chosen if isinstance(way, Noise))
                absent = [name for name, way in zip(names, chosen, strict=True) if way == ABSENT]
                if (noises or absent) and len(absent) < len(modalities):
                    parts = [f"{n.name} {n.level:g} on {n.on[0]}" for n in noises] + [f"no {name}" for name in absent]
                    present = tuple(m.name for m in modalities if m.name not in absent) if absent else ()
                    yield Condition(", ".join(parts) + how, noises, present=present)

    def _list_choices(self, modality: Modality) -> list[Noise | str]:
        """What may happen to a modality; empty where no corruption supports it."""
        able = [
            n for n in self.noise if not pairs.is_sample_corruption(n) and modality.kind in pairs.supported_kinds(n)
        ]
        noises = [Noise(name, level, (modality.name,), options=self.options) for name in able for level in self.level]
        others = ([CLEAN] if self.of == "all" else []) + ([ABSENT] if self.absent else [])
        return [*others, *noises] if noises else []
