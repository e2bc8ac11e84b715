"""Which conditions a gate is held against: before anything is measured, and again of what was."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from robustmm.auditing.results.condition import ConditionResult
from robustmm.conditions.condition import Condition
from robustmm.conditions.gate import GateTable
from robustmm.modalities import Modality


class AppliedNoise(NamedTuple):
    """A corruption of one modality."""

    noise: str
    modality: str
    level: float
    strength: float
    unit: str


@dataclass(frozen=True)
class Scope:
    """What a gate selects a condition by: its name, its corruptions, and the modalities that samples may lack."""

    name: str
    noises: tuple[AppliedNoise, ...] = ()
    missing: frozenset[str] = frozenset()


def planned_scope(condition: Condition, modalities: Sequence[Modality]) -> Scope:
    """That of a condition on a model with these modalities. Raises UsageError for one that does not fit them."""
    steps = condition.resolve_steps(modalities)
    noises = [AppliedNoise(step.name, name, step.level, *step.strength(name)) for step in steps for name in step.on]
    lost = frozenset(m.name for m in modalities if condition.can_be_missing(m.name))
    return Scope(condition.name, tuple(noises), lost)


def measured_scope(result: ConditionResult) -> Scope:
    noises = [AppliedNoise(n.name, m.name, n.level, n.strength, n.unit) for m in result.modalities for n in m.noises]
    return Scope(result.name, tuple(noises), frozenset(result.missing))


def is_selected(gate: GateTable, scope: Scope) -> bool:
    """Whether a gate is held against a condition: every selector fits it. Its corruptions have to fit all of them, so
    that a crossing with another one is none of the gate's; and nothing is missing unless `missing` says so."""
    if gate.condition and not any(matches(pattern, scope.name) for pattern in gate.condition):
        return False
    if gate.missing and scope.missing != set(gate.missing):
        return False
    if any(gate.has(key) for key in ("noise", "modality", "level", "strength")):
        fits = bool(scope.noises) and all(_fits(gate, applied) for applied in scope.noises)
        return fits and (bool(gate.missing) or not scope.missing)
    return not (gate.missing and scope.noises)


def matches(pattern: str, name: str) -> bool:
    """Whether a name has the form of a pattern, whose * stands for any characters."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL) is not None


def _fits(gate: GateTable, applied: AppliedNoise) -> bool:
    return (
        (not gate.noise or applied.noise in gate.noise)
        and (not gate.modality or applied.modality in gate.modality)
        and _is_within(applied.level, gate.level)
        and _is_within(applied.strength, gate.strength)
    )


def _is_within(value: float, ends: tuple[float, float] | None) -> bool:
    """Whether a value lies in a range; what has six digits in a file is its ends too."""
    if ends is None:
        return True
    low, high = ends
    return low <= value <= high or any(math.isclose(value, end, rel_tol=1e-5, abs_tol=1e-9) for end in ends)
