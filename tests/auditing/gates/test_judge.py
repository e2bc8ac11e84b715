"""The verdicts of gates, on numbers made by hand."""

import math
from typing import Any

import numpy as np
import pytest
from audits import NOTHING, estimate, group, modality, outcome, result
from hypothesis import given
from hypothesis import strategies as st

from robustmm.auditing.gates.declared import Baseline, Gates
from robustmm.auditing.gates.judge import judge_audit, judge_gate, judge_value
from robustmm.auditing.results.condition import ConditionResult
from robustmm.auditing.results.schema import AuditResult, Clusters
from robustmm.auditing.results.verdict import GateResult
from robustmm.conditions.gate import GateTable
from robustmm.evaluation.attack import proportion
from robustmm.evaluation.attack_result import AppliedCorruption, Change, Estimate
from robustmm.metrics.unpaired import Ranged, difference, ratio

RANK = {"FAIL": 0, "INCONCLUSIVE": 1, "PASS": 2}
CLEAN = outcome("clean", 90, macro_f1=estimate(0.8), auroc=estimate(0.95, 0.03), ece=0.05, nll=estimate(0.4, 0.05))


def gate(**keys: Any) -> GateTable:
    return GateTable.model_validate({"name": "g", "metric": "accuracy", "condition": "*", **keys})


def ranged(found: Estimate) -> Ranged:
    return Ranged(found.value, found.low, found.high)


def noised(name: str, right: int, **more: Any) -> ConditionResult:
    noise = AppliedCorruption(name="rain", level=0.5, strength=3, unit="mm", probability=1)
    struck = modality("a", 0.3).model_copy(update={"noises": [noise]})
    return outcome(name, right, modalities=[struck, modality("b", 0.7)], **more)


MILD = noised("mild", 85, retention=estimate(0.95, 0.04), change=Change(value=-0.05, low=-0.09, high=-0.01, p=0.01))
HARD = noised(
    "hard", 60, retention=estimate(0.6, 0.1), macro_f1=estimate(0.5), nll=estimate(0.9, 0.1), ece=0.2,
    auroc=estimate(0.7, 0.05), change=Change(value=-0.3, low=-0.4, high=-0.2, p=0.01),
    nll_change=Change(value=0.5, low=0.4, high=0.6, p=0.01), groups=[group("ant", 10, 50), group("bee", 40, 50)],
)  # fmt: skip
WHOLE = result(CLEAN, [MILD, HARD])


def judged(audit: AuditResult = WHOLE, other: AuditResult | None = None, **keys: Any) -> GateResult:
    return judge_gate(gate(**keys), audit, Baseline(other, "sha") if other else None)


@pytest.mark.parametrize(
    ("keys", "where", "value"),
    [
        ({"min": 0.5}, "hard", proportion(60, 100)),
        ({"condition": "clean", "min": 0.5}, "clean", proportion(90, 100)),
        ({"condition": ["clean", "mild"], "min": 0.5}, "mild", proportion(85, 100)),
        ({"metric": "macro-f1", "min": 0.5}, "hard", estimate(0.5)),
        ({"metric": "auroc", "condition": ["hard", "clean"], "min": 0.5}, "hard", estimate(0.7, 0.05)),
        ({"metric": "nll", "max": 0.5}, "hard", estimate(0.9, 0.1)),
        ({"metric": "ece", "max": 0.5}, "hard", Estimate(value=0.2, low=math.nan, high=math.nan)),
        ({"metric": "retention", "min": 0.5}, "hard", estimate(0.6, 0.1)),
        ({"metric": "share", "of": "a", "condition": "hard", "min": 0.1}, "hard", estimate(0.3)),
        ({"metric": "share", "of": "b", "condition": "hard", "max": 0.9}, "hard", estimate(0.7)),
        ({"metric": "drop", "max": 0.5}, "hard", estimate(0.3)),
        ({"max_drop": 0.5}, "hard", estimate(0.3)),
        ({"metric": "nll", "max_drop": 0.5}, "hard", estimate(0.5)),
        ({"max_relative_drop": 0.5}, "hard", estimate(0.4)),
        ({"metric": "macro-f1", "max_drop": 0.5}, "hard", difference(Ranged(0.8, 0.7, 0.9), Ranged(0.5, 0.4, 0.6))),
        ({"metric": "ece", "max_drop": 0.5}, "hard", Estimate(value=0.15, low=math.nan, high=math.nan)),
        (
            {"metric": "macro-f1", "max_relative_drop": 0.5},
            "hard",
            [1 - x for x in np.array(ratio(Ranged(0.5, 0.4, 0.6), Ranged(0.8, 0.7, 0.9)))[[0, 2, 1]]],
        ),
        (
            {"metric": "nll", "max_relative_drop": 0.5},
            "hard",
            [x - 1 for x in ratio(Ranged(0.9, 0.8, 1.0), Ranged(0.4, 0.35, 0.45))],
        ),
    ],
)
def test_every_metric_and_requirement(keys: dict[str, Any], where: str, value: Any) -> None:
    """The worst condition decides, and its number and interval are told."""
    found = judged(**keys)
    expected = ranged(value) if isinstance(value, Estimate) else value
    assert found.condition == where
    assert ranged(found.value) == pytest.approx(tuple(expected), nan_ok=True)
    assert found.bound == max(v for k, v in keys.items() if k in ("min", "max", "max_drop", "max_relative_drop"))
    unpaired = (
        found.metric not in ("accuracy", "nll")
        if found.required == "max_drop"
        else (found.required == "max_relative_drop" and found.metric != "accuracy")
    )
    assert ("takes the two values as independent" in found.reason) == (unpaired and found.metric != "ece")


