"""Finished audits against the first of them: what differs, and whether a candidate is certainly not worse."""

from collections.abc import Iterator, Sequence

import numpy as np

from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.results.verdict import WORST_FIRST
from robustmm.comparing import match
from robustmm.comparing.guard import summarise_guard
from robustmm.comparing.paired import Measured, measure_pair, same_clusters
from robustmm.comparing.read import FinishedAudit
from robustmm.comparing.result import ComparedAudit, CompareResult, Comparison, ConditionDifference, Effect
from robustmm.evaluation.attack import estimate_means
from robustmm.evaluation.attack_result import Estimate
from robustmm.metrics.noninferiority import Outcome
from robustmm.metrics.paired import SIGNIFICANCE_LEVEL
from robustmm.metrics.statistics import benjamini_hochberg
from robustmm.progress import Stage


def compare_audits(audits: Sequence[FinishedAudit], margin: float, stage: Stage) -> CompareResult:
    """Holds every audit against the first. Raises DataError for audits of other samples, and for records that are
    damaged."""
    first, *others = audits
    for other in others:
        match.check_comparable(first, other)
    matched = [match.match_conditions(first.result, other.result)[0] for other in others]
    measured: list[list[Measured]] = [[] for _ in others]
    with stage("comparing", sum(map(len, matched))) as advance:
        for other, pairs, found in zip(others, matched, measured, strict=True):
            for mine, theirs in pairs:
                found.append(measure_pair(first, other, mine, theirs, margin))
                advance(1)
    adjusted = benjamini_hochberg([m.difference.difference.p for found in measured for m in found])
    p, names, a = iter(adjusted.tolist()), match.name_audits(audits), first.result
    candidates = [
        summarise_candidate(first, other, name, found, p)
        for other, name, found in zip(others, names[1:], measured, strict=True)
    ]
    return CompareResult(
        verdict=min((each.verdict for each in candidates), key=WORST_FIRST.index),
        margin=margin,
        comparisons=len(adjusted),
        manifest=a.manifest,
        data_sha256=a.data_sha256,
        split=a.split,
        samples=a.samples,
        seed=a.seed,
        clusters=a.clusters if all(same_clusters(a, other.result) for other in others) else None,
        reference=describe_audit(a, names[0]),
        candidates=candidates,
    )


def summarise_candidate(
    first: FinishedAudit, other: FinishedAudit, name: str, measured: Sequence[Measured], adjusted: Iterator[float]
) -> Comparison:
    """One candidate against the reference; `adjusted` gives a p for each of its conditions."""
    a, b = first.result, other.result
    pairs, left = match.match_conditions(a, b)
    conditions = [classify(found.difference, next(adjusted)) for found in measured]
    outcomes = {condition.outcome for condition in conditions}
    return Comparison(
        candidate=describe_audit(b, name),
        verdict="FAIL" if "fails" in outcomes else "INCONCLUSIVE" if "undecided" in outcomes else "PASS",
        notes=match.describe_differences(a, b),
        conditions=conditions,
        mean_difference=mean_difference(measured[1:]),
        not_compared=left,
        breaking_levels=match.match_levels(a, b, pairs),
        gates=match.match_gates(a, b),
        guard=summarise_guard(first, other, pairs, conditions),
    )


def classify(found: ConditionDifference, adjusted: float) -> ConditionDifference:
    """The condition with its adjusted p. One that is not significantly worse does not fail: of equal models no more
    than the significance level would otherwise be called worse by some condition of many."""
    significant = adjusted < SIGNIFICANCE_LEVEL and found.difference.value != 0
    effect: Effect = "undecided" if not significant else "better" if found.difference.value > 0 else "worse"
    outcome: Outcome = "undecided" if found.outcome == "fails" and effect != "worse" else found.outcome
    return found.model_copy(update={"adjusted_p": adjusted, "effect": effect, "outcome": outcome})


def mean_difference(measured: Sequence[Measured]) -> Estimate | None:
    """Over the conditions, paired by sample."""
    if not measured:
        return None
    gaps = np.mean([found.gap for found in measured], axis=0)
    return estimate_means(gaps, measured[0].sampling)[0]


def describe_audit(result: AuditResult, name: str) -> ComparedAudit:
    return ComparedAudit(
        name=name,
        model=result.model,
        model_sha256=result.model_sha256,
        method=result.method,
        suite=result.suite,
        suite_sha256=result.suite_sha256,
        robustmm=result.runtime.robustmm,
        onnxruntime=result.runtime.onnxruntime,
    )
