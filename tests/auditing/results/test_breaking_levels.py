"""Where a model breaks, on accuracies whose crossing is known."""

import math
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import SIX

from robustmm.auditing.plan import Reading
from robustmm.auditing.results.breaking_levels import (
    BISECTIONS,
    LevelSweep,
    Measured,
    bisect_sweeps,
    breaking_level,
    build_sweeps,
    measure_level,
)
from robustmm.auditing.results.schema import BreakingLevel
from robustmm.conditions.condition import Condition, Noise
from robustmm.corruptions import find_corruption
from robustmm.evaluation.attack import proportion
from robustmm.metrics.noninferiority import Pairs, judge_retention
from robustmm.metrics.robustness import retention
from robustmm.metrics.sampling import Sampling

LEVELS = (0.2, 0.4, 0.6, 0.8, 1.0)
SURE = 10**9
"""Samples that leave an interval no width."""

Curve = Callable[[float], float]


def grid(*levels: float, name: str = "gaussian", on: tuple[str, ...] = ("image",), **more: object) -> list[Condition]:
    return [Condition(f"{name} {x:g}", (Noise(name, x, on, **more),)) for x in levels]  # type: ignore[arg-type]


def level(right: float, clean: float = 1.0, n: int = SURE, share: float = 0.9) -> Measured:
    """Of `n` samples a share `right` under the condition and `clean` before, the same ones as far as they go."""
    x, y = round(right * n), round(clean * n)
    pairs = Pairs(min(x, y), max(0, x - y), max(0, y - x), n - max(x, y))
    return Measured(proportion(x, n), *judge_retention(pairs, share))


def tried(
    curve: Curve, clean: float = 1.0, n: int = SURE, share: float = 0.9, levels: Iterable[float] = LEVELS
) -> tuple[BreakingLevel, list[float]]:
    """What halving makes of a curve, and the levels it measured."""
    (sweep,) = build_sweeps(grid(*levels))

    def measured(steps: list[Condition]) -> list[Measured]:
        asked.extend(step.noises[0].level for step in steps)
        return [level(curve(step.noises[0].level), clean, n, share) for step in steps]

    asked: list[float] = []
    sweep.known = {x: level(curve(x), clean, n, share) for x in sweep.grid}
    bisect_sweeps([sweep], measured)
    return breaking_level(sweep, SIX, clean), asked


@given(st.floats(0.001, 0.999))
def test_halving_finds_a_step_within_a_sixteenth_of_the_grid(step: float) -> None:
    found, asked = tried(lambda x: 1.0 if x < step else 0.5)
    assert found.holding_level < step <= found.breaking_level + 1e-6
    assert found.breaking_level - found.holding_level == pytest.approx(0.2 / 2**BISECTIONS, abs=1e-5)
    assert BISECTIONS == 4
    assert len(asked) == BISECTIONS
    assert found.outcome == "fails"
    assert [p.level for p in found.points] == sorted({*LEVELS, *asked})
    assert [p.condition for p in found.points if p.condition] == [f"gaussian {x:g}" for x in LEVELS]
    assert all(p.accuracy.value == (1.0 if p.level < step else 0.5) for p in found.points)


def test_the_strength_is_the_physical_one_at_the_breaking_level() -> None:
    found, _ = tried(lambda x: 1.0 if x < 0.5 else 0.5)
    gaussian = find_corruption("gaussian", "image").for_shape((24, 24, 3))
    assert (found.breaking_strength, found.unit) == (gaussian.strength(found.breaking_level), gaussian.unit)
    assert found.breaking_strength < gaussian.strength(1.0)
    assert (found.noise, found.modalities) == ("gaussian", ["image"])


