"""What a gate judges: a number of one condition, group or modality, with its interval."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from robustmm.auditing.results.condition import ConditionResult, Group
from robustmm.conditions.gate import HIGHER_IS_BETTER, GateTable
from robustmm.evaluation.attack_result import Estimate
from robustmm.metrics.unpaired import Ranged, difference, ratio

NOTHING = Ranged(math.nan, math.nan, math.nan)


class Part(NamedTuple):
    """One condition that a gate is held against; all samples or one group's; the modality whose share is meant."""

    condition: ConditionResult
    group: Group | None = None
    modality: str = ""

    @property
    def scored(self) -> ConditionResult | Group:
        """What has the accuracy, the change and the retention of its samples."""
        return self.group or self.condition

    @property
    def name(self) -> str:
        """Its group or modality; empty: all samples."""
        return f"{self.group.column}: {self.group.value}" if self.group else self.modality


def list_parts(gate: GateTable, condition: ConditionResult) -> Iterator[Part]:
    """The parts of a condition that a gate is held against; none where it has no such group."""
    if gate.group:
        ((column, value),) = gate.group.items()
        yield from (Part(condition, g) for g in condition.groups if g.column == column and value in ("*", g.value))
    elif gate.of:
        yield from (Part(condition, None, m.name) for m in condition.modalities if gate.of in ("*", m.name))
    else:
        yield Part(condition)


def find_part(part: Part, condition: ConditionResult | None) -> Part | None:
    """The same group or modality under another condition, perhaps of another audit; None where that lacks it."""
    if condition is None:
        return None
    if part.group:
        groups = {(g.column, g.value): g for g in condition.groups}
        found = groups.get((part.group.column, part.group.value))
        return Part(condition, found) if found else None
    if part.modality and part.modality not in {m.name for m in condition.modalities}:
        return None
    return Part(condition, None, part.modality)


def is_paired(gate: GateTable) -> bool:
    """Whether the interval of what a gate judges knows that both values are of the same samples, or there is one value
    only."""
    known = {"baseline": (), "max_drop": ("accuracy", "nll"), "max_relative_drop": ("accuracy",)}
    return gate.requirement in ("min", "max") or gate.metric in known[gate.requirement]


def measure_judged(gate: GateTable, part: Part, against: Part | None) -> Ranged:
    """The metric, or how much worse it is than that of `against`, which is clean or the baseline's: in the metric's own
    unit, or as a share of the other value. Positive is worse."""
    paired = is_paired(gate)
    if gate.requirement in ("min", "max"):
        return measure(gate.metric, part)
    if gate.requirement == "max_drop" and paired:
        return measure("drop", part) if gate.metric == "accuracy" else _ranged(part.condition.nll_change)
    if gate.requirement == "max_relative_drop" and paired:
        return _flip(_ranged(part.scored.retention), 1)
    if against is None:
        return NOTHING
    here, there = measure(gate.metric, part), measure(gate.metric, against)
    falls = gate.metric in (*HIGHER_IS_BETTER, "share")
    if gate.requirement == "max_relative_drop":
        kept = ratio(here, there)
        return _flip(kept, 1) if falls else Ranged(*(end - 1 for end in kept))
    return difference(there, here) if falls else difference(here, there)


def measure(metric: str, part: Part) -> Ranged:
    """A metric of a part. The ECE has no interval."""
    condition = part.condition
    if metric == "drop":
        return _flip(_ranged(part.scored.change), 0)
    if metric == "ece":
        return Ranged(condition.ece, math.nan, math.nan)
    if metric == "share":
        return _ranged(next(m.shapley_accuracy_share for m in condition.modalities if m.name == part.modality))
    if metric in ("accuracy", "retention"):
        return _ranged(getattr(part.scored, metric))
    return _ranged(getattr(condition, metric.replace("-", "_")))


def _ranged(found: Estimate | None) -> Ranged:
    return Ranged(found.value, found.low, found.high) if found else NOTHING


def _flip(found: Ranged, origin: float) -> Ranged:
    """origin - found."""
    return Ranged(origin - found.value, origin - found.high, origin - found.low)
