"""Where a model breaks, on accuracies whose crossing is known."""

import math
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from audits import outcome
from hypothesis import given
from hypothesis import strategies as st
from worlds import SIX

from robustmm.auditing.results.breaking_levels import (
    BISECTIONS,
    LevelSweep,
    accuracy,
    bisect_sweeps,
    breaking_level,
    build_sweeps,
)
from robustmm.auditing.results.schema import BreakingLevel
from robustmm.conditions.condition import Condition, Noise
from robustmm.corruptions import find_corruption
from robustmm.evaluation.attack import proportion
from robustmm.evaluation.attack_result import Estimate
from robustmm.metrics.robustness import retention

LEVELS = (0.2, 0.4, 0.6, 0.8, 1.0)
SURE = 10**9
"""Samples that leave an interval no width."""

Curve = Callable[[float], float]


def grid(*levels: float, name: str = "gaussian", on: tuple[str, ...] = ("image",), **more: object) -> list[Condition]:
    return [Condition(f"{name} {x:g}", (Noise(name, x, on, **more),)) for x in levels]  # type: ignore[arg-type]


def tried(
    curve: Curve, clean: float = 1.0, n: int = SURE, share: float = 0.9, levels: Iterable[float] = LEVELS
) -> tuple[BreakingLevel, list[float]]:
    """What halving makes of a curve, and the levels it measured."""
    (sweep,) = build_sweeps(grid(*levels))

    def measured(steps: list[Condition]) -> list[Estimate]:
        asked.extend(step.noises[0].level for step in steps)
        return [proportion(round(curve(step.noises[0].level) * n), n) for step in steps]

    asked: list[float] = []
    whole = proportion(round(clean * n), n)
    sweep.known = {x: proportion(round(curve(x) * n), n) for x in sweep.grid}
    if whole.low >= share * whole.value:
        bisect_sweeps([sweep], share * whole.value, measured)
    return breaking_level(sweep, SIX, whole, share), asked


@given(st.floats(0.001, 0.999))
def test_halving_finds_a_step_within_a_sixteenth_of_the_grid(step: float) -> None:
    found, asked = tried(lambda level: 1.0 if level < step else 0.5)
    assert found.holding_level < step <= found.breaking_level + 1e-6
    assert found.breaking_level - found.holding_level == pytest.approx(0.2 / 2**BISECTIONS, abs=1e-5)
    assert BISECTIONS == 4
    assert len(asked) == BISECTIONS
    assert not found.undecided
    assert [p.level for p in found.points] == sorted({*LEVELS, *asked})
    assert [p.condition for p in found.points if p.condition] == [f"gaussian {x:g}" for x in LEVELS]
    assert all(p.accuracy.value == (1.0 if p.level < step else 0.5) for p in found.points)


def test_the_strength_is_the_physical_one_at_the_breaking_level() -> None:
    found, _ = tried(lambda level: 1.0 if level < 0.5 else 0.5)
    gaussian = find_corruption("gaussian", "image").for_shape((24, 24, 3))
    assert (found.breaking_strength, found.unit) == (gaussian.strength(found.breaking_level), gaussian.unit)
    assert found.breaking_strength < gaussian.strength(1.0)
    assert (found.noise, found.modalities) == ("gaussian", ["image"])


def test_what_holds_everywhere_has_no_breaking_level() -> None:
    found, asked = tried(lambda level: 0.95)
    assert asked == []
    assert math.isnan(found.breaking_level)
    assert math.isnan(found.breaking_strength)
    assert (found.holding_level, found.undecided) == (1.0, False)
    assert found.unit
    assert found.retention == pytest.approx(0.95)
    assert tried(lambda level: 0.95, levels=(0.4, 0.8))[0].holding_level == 0.8, "further nothing is known"


def test_what_breaks_at_the_first_level_is_looked_for_from_clean() -> None:
    found, asked = tried(lambda level: 0.5)
    assert asked == pytest.approx([0.1, 0.05, 0.025, 0.0125])
    assert (found.holding_level, found.breaking_level) == (0.0, pytest.approx(0.0125))


def test_of_several_crossings_the_first_counts() -> None:
    """It breaks at 0.3, recovers from 0.5 and breaks again at 0.9."""
    found, asked = tried(lambda level: 0.5 if 0.3 <= level < 0.5 or level >= 0.9 else 1.0)
    assert found.holding_level < 0.3 <= found.breaking_level
    assert all(0.2 < level < 0.4 for level in asked)


def test_a_crossing_between_levels_that_hold_is_not_seen_and_one_met_on_the_way_is_taken() -> None:
    """Halving between 0.4 and 0.6 meets 0.5, which holds, then 0.55, which breaks."""
    found, asked = tried(lambda level: 0.5 if 0.54 <= level <= 0.56 or level >= 0.6 else 1.0)
    assert asked[:2] == pytest.approx([0.5, 0.55])
    assert found.holding_level < 0.54 <= found.breaking_level <= 0.55


def test_it_is_the_lower_bound_that_must_stay_above() -> None:
    """An accuracy of 92 % on 300 samples is above 90 % of clean, and not certainly."""
    n = 300
    found, _ = tried(lambda level: 1 - 0.2 * level, n=n)
    tried_levels = (found.holding_level, found.breaking_level)
    low = {level: proportion(round((1 - 0.2 * level) * n), n).low for level in tried_levels}
    assert low[found.holding_level] >= 0.9 > low[found.breaking_level]
    assert proportion(round((1 - 0.2 * found.breaking_level) * n), n).value > 0.9


