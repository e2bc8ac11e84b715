"""What an audit found, as sentences and rows."""

import pytest
from audits import NOTHING, estimate, group, modality, outcome, result
from gated import audit, threshold

from robustmm.auditing.results.condition import BestUnimodal, ConditionResult, Interaction
from robustmm.auditing.results.schema import AuditResult, Clusters, Reference, SearchResult
from robustmm.evaluation.attack_result import AppliedCorruption, Change
from robustmm.report.page.sections import _dropped_table
from robustmm.report.summary import findings
from robustmm.search.outcome import MixOutcome, MixPoint, RobustAccuracy, SanityCheck, SquareOutcome, SquareRun

NAN = float("nan")
FOG = AppliedCorruption(name="fog", level=1.0, strength=1.0, unit="x", probability=1.0)


def facts(found: AuditResult) -> dict[str, str]:
    return dict(findings.list_facts(found))


def test_clean_names_samples_clusters_and_the_design_effect() -> None:
    assert facts(result(outcome())) == {"Clean": "80.0 % [71.1, 86.7] of 100 samples"}
    clusters = Clusters(column="speaker", number=20, smallest=5, largest=9)
    clean = outcome(design_effect=2.04)
    assert facts(result(clean, clusters=clusters))["Clean"] == (
        "80.0 % [71.1, 86.7] of 100 samples, 20 clusters (speaker), design effect 2.0"
    )
    assert facts(result(outcome(), clusters=clusters))["Clean"].endswith(", 20 clusters (speaker)")


def test_the_worst_condition_and_group() -> None:
    found = result(
        outcome(), [outcome("rain", 30, effect="drop"), outcome("sun", 79)], worst_condition="rain",
        worst_group=group("bee", 2, 20, "site"), worst_group_condition="rain", mean_retention=0.5,
        breaking_levels=[threshold("x", "holds")], bad_inputs=["a", "b"],
        reference=Reference(model="o.onnx", mean_corruption_error=1.2, relative=1, by_corruption={}),
    )  # fmt: skip
    said = facts(found)
    assert said["Drops"] == "1 of 2 conditions (adjusted p < 0.05); mean retention 50 %"
    assert said["Worst"] == "30.0 % [21.9, 39.6] (-50.0 points) under rain"
    assert said["Group"] == "10.0 % [2.8, 30.1] of 20 with site bee under rain"
    assert said["Error"] == "1.20 of that of o.onnx, under corruption"
    assert said["Inputs"] == "2 unreadable, counted as missing"
    assert "Transfer" not in said


def test_what_a_guard_drops() -> None:
    def guarded(name: str, rate: float, noise: bool) -> ConditionResult:
        first = modality("a").model_copy(update={"dropped": estimate(rate), "noises": [FOG] if noise else []})
        second = modality("b").model_copy(update={"dropped": estimate(0.5)})
        return outcome(name, modalities=[first, second])

    found = result(guarded("clean", 0.25, noise=False), [guarded(f"fog {x}", x, noise=True) for x in (0.5, 1.0)])
    assert facts(found)["Guard"] == (
        "drops of clean samples a 25.0 % [15.0, 35.0], corrupted 75.0 %; b 50.0 % [40.0, 60.0], corrupted –"
    )
    assert "Guard" not in facts(result(outcome()))
    assert '<td class="number">25.0 % [15.0, 35.0]</td><td class="number">75.0 %</td>' in str(_dropped_table(found))
    assert _dropped_table(result(outcome())) is None


def test_where_one_modality_alone_is_better() -> None:
    def beaten(by: float) -> BestUnimodal:
        change = Change(value=-by, low=-by - 0.1, high=-by + 0.1, p=0.01)
        return BestUnimodal(modality="b", samples=9, accuracy=0.7, change=change, negative_transfer=True)

    some = [outcome("x", best_unimodal=beaten(0.1)), outcome("y", best_unimodal=beaten(0.3)), outcome("z")]
    assert facts(result(outcome(), some))["Transfer"] == (
        "2 of 4 conditions: one alone beats the fusion, most b under y"
    )


def mix(*budgets: float) -> MixOutcome:
    curve = [
        MixPoint(budget=x, search="exhaustive", spent=x, spends=[], searched=0.1, accuracy=estimate(0.4), uniform=[],
                 uniform_accuracy=estimate(0.5), change=Change(value=-0.1, low=-0.2, high=0, p=0.1))
        for x in budgets
    ]  # fmt: skip
    return MixOutcome(
        seed=0, noises={}, levels=[], searched_samples=1, reported_samples=1, evaluated=1, clean=estimate(0.9),
        curve=curve, bad_inputs=[],
    )  # fmt: skip