@pytest.mark.parametrize(
    ("low", "high", "at_least", "at_most"),
    [
        (0.6, 0.7, "PASS", "FAIL"),
        (0.5, 0.7, "PASS", "INCONCLUSIVE"),
        (0.4, 0.6, "INCONCLUSIVE", "INCONCLUSIVE"),
        (0.3, 0.5, "INCONCLUSIVE", "PASS"),
        (0.3, 0.4, "FAIL", "PASS"),
    ],
)
def test_the_interval_decides(low: float, high: float, at_least: str, at_most: str) -> None:
    found = Ranged((low + high) / 2, low, high)
    assert judge_value(gate(min=0.5), found, 100, None).verdict == at_least
    assert judge_value(gate(metric="drop", max=0.5), found, 100, None).verdict == at_most


@pytest.mark.parametrize(("value", "verdict"), [(0.5, "PASS"), (0.51, "PASS"), (0.49, "FAIL")])
def test_the_point_decides_where_it_is_asked_for(value: float, verdict: str) -> None:
    for found in (Ranged(value, 0.0, 1.0), Ranged(value, math.nan, math.nan)):
        assert judge_value(gate(min=0.5, on="point"), found, 100, None).verdict == verdict
    assert judged(on="point", min=0.6).judged_on == "point"


def test_what_has_no_interval_is_judged_by_its_value_and_says_so() -> None:
    found = judged(metric="ece", max=0.1)
    assert (found.verdict, found.judged_on, found.condition) == ("FAIL", "point", "hard")
    assert found.reason == "the value has no interval, and misses the bound; the worst of 3"
    assert judged(metric="ece", max=0.2).verdict == "PASS"


@pytest.mark.parametrize(
    ("keys", "samples", "clusters", "reason"),
    [
        ({"min_n": 101}, 100, None, "100 samples, and min_n asks for 101"),
        ({}, 100, 9, "9 clusters, and an interval takes 10 or more"),
        ({"on": "point"}, 100, 9, "9 clusters"),
    ],
)
def test_of_too_few_nothing_is_decided(keys: dict[str, Any], samples: int, clusters: int | None, reason: str) -> None:
    for value in (0.99, 0.01):
        found = judge_value(gate(min=0.5, **keys), Ranged(value, value - 0.01, value + 0.01), samples, clusters)
        assert found.verdict == "INCONCLUSIVE"
        assert reason in found.reason
    assert judge_value(gate(min=0.5, min_n=100), Ranged(0.9, 0.8, 1), 100, 10).verdict == "PASS"