def test_what_holds_everywhere_has_no_breaking_level() -> None:
    found, asked = tried(lambda x: 0.95)
    assert asked == []
    assert math.isnan(found.breaking_level)
    assert math.isnan(found.breaking_strength)
    assert (found.holding_level, found.outcome) == (1.0, "holds")
    assert math.isnan(found.samples_to_decide)
    assert found.unit
    assert found.retention == pytest.approx(0.95)
    assert tried(lambda x: 0.95, levels=(0.4, 0.8))[0].holding_level == 0.8, "further nothing is known"


def test_what_breaks_at_the_first_level_is_looked_for_from_clean() -> None:
    found, asked = tried(lambda x: 0.5)
    assert asked == pytest.approx([0.1, 0.05, 0.025, 0.0125])
    assert (found.holding_level, found.breaking_level) == (0.0, pytest.approx(0.0125))


def test_of_several_crossings_the_first_counts() -> None:
    """It breaks at 0.3, recovers from 0.5 and breaks again at 0.9."""
    found, asked = tried(lambda x: 0.5 if 0.3 <= x < 0.5 or x >= 0.9 else 1.0)
    assert found.holding_level < 0.3 <= found.breaking_level
    assert all(0.2 < level < 0.4 for level in asked)


def test_a_crossing_between_levels_that_hold_is_not_seen_and_one_met_on_the_way_is_taken() -> None:
    """Halving between 0.4 and 0.6 meets 0.5, which holds, then 0.55, which breaks."""
    found, asked = tried(lambda x: 0.5 if 0.54 <= x <= 0.56 or x >= 0.6 else 1.0)
    assert asked[:2] == pytest.approx([0.5, 0.55])
    assert found.holding_level < 0.54 <= found.breaking_level <= 0.55


def test_between_what_certainly_holds_and_what_certainly_fails_it_is_undecided() -> None:
    """90 % of clean accuracy is kept up to level 0.5: 300 samples tell to within some levels, 3,000 more closely."""
    wide, _ = tried(lambda x: 1 - 0.2 * x, n=300)
    close, _ = tried(lambda x: 1 - 0.2 * x, n=3000)
    for found in (wide, close):
        assert found.outcome == "fails"
        assert found.holding_level < 0.5 < found.breaking_level
        between = [p for p in found.points if found.holding_level < p.level < found.breaking_level]
        assert {p.outcome for p in between} <= {"undecided"}
        assert {p.outcome for p in found.points if p.level <= found.holding_level} <= {"holds"}
    assert close.breaking_level < wide.breaking_level
    assert close.holding_level >= wide.holding_level


def test_a_change_of_nothing_on_few_samples_neither_breaks_nor_counts_as_failing() -> None:
    """126 samples, clean 81.7 %, one answer fewer under every level: Wilson's lower bound, 73.3, lay below 90 % of
    clean accuracy (73.5), and so it "broke"."""
    n, clean, jpeg = 126, 103 / 126, 102 / 126
    assert proportion(102, 126).low < 0.9 * clean
    found, asked = tried(lambda x: jpeg, clean=clean, n=n)
    assert (found.outcome, asked) == ("holds", [])
    assert math.isnan(found.breaking_level)
    worse, asked = tried(lambda x: 95 / 126, clean=clean, n=n)
    assert (worse.outcome, asked) == ("undecided", [])
    assert (worse.holding_level, math.isnan(worse.breaking_level)) == (0.0, True)
    assert 126 < worse.samples_to_decide < 3000
    assert level(95 / 126, clean, 60 * 126).outcome == "holds", "with as many of the same kind it is decided"


def test_few_samples_are_undecided() -> None:
    found, asked = tried(lambda x: 1 - 0.1 * x, clean=1.0, n=20)
    assert (found.outcome, asked) == ("undecided", [])
    assert all(math.isnan(x) for x in (found.breaking_level, found.breaking_strength))
    assert found.holding_level == 0
    assert found.retention == pytest.approx(np.mean([0.98, 0.96, 0.94, 0.92, 0.9]), abs=0.03)
    assert tried(lambda x: 1 - 0.05 * x, clean=1.0, n=5000)[0].outcome == "holds"
    assert tried(lambda x: 1 - x, clean=0.9, n=20)[0].outcome == "fails", "what fails grossly fails on few"


