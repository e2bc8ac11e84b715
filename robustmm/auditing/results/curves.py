"""Accuracy over missing rates, and the condition that changes each modality's share the most."""

import math
from collections.abc import Sequence

from robustmm.auditing.results.condition import ConditionResult
from robustmm.auditing.results.schema import MissingRateCurve, ShareShift
from robustmm.conditions.condition import Condition
from robustmm.evaluation.attack_result import Estimate
from robustmm.metrics.robustness import area_under_rates


def missing_rate_curves(
    conditions: Sequence[Condition], found: Sequence[ConditionResult], clean: Estimate
) -> list[MissingRateCurve]:
    """A curve for every set of modalities that share a missing rate, masked and independent, without corruptions."""
    curves: dict[tuple[str, ...], dict[float, ConditionResult]] = {}
    for condition, result in zip(conditions, found, strict=True):
        lost = {name: rate for name, rate in condition.missing.items() if rate > 0}
        alone = not condition.noises and not condition.present and not condition.table
        if alone and len(set(lost.values())) == 1 and condition.fill == "masked" and condition.burst == 1:
            curves.setdefault(tuple(lost), {})[next(iter(lost.values()))] = result
    found_curves = []
    for names, points in curves.items():
        at = {0.0: clean, **{rate: points[rate].accuracy for rate in sorted(points)}}
        found_curves.append(
            MissingRateCurve(
                modalities=list(names),
                conditions=[points[rate].name for rate in sorted(points)],
                rates=list(at),
                accuracies=list(at.values()),
                area_under_curve=area_under_rates(list(at), [estimate.value for estimate in at.values()]),
            )
        )
    return found_curves


def share_shifts(clean: ConditionResult, found: Sequence[ConditionResult]) -> list[ShareShift]:
    """For each modality the condition that changes its share of the Shapley accuracy the most, among those with a
    significant effect and no missing modality; none where there are no shares."""
    shifts = []
    certain = [result for result in found if result.effect != "none" and not result.missing and has_shares(result)]
    certain = certain if has_shares(clean) else []
    for m, before in enumerate(clean.modalities if certain else []):

        def moved(result: ConditionResult, m: int = m, share: float = before.shapley_accuracy_share.value) -> float:
            return abs(result.modalities[m].shapley_accuracy_share.value - share)

        most = max(certain, key=moved)
        shifts.append(
            ShareShift(
                modality=before.name,
                condition=most.name,
                clean_share=before.shapley_accuracy_share.value,
                share=most.modalities[m].shapley_accuracy_share.value,
            )
        )
    return shifts


def has_shares(result: ConditionResult) -> bool:
    return not any(math.isnan(m.shapley_accuracy_share.value) for m in result.modalities)