def test_of_no_number_nothing_is_decided() -> None:
    for found in (Ranged(math.nan, math.nan, math.nan), Ranged(0.9, math.nan, 1.0), Ranged(0.9, 0.8, math.nan)):
        assert judge_value(gate(min=0.5), found, 100, None).verdict == "INCONCLUSIVE"
    bare = result(outcome("clean", modalities=[modality().model_copy(update={"shapley_accuracy_share": NOTHING})]))
    assert judged(bare, metric="share", of="a", min=0.1).reason == "there is no such number here"
    nothing = judged(result(CLEAN), condition="gone", min=0.1)
    assert (nothing.verdict, nothing.condition, nothing.samples) == ("INCONCLUSIVE", "", 0)
    assert "is selected" in nothing.reason


def test_clusters_of_the_audit_and_of_a_group() -> None:
    few = Clusters(column="speaker", number=8, smallest=1, largest=9)
    assert judged(result(CLEAN, clusters=few), min=0.1).verdict == "INCONCLUSIVE"
    many = few.model_copy(update={"number": 20})
    some = [group("ant", 45, 50).model_copy(update={"clusters": number}) for number in (9, 12)]
    for each, verdict in zip(some, ("INCONCLUSIVE", "PASS"), strict=True):
        audit = result(outcome("clean", 90, groups=[each]), clusters=many)
        assert judged(audit, group={"label": "ant"}, min=0.1).verdict == verdict


def test_groups_the_worst_one_or_the_one_that_is_named() -> None:
    every = judged(group={"label": "*"}, condition="hard", min=0.5)
    assert (every.verdict, every.part, every.samples) == ("FAIL", "label: ant", 50)
    assert every.reason == "the whole interval lies below the bound; the worst of 2"
    named = judged(group={"label": "bee"}, condition="hard", min=0.5)
    assert (named.verdict, named.part, named.value) == ("PASS", "label: bee", proportion(40, 50))


def test_each_modality_has_a_share() -> None:
    found = judged(metric="share", of="*", condition="hard", min=0.4)
    assert (found.part, found.verdict) == ("a", "INCONCLUSIVE")
    assert judged(metric="share", of="*", condition="hard", max=0.5).part == "b"


def test_a_gate_against_clean_leaves_clean_out() -> None:
    assert judged(metric="retention", on="point", max=None, min=0.99).reason.endswith("the worst of 2")
    assert judged(min=0.5).reason.endswith("the worst of 3")