def square(passed: bool, runs: int = 1) -> SquareOutcome:
    left = [RobustAccuracy(queries=1, accuracy=estimate(0.8)), RobustAccuracy(queries=99, accuracy=estimate(0.3))]
    run = SquareRun(scale=2, norms=[], curve=left, broken=1, median_queries=3, noise=estimate(0.8))
    check = SanityCheck(name="c", passed=passed, measured=1, limit=1, sentence="s")
    return SquareOutcome(
        seed=0, samples=9, queries=99, clean=estimate(0.9), runs=[run] * runs, first=[], checks=[check], bad_inputs=[]
    )


@pytest.mark.parametrize(
    ("search", "said"),
    [
        (mix(0.2, 0.6), "the worst mix of a budget of 0.6 leaves 40.0 % [30.0, 50.0]"),
        (mix(), ""),
        (square(True), "Square leaves 30.0 % [20.0, 40.0] after 99 queries at scale 2"),
        (square(False), "Square leaves 30.0 % [20.0, 40.0] after 99 queries at scale 2; a check of the attack failed"),
        (square(True, 0), ""),
    ],
)
def test_what_a_search_leaves(search: SearchResult, said: str) -> None:
    assert findings.search_sentence(search) == said
    assert facts(result(outcome(), searches=[search])).get("Attack", "") == said


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        ("signal-to-noise ratio over the whole clip, dB", "12.5 dB signal-to-noise ratio over the whole clip"),
        ("bit rate, kbit/s", "12.5 kbit/s bit rate"),
        ("amount of fog, of full scale", "12.5 amount of fog, of full scale"),
        ("degrees", "12.5 degrees"),
        (", dB", "12.5 , dB"),
        ("", "12.5 "),
    ],
)
def test_a_short_unit_comes_right_after_the_number(unit: str, said: str) -> None:
    assert findings.strength_text(12.5, unit) == said


def test_a_threshold_is_in_one_of_three_states() -> None:
    assert findings.describe_threshold(threshold("n", "fails", 0.375))[2:] == (
        "0.275", "0.375", "12.5 dB signal-to-noise ratio",
    )  # fmt: skip
    assert findings.describe_threshold(threshold("n", "holds"))[2:] == ("1", "none", "holds at every level")
    assert findings.describe_threshold(threshold("n", "undecided", 0.25))[2:] == (
        "0.25", "?", "undecided: takes about 1,234 samples",
    )  # fmt: skip
    for never in (NAN, float("inf")):
        one = threshold("n", "undecided", 0.25, samples_to_decide=never)
        assert findings.describe_threshold(one).said == "undecided"


def test_what_fails_earliest_is_the_most_fragile_then_what_holds_least() -> None:
    some = [threshold("h", "holds"), threshold("u2", "undecided", 0.6), threshold("u1", "undecided", 0.1),
            threshold("f2", "fails", 0.4), threshold("f1", "fails", 0.3), threshold("tie", "fails", 0.4, retention=0.1),
            threshold("nan", "holds", retention=NAN)]  # fmt: skip
    ranked = findings.rank_thresholds(result(outcome(), breaking_levels=some))
    assert [b.noise for b in ranked] == ["f1", "tie", "f2", "u1", "u2", "nan", "h"]
    assert findings.rest_sentence(ranked) == "and 7 more: 3 fail, 2 undecided, 2 hold"
    assert findings.rest_sentence([]) == ""


def test_modalities_by_share_and_pairs_by_need() -> None:
    some = [modality("low", 0.1), modality("high", 0.9), modality("none", NAN)]
    pairs = [
        Interaction(modalities=("low", "high"), value=estimate(0), needed=estimate(0.05)),
        Interaction(modalities=("high", "none"), value=estimate(0), needed=estimate(0.2)),
        Interaction(modalities=("low", "none"), value=estimate(0), needed=NOTHING),
    ]
    found = result(outcome(modalities=some, interactions=pairs))
    assert [(s.name, s.share) for s in findings.rank_modalities(found)] == [
        ("high", "90 %"), ("low", "10 %"), ("none", "–"),
    ]  # fmt: skip
    assert findings.needed_sentence(found) == (
        "Both needed, neither right alone: 20.0 % high and none, 5.0 % low and high"
    )
    assert findings.needed_sentence(audit(modalities=1)) == ""
