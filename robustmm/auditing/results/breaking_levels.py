"""Where a model breaks: for each corruption on each modality the level at which accuracy is certainly no longer sure,
found by halving between the suite's levels."""

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

HALVINGS = 4


@dataclass
class LevelSweep:
    """One corruption in one way at rising levels, and the accuracies known so far."""

    condition: Condition
    grid: dict[float, str]  # the name of the suite's condition at each of its levels
    known: dict[float, Estimate] = field(default_factory=dict)

    def condition_at(self, level: float) -> Condition:
        (noise,) = self.condition.noises
        return replace(self.condition, name=f"{noise.name} {level:g}", noises=(replace(noise, level=level),))

    def bracket(self, limit: float) -> tuple[float, float] | None:
        """The highest level known to hold below the lowest that breaks, and that one; None where all hold."""
        levels = sorted(self.known)
        first = breaking_index(levels, [self.known[level].low for level in levels], limit)
        return None if first is None else (levels[first - 1] if first else 0.0, levels[first])

    def next_condition(self, limit: float) -> Condition | None:
        found = self.bracket(limit)
        return self.condition_at(round(sum(found) / 2, 6)) if found else None


def build_sweeps(conditions: Iterable[Condition]) -> list[LevelSweep]:
    """The conditions of one corruption each, gathered by everything but its level."""
    found: dict[str, LevelSweep] = {}
    for condition in conditions:
        if len(condition.noises) == 1 and not condition.missing and not condition.present and not condition.table:
            (noise,) = condition.noises
            key = repr((noise.name, noise.on, noise.probability, noise.options))
            found.setdefault(key, LevelSweep(condition, {})).grid[noise.level] = condition.name
    return list(found.values())


def bisect_sweeps(
    ladders: Sequence[LevelSweep], limit: float, measured: Callable[[list[Condition]], Iterable[Estimate]]
) -> None:
    """Halves every ladder's bracket some times; `measured` gives the accuracies under some conditions."""
    for _ in range(HALVINGS):
        rungs = [(ladder, rung) for ladder in ladders if (rung := ladder.next_condition(limit))]
        for (ladder, rung), accuracy in zip(rungs, measured([rung for _, rung in rungs]), strict=True):
            ladder.known[rung.noises[0].level] = accuracy


def accuracy(records: Records) -> Estimate:
    right = correctness(records.probabilities, records.target)
    return proportion(int(right.sum()), len(right))


def breaking_level(ladder: LevelSweep, modalities: Sequence[Modality], clean: Estimate, share: float) -> BreakingLevel:
    """What a ladder tells, after halving."""
    (step,) = ladder.condition.resolve_steps(modalities)
    undecided = clean.low < share * clean.value
    levels, found = sorted(ladder.known), None if undecided else ladder.bracket(share * clean.value)
    strength, unit = replace(step, level=found[1] if found else 1.0).strength(next(iter(step.on)))
    return BreakingLevel(
        noise=step.name,
        modalities=list(step.on),
        points=[LevelPoint(level=x, accuracy=ladder.known[x], condition=ladder.grid.get(x, "")) for x in levels],
        retention=retention([ladder.known[x].value for x in ladder.grid], clean.value) if clean.value else math.nan,
        holding_level=math.nan if undecided else found[0] if found else levels[-1],
        breaking_level=found[1] if found else math.nan,
        undecided=undecided,
        breaking_strength=strength if found else math.nan,
        unit=unit,
    )
