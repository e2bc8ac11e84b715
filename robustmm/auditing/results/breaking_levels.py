"""The breaking level of each corruption: the lowest level at which the lower bound of accuracy is below a share of
clean accuracy, found by bisection between the suite's levels."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from robustmm.auditing.results.schema import BreakingLevel, LevelPoint
from robustmm.conditions.condition import Condition
from robustmm.evaluation.attack import proportion
from robustmm.evaluation.attack_result import Estimate
from robustmm.evaluation.records import Records
from robustmm.metrics.classification import correctness
from robustmm.metrics.robustness import breaking_index, retention
from robustmm.modalities import Modality

BISECTIONS = 4


@dataclass
class LevelSweep:
    """One corruption on some modalities at rising levels, and the accuracies measured so far."""

    condition: Condition
    grid: dict[float, str]  # the name of the suite's condition at each of its levels
    known: dict[float, Estimate] = field(default_factory=dict)

    def condition_at(self, level: float) -> Condition:
        (noise,) = self.condition.noises
        return replace(self.condition, name=f"{noise.name} {level:g}", noises=(replace(noise, level=level),))

    def bracket(self, limit: float) -> tuple[float, float] | None:
        """The highest level that holds below the breaking level, and the breaking level; None where all levels hold."""
        levels = sorted(self.known)
        first = breaking_index(levels, [self.known[level].low for level in levels], limit)
        return None if first is None else (levels[first - 1] if first else 0.0, levels[first])

    def next_condition(self, limit: float) -> Condition | None:
        found = self.bracket(limit)
        return self.condition_at(round(sum(found) / 2, 6)) if found else None


def build_sweeps(conditions: Iterable[Condition]) -> list[LevelSweep]:
    """The conditions of a single corruption, grouped by everything but its level."""
    found: dict[str, LevelSweep] = {}
    for condition in conditions:
        if len(condition.noises) == 1 and not condition.missing and not condition.present and not condition.table:
            (noise,) = condition.noises
            key = repr((noise.name, noise.on, noise.probability, noise.options))
            found.setdefault(key, LevelSweep(condition, {})).grid[noise.level] = condition.name
    return list(found.values())


def bisect_sweeps(
    sweeps: Sequence[LevelSweep], limit: float, measured: Callable[[list[Condition]], Iterable[Estimate]]
) -> None:
    """Bisects the bracket of every sweep some times; `measured` gives the accuracies under some conditions."""
    for _ in range(BISECTIONS):
        steps = [(sweep, step) for sweep in sweeps if (step := sweep.next_condition(limit))]
        for (sweep, step), accuracy in zip(steps, measured([step for _, step in steps]), strict=True):
            sweep.known[step.noises[0].level] = accuracy


def accuracy(records: Records) -> Estimate:
    right = correctness(records.probabilities, records.target)
    return proportion(int(right.sum()), len(right))


def breaking_level(sweep: LevelSweep, modalities: Sequence[Modality], clean: Estimate, share: float) -> BreakingLevel:
    """The breaking level of a sweep, after bisection."""
    (step,) = sweep.condition.resolve_steps(modalities)
    undecided = clean.low < share * clean.value
    levels, found = sorted(sweep.known), None if undecided else sweep.bracket(share * clean.value)
    strength, unit = replace(step, level=found[1] if found else 1.0).strength(next(iter(step.on)))
    return BreakingLevel(
        noise=step.name,
        modalities=list(step.on),
        points=[LevelPoint(level=x, accuracy=sweep.known[x], condition=sweep.grid.get(x, "")) for x in levels],
        retention=retention([sweep.known[x].value for x in sweep.grid], clean.value) if clean.value else math.nan,
        holding_level=math.nan if undecided else found[0] if found else levels[-1],
        breaking_level=found[1] if found else math.nan,
        undecided=undecided,
        breaking_strength=strength if found else math.nan,
        unit=unit,
    )