def test_few_samples_are_undecided() -> None:
    found, asked = tried(lambda level: 1 - level, clean=0.9, n=50)
    assert found.undecided
    assert asked == []
    assert all(math.isnan(x) for x in (found.holding_level, found.breaking_level, found.breaking_strength))
    assert found.retention == pytest.approx(np.mean([0.8, 0.6, 0.4, 0.2, 0.0]) / 0.9, abs=1e-4)
    assert not tried(lambda level: 1 - level, clean=0.9, n=5000)[0].undecided


@pytest.mark.parametrize(("share", "breaks"), [(0.5, 0.5), (0.9, 0.1), (1.0, 0.0)])
def test_the_share_is_of_clean_accuracy(share: float, breaks: float) -> None:
    found, _ = tried(lambda level: 0.8 * (1 - level), clean=0.8, share=share)
    if share == 1:
        assert found.undecided, "clean accuracy's own lower bound is below itself"
    else:
        assert found.holding_level <= breaks + 1e-3
        assert breaks <= found.breaking_level <= breaks + 0.2 / 16 + 1e-3


def test_retention_is_over_the_suites_levels_alone() -> None:
    found, asked = tried(lambda level: 1 - level, clean=0.8)
    assert asked
    assert found.retention == pytest.approx(retention([1 - x for x in LEVELS], 0.8))
    assert math.isnan(tried(lambda level: 0.0, clean=0.0)[0].retention)


def test_sweeps_gather_conditions_by_everything_but_the_level() -> None:
    several = [
        *grid(1.0, 0.2),
        *grid(0.4, on=("video",)),
        *grid(0.4, name="blank"),
        *grid(0.4, probability=0.5),
        *grid(0.4, name="stale", on=(), options={"age": 2}),
        *grid(0.4, name="stale", on=(), options={"age": 3}),
        *grid(0.6),
    ]
    others = [
        Condition("two", (Noise("gaussian", 0.4), Noise("blank", 0.4))),
        Condition("gone", (Noise("gaussian", 0.4),), {"image": 0.5}),
        Condition("only", (Noise("gaussian", 0.4),), present=("image",)),
        Condition("table", (Noise("gaussian", 0.4),), table="t.csv"),
        Condition("missing", (), {"image": 0.5}),
    ]
    found = build_sweeps([*several, *others])
    assert [[*sweep.grid] for sweep in found] == [[1.0, 0.2, 0.6], [0.4], [0.4], [0.4], [0.4], [0.4]]
    assert found[0].grid[0.6] == "gaussian 0.6"
    assert build_sweeps(others) == []


def test_a_step_differs_from_its_sweep_in_nothing_but_the_level() -> None:
    one = Condition("mine", (Noise("stale", 0.4, ("image",), 0.5, {"age": 2}),))
    made = build_sweeps([one])[0].condition_at(0.123)
    assert made.noises == (Noise("stale", 0.123, ("image",), 0.5, {"age": 2}),)
    assert (made.missing, made.present, made.table) == ({}, (), "")


def test_several_sweeps_are_bisected_together() -> None:
    """One call a round, with what still has something to find."""
    steps = {"image": 0.3, "video": 0.7, "series": 2.0}
    some = [
        *build_sweeps(grid(*LEVELS)),
        *build_sweeps(grid(*LEVELS, on=("video",))),
        *build_sweeps(grid(*LEVELS, on=("series",))),
    ]
    calls: list[list[str]] = []

    def at(on: str, level: float) -> Estimate:
        return proportion(SURE if level < steps[on] else SURE // 2, SURE)

    def measured(steps: list[Condition]) -> list[Estimate]:
        calls.append([step.noises[0].on[0] for step in steps])
        return [at(step.noises[0].on[0], step.noises[0].level) for step in steps]

    for sweep, on in zip(some, steps, strict=True):
        sweep.known = {x: at(on, x) for x in sweep.grid}
    bisect_sweeps(some, 0.9, measured)
    assert calls == [["image", "video"]] * BISECTIONS
    found = [breaking_level(sweep, SIX, proportion(SURE, SURE), 0.9) for sweep in some]
    assert [b.breaking_level for b in found[:2]] == pytest.approx([0.3, 0.7], abs=0.2 / 16)
    assert math.isnan(found[2].breaking_level)


def test_a_fault_of_whole_samples_is_told_on_all_it_strikes() -> None:
    (sweep,) = build_sweeps(grid(0.5, 1.0, name="storm", on=()))
    sweep.known = {0.5: proportion(100, 100), 1.0: proportion(10, 100)}
    found = breaking_level(sweep, SIX, proportion(100, 100), 0.9)
    assert len(found.modalities) > 1
    assert {*found.modalities} <= {m.name for m in SIX}
    assert found.breaking_level == 1.0
    assert math.isfinite(found.breaking_strength)


def test_accuracy_is_of_the_records_with_wilsons_interval() -> None:
    from random_records import drawn

    records = drawn(8)
    records.probabilities = np.eye(3)[[0, 0, 0, 1, 1, 1, 2, 2]]
    records.target = np.array([0, 0, 1, 1, 1, 1, 0, 0])
    assert accuracy(records) == proportion(5, 8)
    assert accuracy(records).low < 5 / 8 < accuracy(records).high
    assert outcome("c", 5, 8).accuracy == accuracy(records)


def test_a_bracket_is_the_last_that_holds_and_the_first_that_breaks() -> None:
    sweep = LevelSweep(grid(0.5)[0], {})
    sweep.known = {1.0: proportion(0, 9), 0.25: proportion(9, 9), 0.5: proportion(0, 9)}
    assert sweep.bracket(0.5) == (0.25, 0.5)
    assert sweep.bracket(0.0) is None
    assert sweep.next_condition(0.0) is None
    found = sweep.next_condition(0.5)
    assert found is not None
    assert found.noises[0].level == 0.375
