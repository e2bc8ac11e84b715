"""What is significant over all conditions, and which group fares worst."""

from collections.abc import Sequence

from robustmm.auditing.results.condition import ConditionResult, Group
from robustmm.auditing.results.schema import NoiseFloor
from robustmm.metrics.statistics import benjamini_hochberg

MIN_GROUP_SAMPLES = 10
"""Samples below which a group is not called the worst."""


def classify_effects(found: list[ConditionResult], floor: NoiseFloor) -> list[ConditionResult]:
    """The conditions with their p-values adjusted over all of them. A change is significant where the adjusted p is
    below 0.05 and the change is above the noise floor."""
    adjusted = benjamini_hochberg([c.change.p for c in found])
    out = []
    for c, p in zip(found, adjusted, strict=True):
        significant = p < 0.05 and abs(c.change.value) > floor.answers_changed
        effect = "none" if not significant else "drop" if c.change.value < 0 else "gain"
        out.append(c.model_copy(update={"adjusted_p": float(p), "effect": effect}))
    return out


def worst_group(found: Sequence[ConditionResult]) -> tuple[Group | None, str]:
    """The group of the lowest accuracy, and under which condition."""
    groups = [(g, c.name) for c in found for g in c.groups if g.samples >= MIN_GROUP_SAMPLES]
    return min(groups, key=lambda entry: entry[0].accuracy.value) if groups else (None, "")