def test_an_undecided_gate_says_how_many_samples_decide() -> None:
    found = judged(condition="clean", min=0.85)
    assert found.verdict == "INCONCLUSIVE"
    assert f"about {found.samples_to_decide:,.0f} samples like these would decide" in found.reason
    n = int(found.samples_to_decide)
    n += -n % 10
    assert judged(result(outcome("clean", 9 * n // 10, n), samples=n), min=0.85).verdict == "PASS"
    short = 10 * (n // 10 - 3)
    assert judged(result(outcome("clean", 9 * short // 10, short), samples=short), min=0.85).verdict == "INCONCLUSIVE"
    half = judge_value(gate(metric="retention", min=0.8), Ranged(0.85, 0.75, 0.95), 100, None)
    assert half.samples_to_decide == pytest.approx(400, abs=1)
    worse = judge_value(gate(metric="retention", min=0.8), Ranged(0.75, 0.65, 0.95), 100, None)
    assert worse.samples_to_decide == pytest.approx(1600, abs=1)
    never = judge_value(gate(metric="retention", min=0.8), Ranged(0.8, 0.7, 0.9), 100, None)
    assert (never.samples_to_decide, "the value is all but the bound" in never.reason) == (math.inf, True)
    assert math.isnan(judged(min=0.1).samples_to_decide)


def test_not_worse_than_a_baseline() -> None:
    """0.9 and 0.6 of 100 against 0.9 and 0.85: by Newcombe's interval."""
    other = result(CLEAN, [MILD, noised("hard", 85)])
    keys: dict[str, Any] = {"baseline": "b.json", "margin": 0.2}
    found = judged(other=other, **keys)
    expected = difference(Ranged(0.85, *ranged(proportion(85, 100))[1:]), ranged(proportion(60, 100)))
    assert (found.condition, found.required, found.baseline_sha256) == ("hard", "baseline", "sha")
    assert ranged(found.value) == pytest.approx(expected)
    assert found.verdict == "INCONCLUSIVE"
    assert judged(other=other, **keys | {"margin": 0.4}).verdict == "PASS"
    assert judged(other=other, **keys | {"margin": 0.05}).verdict == "FAIL"
    assert judged(other=other, condition="clean", **keys).verdict == "PASS"
    assert judged(other=other, metric="nll", **keys | {"margin": 0.6}).condition == "hard"
    gone = judged(other=result(CLEAN, [MILD]), **keys)
    assert (gone.verdict, gone.condition) == ("INCONCLUSIVE", "hard")


def test_the_worst_verdict_is_the_audits() -> None:
    tables = [gate(name="pass", min=0.1), gate(name="open", condition="clean", min=0.85), gate(name="fail", min=0.9)]
    for count, verdict in ((0, None), (1, "PASS"), (2, "INCONCLUSIVE"), (3, "FAIL")):
        found = judge_audit(Gates(tuple(tables[:count]), "abc"), WHOLE)
        assert found.verdict == verdict
        assert [each.name for each in found.gates] == ["pass", "open", "fail"][:count]
        assert found.gates_sha256 == "abc"
    assert AuditResult.model_validate(found.model_dump(mode="json")).model_dump(mode="json") == found.model_dump(
        mode="json"
    )


bounds = st.floats(0, 1)


@given(st.tuples(bounds, bounds, bounds), bounds, bounds, st.booleans(), st.sampled_from(["interval", "point"]))
def test_a_tighter_bound_is_never_better_met(
    ends: tuple[float, float, float], bound: float, other: float, upward: bool, on: str
) -> None:
    low, value, high = sorted(ends)
    loose, tight = (min, max)[not upward](bound, other), (max, min)[not upward](bound, other)
    keys = {"metric": "retention"} if upward else {"metric": "drop"}
    verdicts = [
        judge_value(gate(**keys, on=on, **{"min" if upward else "max": b}), Ranged(value, low, high), 50, None).verdict
        for b in (loose, tight)
    ]
    assert RANK[verdicts[1]] <= RANK[verdicts[0]]


@given(st.lists(st.tuples(bounds, bounds, bounds), min_size=1, max_size=5), bounds)
def test_a_gate_is_as_bad_as_its_worst_condition(several: list[tuple[float, float, float]], bound: float) -> None:
    found = [
        noised(f"c{k}", 50, retention=Estimate(low=ends[0], value=ends[1], high=ends[2]))
        for k, ends in enumerate(map(sorted, several))
    ]
    whole = judged(result(CLEAN, found), metric="retention", noise="rain", min=bound)
    alone = [judged(result(CLEAN, [each]), metric="retention", noise="rain", min=bound) for each in found]
    assert RANK[whole.verdict] == min(RANK[each.verdict] for each in alone)
    assert whole.verdict == alone[int(whole.condition[1:])].verdict


@pytest.mark.parametrize(("truth", "most_wrong"), [(0.90, 0.035), (0.95, 0.001), (0.85, 0.001)])
def test_a_planted_accuracy_is_judged_at_the_right_rate(truth: float, most_wrong: float) -> None:
    """A model whose accuracy is the bound passes or fails by chance at 2.5 % each; one that is 5 points better never
    fails on 400 samples, one that is 5 points worse never passes."""
    rng, n, runs = np.random.default_rng(1), 400, 3000
    rights, counts = np.unique(rng.binomial(n, truth, runs), return_counts=True)
    share = dict.fromkeys(RANK, 0.0)
    for right, count in zip(rights, counts, strict=True):
        verdict = judged(result(outcome("clean", int(right), n), samples=n), condition="clean", min=0.9).verdict
        share[verdict] += count / runs
    assert (share["PASS"] if truth <= 0.9 else share["FAIL"]) <= most_wrong
    assert (share["FAIL"] if truth >= 0.9 else share["PASS"]) <= most_wrong
    if truth == 0.9:
        assert share["PASS"] >= 0.015
        assert share["FAIL"] >= 0.015
        assert share["INCONCLUSIVE"] > 0.93
    else:
        assert share["PASS" if truth > 0.9 else "FAIL"] > 0.8
