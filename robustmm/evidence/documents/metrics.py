"""The numbers of an audit as a flat list, which documents of other tools take."""

from collections.abc import Iterator
from typing import NamedTuple

from robustmm.auditing.results.condition import ConditionResult
from robustmm.auditing.results.schema import AuditResult
from robustmm.evaluation.attack_result import Estimate


class Metric(NamedTuple):
    """One number of a model: its kind, on which slice of the samples, under which condition. `low` and `high` are NaN
    where there is no interval."""

    kind: str
    value: float
    low: float
    high: float
    condition: str
    part: str = ""

    @property
    def slice(self) -> str:
        """The condition, and the group or modality where it is not all: `gaussian 0.5 on audio; label=ant`."""
        return "; ".join(filter(None, (self.condition, self.part)))


def list_metrics(result: AuditResult) -> list[Metric]:
    """All scores of all conditions, clean first, and those of its groups and modalities; none that is no number."""
    every = (metric for condition in (result.clean, *result.conditions) for metric in score_condition(condition))
    return [metric for metric in (*every, *score_parts(result.clean)) if metric.value == metric.value]


def score_condition(c: ConditionResult) -> Iterator[Metric]:
    nan = float("nan")
    scores: list[tuple[str, Estimate | None]] = [
        ("accuracy", c.accuracy), ("f1_macro", c.macro_f1), ("roc_auc", c.auroc), ("negative_log_likelihood", c.nll),
        ("accuracy_retention", c.retention),
    ]  # fmt: skip
    for kind, e in scores:
        if e is not None:
            yield Metric(kind, e.value, e.low, e.high, c.name)
    yield Metric("expected_calibration_error", c.ece, nan, nan, c.name)
    yield Metric("brier_score", c.brier, nan, nan, c.name)


def score_parts(c: ConditionResult) -> Iterator[Metric]:
    for group in c.groups:
        e = group.accuracy
        yield Metric("accuracy", e.value, e.low, e.high, c.name, f"{group.column}={group.value}")
    for modality in c.modalities:
        e = modality.shapley_accuracy
        yield Metric("shapley_accuracy", e.value, e.low, e.high, c.name, f"modality={modality.name}")
