"""Every sanity check, by hand-made numbers: where it passes, and the defect that makes it fail."""

import numpy as np
import pytest
from numpy.typing import NDArray

from robustmm.metrics.statistics import wilson
from robustmm.search import sanity
from robustmm.search.climb import NEVER
from robustmm.search.sanity import AttackRun


def first(count: int, of: int = 100) -> NDArray[np.bool_]:
    """`count` of so many samples, the first ones."""
    return np.arange(of) < count


def measured(held: int, replayed: int | None = None, noised: int = 100, label: str = "a at scale 1") -> AttackRun:
    """`held` samples that nothing broke, of 100."""
    broken = np.where(first(held), NEVER, 3)
    return AttackRun(label, broken, first(held if replayed is None else replayed), first(noised))


def test_what_holds_is_what_nothing_broke() -> None:
    run = AttackRun("a", np.array([0, 1, 500, NEVER]), np.zeros(4, bool), np.zeros(4, bool))
    assert run.robust_mask.tolist() == [False, False, False, True]


def test_accuracy_above_clean_fails_beyond_the_interval_of_clean() -> None:
    limit = wilson(60, 100).high  # 0.690...
    runs = [measured(50), measured(50, replayed=69, label="b at scale 2"), measured(10)]
    check = sanity.check_not_above_clean(first(60), runs)
    assert (check.passed, check.measured, check.limit) == (True, 0.69, limit)
    assert "69.0% (b at scale 2)" in check.sentence
    assert "60.0%" in check.sentence
    assert "69.1%" in check.sentence
    assert not sanity.check_not_above_clean(first(60), [*runs, measured(50, replayed=70)]).passed


def test_an_attack_that_is_weaker_than_noise_fails() -> None:
    """Noise breaks 30 of 80 right samples. An attack that breaks none of them is weaker; one that breaks the same 30,
    or misses only two of them, is not beyond chance."""
    clean = first(80)
    failed = sanity.check_stronger_than_noise(clean, [measured(80, noised=50)], 0)
    assert (failed.passed, failed.measured, failed.limit) == (False, 0.8, 0.5)
    assert "80.0%" in failed.sentence
    assert "50.0%" in failed.sentence
    assert sanity.check_stronger_than_noise(clean, [measured(50, noised=50)], 0).passed
    assert sanity.check_stronger_than_noise(clean, [measured(52, noised=50)], 0).passed
    assert sanity.check_stronger_than_noise(clean, [measured(20, noised=50)], 0).passed


def test_samples_that_are_wrong_when_clean_do_not_speak_for_the_noise() -> None:
    """Noise that repairs wrong answers is no weaker for it: they count as broken on both sides."""
    check = sanity.check_stronger_than_noise(first(50), [measured(50, noised=100)], 0)
    assert check.passed
    assert check.limit == 0.5
    repaired = AttackRun("a", np.where(first(50), NEVER, 0), first(50), ~first(40))  # breaks 40, repairs 50
    assert not sanity.check_stronger_than_noise(first(50), [repaired], 0).passed


def test_one_weak_run_among_strong_ones_fails_and_is_named() -> None:
    runs = [measured(10, noised=50), measured(80, noised=40, label="b at scale 2"), measured(0, noised=90)]
    check = sanity.check_stronger_than_noise(first(80), runs, 0)
    assert not check.passed
    assert "b at scale 2" in check.sentence


def test_many_runs_do_not_raise_a_false_alarm() -> None:
    """Five discordant samples of 100 are 2.5 % beyond chance for one run, not for one of a hundred."""
    clean, weak, strong = first(50), measured(50, noised=45), measured(10, noised=45)
    assert not sanity.check_stronger_than_noise(clean, [weak], 0).passed
    assert sanity.check_stronger_than_noise(clean, [weak, *[strong] * 99], 0).passed


@pytest.mark.parametrize(
    ("held", "without", "classes", "limit", "passed"),
    [
        (33, 20, 3, 1 / 3, True),
        (43, 20, 3, 1 / 3, True),  # Wilson's interval of 43 of 100 begins at 0.337 ...
        (42, 20, 3, 1 / 3, True),
        (45, 20, 3, 1 / 3, False),
        (0, 0, 2, 0.5, True),
        (70, 65, 3, 0.65, True),  # what is right without the attacked modalities needs no input of theirs
        (80, 65, 3, 0.65, False),
    ],
)
def test_the_whole_range_must_reach_chance(held: int, without: int, classes: int, limit: float, passed: bool) -> None:
    assert (wilson(held, 100).low <= limit) == passed or held == 43
    check = sanity.check_reaches_chance(measured(held), first(without), classes)
    assert check.measured == held / 100
    assert check.limit == pytest.approx(limit)
    assert check.passed == (wilson(held, 100).low <= limit)
    assert f"{held}.0%" in check.sentence


def test_a_replay_may_differ_in_one_percent() -> None:
    assert sanity.check_replay([measured(50), measured(40, replayed=41)]).passed
    check = sanity.check_replay([measured(50), measured(40, replayed=42, label="b at scale 2"), measured(3)])
    assert not check.passed
    assert (check.measured, check.limit) == (0.02, 0.01)
    assert "b at scale 2" in check.sentence
    swapped = AttackRun("a", np.where(first(50), NEVER, 1), ~first(50), first(0))  # as many, but others
    assert sanity.check_replay([swapped]).measured == 1.0


def test_names_differ() -> None:
    runs, clean = [measured(10)], first(50)
    found = [
        sanity.check_not_above_clean(clean, runs),
        sanity.check_stronger_than_noise(clean, runs, 0),
        sanity.check_reaches_chance(runs[0], clean, 2),
        sanity.check_replay(runs),
    ]
    assert len({c.name for c in found}) == 4
    assert all(c.passed for c in found)
