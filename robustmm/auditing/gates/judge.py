"""The verdict of a gate, from the numbers of an audit."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from robustmm.auditing.gates.declared import Baseline, Gates
from robustmm.auditing.gates.measure import NOTHING, Part, find_part, is_paired, list_parts, measure_judged
from robustmm.auditing.gates.paired import PairedRecords
from robustmm.auditing.gates.select import is_selected, measured_scope
from robustmm.auditing.gates.wording import describe_requirement
from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.results.verdict import WORST_FIRST, GateResult, Verdict
from robustmm.conditions.gate import GateTable
from robustmm.evaluation.attack_result import Estimate
from robustmm.metrics.power import samples_to_clear, samples_to_decide
from robustmm.metrics.sampling import FEW_CLUSTERS
from robustmm.metrics.unpaired import Ranged

MANY = 1e9
"""Samples from which nobody is told to get them."""


class Judged(NamedTuple):
    """A verdict, with how many samples it would be decided (NaN: it is, or never will be), and why."""

    verdict: Verdict
    samples_to_decide: float
    reason: str


class Entry(NamedTuple):
    """One part that a gate selects, and what is said of it."""

    part: Part | None
    value: Ranged
    samples: int
    judged: Judged
    paired: bool


def judge_audit(gates: Gates, result: AuditResult, records: PairedRecords | None = None) -> AuditResult:
    """The audit with what each gate says, and the worst of it as its verdict. With its records, accuracy is compared
    with a baseline's on the same samples."""
    found = [judge_gate(gate, result, gates.baselines.get(gate.baseline), records) for gate in gates.tables]
    verdict = min((gate.verdict for gate in found), key=WORST_FIRST.index, default=None)
    return result.model_copy(update={"gates": found, "verdict": verdict, "gates_sha256": gates.sha256})


def judge_gate(
    gate: GateTable, result: AuditResult, baseline: Baseline | None = None, records: PairedRecords | None = None
) -> GateResult:
    """One gate on everything that it selects: the worst decides. `baseline` is the audit that it names."""
    entries = list(judge_parts(gate, result, baseline, records))
    if not entries:
        nothing = Judged("INCONCLUSIVE", math.nan, "no condition or group of the results is selected")
        entries = [Entry(None, NOTHING, 0, nothing, True)]
    worst = min(entries, key=lambda entry: (WORST_FIRST.index(entry.judged.verdict), slack(gate, entry.value)))
    reason = worst.judged.reason + (f"; the worst of {len(entries)}" if len(entries) > 1 else "")
    reason += "" if worst.paired or gate.by_point else "; the interval takes the two values as independent"
    return GateResult(
        name=gate.name,
        metric=gate.metric,
        required=gate.requirement,
        requirement=describe_requirement(gate),
        verdict=worst.judged.verdict,
        judged_on="point" if gate.by_point else "interval",
        condition=worst.part.condition.name if worst.part else "",
        part=worst.part.name if worst.part else "",
        value=Estimate(**worst.value._asdict()),
        bound=gate.bound,
        baseline_sha256=baseline.sha256 if baseline else "",
        samples=worst.samples,
        samples_to_decide=worst.judged.samples_to_decide,
        reason=reason,
    )


def judge_parts(
    gate: GateTable, result: AuditResult, baseline: Baseline | None, records: PairedRecords | None
) -> Iterator[Entry]:
    """Everything that a gate selects, judged."""
    others = {c.name: c for c in (baseline.result.clean, *baseline.result.conditions)} if baseline else {}
    clusters = result.clusters.number if result.clusters else None
    for condition in result.conditions if gate.relative else (result.clean, *result.conditions):
        if is_selected(gate, measured_scope(condition)):
            for part in list_parts(gate, condition):
                against = find_part(part, others.get(condition.name) if baseline else result.clean)
                value, paired = measure_judged(gate, part, against), is_paired(gate)
                if baseline and records and against and gate.metric == "accuracy":
                    both = records.compare(part, Path(gate.baseline), against)
                    value, paired = both or value, both is not None
                samples = part.group.samples if part.group else result.samples
                drawn = part.group.clusters if part.group else clusters
                yield Entry(part, value, samples, judge_value(gate, value, samples, drawn), paired)


def judge_value(gate: GateTable, found: Ranged, samples: int, clusters: int | None) -> Judged:
    """One value against the bound of a gate. `clusters` is None where samples are independent."""
    if samples < gate.min_n:
        return Judged("INCONCLUSIVE", gate.min_n, f"{samples} samples, and min_n asks for {gate.min_n}")
    if clusters is not None and clusters < FEW_CLUSTERS:
        return Judged("INCONCLUSIVE", math.nan, f"{clusters} clusters, and an interval takes {FEW_CLUSTERS} or more")
    if math.isnan(found.value):
        return Judged("INCONCLUSIVE", math.nan, "there is no such number here")
    meets: Callable[[float], bool] = gate.bound.__le__ if gate.upward else gate.bound.__ge__
    if gate.by_point:
        whole = "has no interval, and " if gate.metric == "ece" and gate.on == "interval" else ""
        if meets(found.value):
            return Judged("PASS", math.nan, f"the value {whole}meets the bound")
        return Judged("FAIL", math.nan, f"the value {whole}misses the bound")
    worst, best = (found.low, found.high) if gate.upward else (found.high, found.low)
    if math.isnan(worst) or math.isnan(best):
        return Judged("INCONCLUSIVE", math.nan, "there is no interval here")
    if meets(worst):
        return Judged("PASS", math.nan, f"the {'lower' if gate.upward else 'upper'} end meets the bound")
    if not meets(best):
        return Judged("FAIL", math.nan, f"the whole interval lies {'below' if gate.upward else 'above'} the bound")
    needed = _needed_samples(gate, found, worst if meets(found.value) else best, samples, clusters is None)
    how = f"about {needed:,.0f} samples like these would decide" if needed < MANY else "the value is all but the bound"
    return Judged("INCONCLUSIVE", needed, f"the interval holds the bound; {how}")


def _needed_samples(gate: GateTable, found: Ranged, end: float, samples: int, independent: bool) -> float:
    """Samples with which the `end` of the interval that reaches beyond the bound would not."""
    if gate.metric == "accuracy" and gate.requirement in ("min", "max") and independent:
        return max(samples + 1, samples_to_decide(found.value, gate.bound))
    return max(samples + 1, samples_to_clear(samples, found.value, end, gate.bound))


def slack(gate: GateTable, found: Ranged) -> float:
    """How far the end that is judged lies on the right side of the bound: what is lowest is the worst."""
    worst = found.low if gate.upward else found.high
    judged = found.value if gate.by_point else worst
    gap = judged - gate.bound if gate.upward else gate.bound - judged
    return -math.inf if math.isnan(gap) else gap
