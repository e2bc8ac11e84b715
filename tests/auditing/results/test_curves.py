import pytest
from audits import modality, outcome

from robustmm.auditing.results.curves import missing_rate_curves, share_shifts
from robustmm.auditing.results.schema import MissingRateCurve
from robustmm.conditions.condition import Condition, Noise

CLEAN = outcome()


def curve(*conditions: Condition) -> list[MissingRateCurve]:
    """Accuracy falls by 10 points a condition."""
    found = [outcome(c.name, 70 - 10 * k) for k, c in enumerate(conditions)]
    return missing_rate_curves(conditions, found, CLEAN.accuracy)


def gone(name: str, **more: object) -> Condition:
    return Condition(name, **{"missing": {"a": 0.5, "b": 0.5}, **more})  # type: ignore[arg-type]


def test_a_curve_rises_from_clean_whatever_the_order() -> None:
    (found,) = curve(gone("half"), gone("fifth", missing={"a": 0.2, "b": 0.2}), gone("all", missing={"a": 1, "b": 1}))
    assert found.modalities == ["a", "b"]
    assert found.rates == [0, 0.2, 0.5, 1]
    assert found.conditions == ["fifth", "half", "all"]
    assert [round(e.value, 6) for e in found.accuracies] == [0.8, 0.6, 0.7, 0.5]
    assert found.area_under_curve == pytest.approx(0.2 * 0.7 + 0.3 * 0.65 + 0.5 * 0.6)


def test_the_area_is_over_the_rates_span() -> None:
    (found,) = curve(gone("fifth", missing={"a": 0.2, "b": 0.2}))
    assert found.area_under_curve == pytest.approx((0.8 + 0.7) / 2)


def test_every_set_of_modalities_has_its_curve() -> None:
    found = curve(gone("a", missing={"a": 0.5, "b": 0.0}), gone("b", missing={"b": 0.5}), gone("both"))
    assert [(r.modalities, r.conditions) for r in found] == [(["a"], ["a"]), (["b"], ["b"]), (["a", "b"], ["both"])]


@pytest.mark.parametrize(
    "more",
    [
        {"missing": {"a": 0.5, "b": 0.2}},
        {"missing": {"a": 0.0}},
        {"missing": {}},
        {"noises": (Noise("gaussian", 0.5),)},
        {"present": ("a",)},
        {"table": "t.csv"},
        {"fill": "zero"},
        {"burst": 2},
    ],
)
def test_only_what_is_missing_at_one_rate_and_told_makes_a_curve(more: dict[str, object]) -> None:
    assert curve(gone("c", **more)) == []


def under(name: str, a: float, effect: str = "drop") -> object:
    return outcome(name, effect=effect, modalities=[modality("a", a), modality("b", 1 - a)])


def test_a_shift_is_the_largest_move_of_a_share_that_is_certain() -> None:
    found = [under("less", 0.3), under("more", 0.75), under("chance", 0.0, "none"), under("gain", 0.6, "gain")]
    told = share_shifts(CLEAN, found)  # type: ignore[arg-type]
    assert [(s.modality, s.condition) for s in told] == [("a", "more"), ("b", "more")]
    assert [(s.clean_share, s.share) for s in told] == [(0.5, 0.75), (0.5, 0.25)]


def test_each_modality_has_its_own_condition() -> None:
    three = [modality("a", 0.4), modality("b", 0.3), modality("c", 0.3)]
    one = outcome("one", effect="drop", modalities=[modality("a", 0.1), modality("b", 0.45), modality("c", 0.45)])
    two = outcome("two", effect="gain", modalities=[modality("a", 0.4), modality("b", 0.6), modality("c", 0.0)])
    told = share_shifts(outcome(modalities=three), [one, two])
    assert [(s.modality, s.condition, s.share) for s in told] == [
        ("a", "one", 0.1), ("b", "two", 0.6), ("c", "two", 0.0)
    ]  # fmt: skip


def test_without_a_certain_effect_nothing_shifts() -> None:
    assert share_shifts(CLEAN, [under("chance", 0.0, "none")]) == []  # type: ignore[list-item]
    assert share_shifts(CLEAN, []) == []
