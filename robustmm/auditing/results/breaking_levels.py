"""The breaking level of each corruption: the lowest level that certainly keeps less than a share of clean accuracy,
found by bisection between the suite's levels."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from robustmm.auditing.plan import Reading
from robustmm.auditing.results.schema import BreakingLevel, LevelPoint
from robustmm.conditions.condition import Condition
from robustmm.evaluation.attack import share_right
from robustmm.evaluation.attack_result import Estimate
from robustmm.evaluation.records import Records
from robustmm.metrics.classification import correctness
from robustmm.metrics.noninferiority import Outcome, judge_samples
from robustmm.metrics.robustness import retention
from robustmm.modalities import Modality

BISECTIONS = 4


class Measured(NamedTuple):
    """Accuracy at one level, and what it says of the share."""

    accuracy: Estimate
    outcome: Outcome
    samples_to_decide: float


@dataclass
class LevelSweep:
    """One corruption on some modalities at rising levels, and what was measured so far."""

    condition: Condition
    grid: dict[float, str]  # the name of the suite's condition at each of its levels
    known: dict[float, Measured] = field(default_factory=dict)

    def condition_at(self, level: float) -> Condition:
        (noise,) = self.condition.noises
        return replace(self.condition, name=f"{noise.name} {level:g}", noises=(replace(noise, level=level),))

    def breaking_level(self) -> float:
        """The lowest level known to fail; NaN where none does. A later level that recovers does not undo it."""
        return min((level for level, found in self.known.items() if found.outcome == "fails"), default=math.nan)

    def holding_level(self) -> float:
        """The highest known level up to which all hold; 0, which is clean, where the first does not."""
        highest = 0.0
        for level in sorted(self.known):
            if self.known[level].outcome != "holds":
                break
            highest = level
        return highest

    def next_condition(self) -> Condition | None:
        """Halfway between the breaking level and the one below it; None where no level fails."""
        breaking = self.breaking_level()
        if math.isnan(breaking):
            return None
        below = max((level for level in self.known if level < breaking), default=0.0)
        return self.condition_at(round((below + breaking) / 2, 6))


def build_sweeps(conditions: Iterable[Condition]) -> list[LevelSweep]:
    """The conditions of a single corruption, grouped by everything but its level."""
    found: dict[str, LevelSweep] = {}
    for condition in conditions:
        if len(condition.noises) == 1 and not condition.missing and not condition.present and not condition.table:
            (noise,) = condition.noises
            key = repr((noise.name, noise.on, noise.probability, noise.options))
            found.setdefault(key, LevelSweep(condition, {})).grid[noise.level] = condition.name
    return list(found.values())


def bisect_sweeps(sweeps: Sequence[LevelSweep], measure: Callable[[list[Condition]], Iterable[Measured]]) -> None:
    """Bisects below the breaking level of every sweep some times; `measure` gives what some conditions do."""
    for _ in range(BISECTIONS):
        steps = [(sweep, step) for sweep in sweeps if (step := sweep.next_condition())]
        for (sweep, step), found in zip(steps, measure([step for _, step in steps]), strict=True):
            sweep.known[step.noises[0].level] = found


def measure_level(records: Records, clean: Records, reading: Reading) -> Measured:
    """What one condition's records say against the clean ones of the same samples."""
    right, before = (correctness(each.probabilities, each.target) for each in (records, clean))
    kept = judge_samples(right, before, reading.share, reading.sampling)
    return Measured(share_right(right, reading.sampling), *kept.verdict)


def breaking_level(sweep: LevelSweep, modalities: Sequence[Modality], clean: float) -> BreakingLevel:
    """The breaking level of a sweep, after bisection; `clean` is clean accuracy."""
    (step,) = sweep.condition.resolve_steps(modalities)
    known, breaking = sorted(sweep.known.items()), sweep.breaking_level()
    broken = not math.isnan(breaking)
    strength, unit = replace(step, level=breaking if broken else 1.0).strength(next(iter(step.on)))
    left = [found.samples_to_decide for level, found in known if level in sweep.grid and found.outcome == "undecided"]
    outcome: Outcome = "fails" if broken else "undecided" if left else "holds"
    return BreakingLevel(
        noise=step.name,
        modalities=list(step.on),
        points=[LevelPoint(level=x, condition=sweep.grid.get(x, ""), **found._asdict()) for x, found in known],
        retention=retention([sweep.known[x].accuracy.value for x in sweep.grid], clean) if clean else math.nan,
        outcome=outcome,
        samples_to_decide=min(left) if outcome == "undecided" else math.nan,
        holding_level=sweep.holding_level(),
        breaking_level=breaking,
        breaking_strength=strength if broken else math.nan,
        unit=unit,
    )
