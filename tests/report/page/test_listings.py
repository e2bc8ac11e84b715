"""Sections that are tables alone."""

from typing import Any

from audits import estimate, group, outcome, result
from pages import Reader

from robustmm.auditing.results.schema import AuditResult, MissingRateCurve, Reference
from robustmm.evaluation.attack import proportion
from robustmm.evaluation.attack_result import Change
from robustmm.report.page import listings
from robustmm.search.outcome import MixOutcome, MixPoint, Norm, RobustAccuracy, Spend, SquareOutcome, SquareRun


def words(made: Any) -> str:
    assert made is not None
    return " ".join(Reader(made).words.split())


def small(**more: Any) -> AuditResult:
    return result(outcome(), [outcome("rain", 60, effect="drop", outcome="fails", p=0.01)], **more)


def test_missing_rates_are_a_row_each() -> None:
    curve = MissingRateCurve(
        modalities=["a", "b"], conditions=["gone"], rates=[0, 0.5], area_under_curve=0.7,
        accuracies=[proportion(80, 100), proportion(60, 100)],
    )  # fmt: skip
    said = words(listings.render_missing(small(missing_rates=[curve])))
    assert "a and b 0 % 80.0 % [71.1, 86.7] a and b 50 % 60.0 % [50.2, 69.1]" in said
    assert "only these modalities" not in said
    assert listings.render_missing(small()) is None


def test_the_worst_group_of_each_column_is_on_top() -> None:
    clean = [group("ant", 45, 50), group("bee", 30, 50), group("north", 40, 50, "site"), group("", 41, 50, "site")]
    under = [group("ant", 10, 50), group("bee", 25, 50), group("north", 40, 50, "site"), group("", 39, 50, "site")]
    found = result(outcome(groups=clean), [outcome("rain", groups=under), outcome("sun", groups=clean)])
    said = words(listings.render_groups(found))
    assert "By label, the worst first label samples clean accuracy [95 %] lowest accuracy under ant 50 90.0 %" in said
    assert said.index("ant 50") < said.index("bee 50") < said.index("By site") < said.index("(empty) 50")
    assert said.index("(empty) 50") < said.index("north 50")
    assert "20.0 % rain" in said
    assert listings.lowest_of([], 0)[1] == "–"


def test_every_condition_has_its_change_and_outcome() -> None:
    said = words(listings.render_conditions(small()))
    assert "The 1 conditions as a table" in said
    assert "rain 60.0 % [50.2, 69.1] -20.0 0.010 drop fails" in said
    assert listings.render_conditions(result(outcome())) is None
    many = result(outcome(), [outcome(f"c{k}") for k in range(listings.CONDITIONS + 7)])
    assert "; 7 more are in results.json" in words(listings.render_conditions(many))


def test_searches_and_a_reference() -> None:
    spend = Spend(modality="a", noise="rain", level=0.4, strength=12, unit="dB")
    point = MixPoint(
        budget=0.5, search="exhaustive", spent=0.4, spends=[spend], searched=0.4, accuracy=estimate(0.5), uniform=[],
        uniform_accuracy=estimate(0.7), change=Change(value=-0.2, low=-0.3, high=-0.1, p=0.01),
    )  # fmt: skip
    mix = MixOutcome(
        seed=0, noises={"a": ["rain"]}, levels=[0.2, 0.4], searched_samples=50, reported_samples=51, evaluated=9,
        clean=estimate(0.8), curve=[point, point.model_copy(update={"spends": []})], bad_inputs=[],
    )  # fmt: skip
    run = SquareRun(
        scale=1, norms=[Norm(modality="a", eps=0.05, unit="of full scale")], broken=3, median_queries=7,
        curve=[RobustAccuracy(queries=10, accuracy=estimate(0.3))], noise=estimate(0.6),
    )  # fmt: skip
    square = SquareOutcome(
        seed=0, samples=9, queries=10, clean=estimate(0.8), runs=[run], first=[], checks=[], bad_inputs=[]
    )
    against = Reference(model="o.onnx", mean_corruption_error=1.25, relative=0.5, by_corruption={"rain on a": 1.5})
    said = words(listings.render_searches(small(searches=[mix, square], reference=against)))
    assert "by budget (sum of levels), on 51 samples" in said
    assert "0.5 50.0 % [40.0, 60.0] 70.0 % [60.0, 80.0] a rain 0.4 (dB: 12)" in said
    assert "nothing" in said
    assert "a 0.05 of full scale 10 30.0 % [20.0, 40.0] 60.0 % [50.0, 70.0]" in said
    assert "Error relative to o.onnx (1: as good) corruption error rain on a 1.50 mean corruption error 1.25" in said
    assert listings.render_searches(small()) is None
