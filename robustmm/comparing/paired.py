"""One condition in two audits, sample by sample."""

from typing import NamedTuple

import numpy as np

from robustmm.auditing.results.condition import ConditionResult
from robustmm.auditing.results.schema import AuditResult
from robustmm.comparing.difference import Shift, judge_difference
from robustmm.comparing.read import Answers, Array, FinishedAudit
from robustmm.comparing.result import ConditionDifference, ContributionDifference, Difference
from robustmm.errors import DataError
from robustmm.evaluation.attack import estimate_means, share_right
from robustmm.metrics.sampling import Sampling


class Measured(NamedTuple):
    """One condition in both audits, before p-values are adjusted, and how correctness differs (sample,)."""

    difference: ConditionDifference
    gap: Array
    sampling: Sampling


def measure_pair(
    first: FinishedAudit, other: FinishedAudit, mine: ConditionResult, theirs: ConditionResult, margin: float
) -> Measured:
    """Raises DataError for records that are damaged, or not of the same samples."""
    a, b = first.read_answers(mine), other.read_answers(theirs)
    if a.ids != b.ids or a.labels != b.labels:
        raise DataError(f"{first.folder} and {other.folder} have other ids or labels in their records")
    sampling = read_sampling(first, other, a, b)
    shift = judge_difference(b.right, a.right, margin, sampling, seed=first.result.seed)
    found = ConditionDifference(
        condition=mine.name,
        modalities=[m.name for m in mine.modalities if m.noises or m.name in mine.missing],
        reference=mine.accuracy,
        accuracy=theirs.accuracy,
        difference=_publish(shift),
        adjusted_p=shift.p,
        effect="undecided",
        outcome=shift.verdict.outcome,
        samples_to_decide=shift.verdict.samples,
        nll_difference=estimate_means(b.surprise - a.surprise, sampling)[0],
        reference_ece=mine.ece,
        ece=theirs.ece,
        flip_rate=share_right(a.answers != b.answers, sampling),
        contributions=_contributions(a, b, mine, theirs, sampling) if same_baseline(first, other) else [],
    )
    return Measured(found, b.right - a.right, sampling)


def same_clusters(a: AuditResult, b: AuditResult) -> bool:
    """Whether both audits name the same column of clusters."""
    return a.clusters is not None and b.clusters is not None and a.clusters.column == b.clusters.column


def same_baseline(first: FinishedAudit, other: FinishedAudit) -> bool:
    return first.result.baseline == other.result.baseline


def read_sampling(first: FinishedAudit, other: FinishedAudit, a: Answers, b: Answers) -> Sampling:
    """In the clusters of both; independent where they do not name the same."""
    if not same_clusters(first.result, other.result):
        return Sampling()
    if a.clusters != b.clusters:
        raise DataError(f"{first.folder} and {other.folder} have other clusters in their records")
    return Sampling(np.unique(a.clusters, return_inverse=True)[1].astype(np.int64))


def _publish(shift: Shift) -> Difference:
    return Difference(value=shift.value, low=shift.interval.low, high=shift.interval.high, p=shift.p)


def _contributions(
    a: Answers, b: Answers, mine: ConditionResult, theirs: ConditionResult, sampling: Sampling
) -> list[ContributionDifference]:
    """Of the modalities that both models have."""
    others = {m.name: m for m in theirs.modalities}
    return [
        ContributionDifference(
            modality=m.name,
            reference=m.shapley_accuracy,
            value=others[m.name].shapley_accuracy,
            difference=estimate_means(b.phi[m.name] - a.phi[m.name], sampling)[0],
            reference_share=m.shapley_accuracy_share,
            share=others[m.name].shapley_accuracy_share,
        )
        for m in mine.modalities
        if m.name in others
    ]