@pytest.mark.parametrize(("share", "breaks"), [(0.5, 0.5), (0.9, 0.1), (1.0, 0.0)])
def test_the_share_is_of_clean_accuracy(share: float, breaks: float) -> None:
    found, _ = tried(lambda x: 0.8 * (1 - x), clean=0.8, share=share)
    if share == 1:
        assert (found.holding_level, found.outcome) == (0, "fails")
        assert found.breaking_level == pytest.approx(0.0125), "any loss at all"
    else:
        assert found.holding_level <= breaks + 1e-3
        assert breaks <= found.breaking_level <= breaks + 0.2 / 16 + 1e-3


def test_retention_is_over_the_suites_levels_alone() -> None:
    found, asked = tried(lambda x: 1 - x, clean=0.8)
    assert asked
    assert found.retention == pytest.approx(retention([1 - x for x in LEVELS], 0.8))
    assert math.isnan(tried(lambda x: 0.0, clean=0.0)[0].retention)


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

    def at(on: str, x: float) -> Measured:
        return level(1.0 if x < steps[on] else 0.5)

    def measured(steps: list[Condition]) -> list[Measured]:
        calls.append([step.noises[0].on[0] for step in steps])
        return [at(step.noises[0].on[0], step.noises[0].level) for step in steps]

    for sweep, on in zip(some, steps, strict=True):
        sweep.known = {x: at(on, x) for x in sweep.grid}
    bisect_sweeps(some, measured)
    assert calls == [["image", "video"]] * BISECTIONS
    found = [breaking_level(sweep, SIX, 1.0) for sweep in some]
    assert [b.breaking_level for b in found[:2]] == pytest.approx([0.3, 0.7], abs=0.2 / 16)
    assert math.isnan(found[2].breaking_level)


def test_a_fault_of_whole_samples_is_told_on_all_it_strikes() -> None:
    (sweep,) = build_sweeps(grid(0.5, 1.0, name="storm", on=()))
    sweep.known = {0.5: level(1.0, n=100), 1.0: level(0.1, n=100)}
    found = breaking_level(sweep, SIX, 1.0)
    assert len(found.modalities) > 1
    assert {*found.modalities} <= {m.name for m in SIX}
    assert found.breaking_level == 1.0
    assert math.isfinite(found.breaking_strength)


def test_a_level_is_measured_by_the_pairs_of_its_records_with_the_clean_ones() -> None:
    from random_records import drawn

    clean, struck = drawn(8), drawn(8)
    clean.target = struck.target = np.array([0, 0, 1, 1, 1, 1, 0, 0])
    clean.probabilities = np.eye(3)[[0, 0, 1, 1, 1, 1, 2, 2]]
    struck.probabilities = np.eye(3)[[0, 0, 0, 1, 1, 1, 0, 2]]
    found = measure_level(struck, clean, Reading({}, Sampling(), 0, 0.9))
    assert found.accuracy == proportion(6, 8)
    assert found[1:] == tuple(judge_retention(Pairs(5, 1, 1, 1), 0.9))
    assert found.outcome == "undecided"


def test_a_bracket_is_below_the_first_that_breaks() -> None:
    sweep = LevelSweep(grid(0.5)[0], {})
    sweep.known = {1.0: level(0.0), 0.25: level(1.0), 0.5: level(0.0)}
    assert (sweep.holding_level(), sweep.breaking_level()) == (0.25, 0.5)
    step = sweep.next_condition()
    assert step is not None
    assert step.noises[0].level == 0.375
    sweep.known = {0.25: level(1.0), 0.5: level(1.0, n=9)}
    assert (sweep.holding_level(), sweep.next_condition()) == (0.25, None)
