"""The judgement: samples and families that the fit did not see, and the budget on clean ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from robustmm.guard import judge
from robustmm.guard.examples import Fault
from robustmm.guard.judge import (
    FOLDS,
    NEVER,
    THRESHOLDS,
    Judged,
    choose_subset,
    count_folds,
    cross_fit,
    expect,
    find_thresholds,
    fit,
    judge_families,
    number_families,
    split_halves,
)
from robustmm.guard.reliability import list_subsets
from robustmm.guard.table import Table

FAMILIES = (("blur", "noise", "noise", "mismatch"), ("gain", "mismatch"))
KNOWN = [[Fault("ab"[m], family, f"{family}{k}", 1.0) for k, family in enumerate(f)] for m, f in enumerate(FAMILIES)]


def made(samples: int = 40, seed: int = 0, confident: float = 4.0) -> Table:
    """Every sample clean, under each fault alone, and some under two. A fault leaves its modality's answer to chance,
    and its first feature tells."""
    rng = np.random.default_rng(seed)
    rows, faults = [], []
    for row in range(samples):
        for pair in [(-1, -1), *((k, -1) for k in range(4)), *((-1, k) for k in range(2)), (row % 4, row % 2)]:
            rows.append(row)
            faults.append(pair)
    faults = np.array(faults)
    target = rng.integers(3, size=samples)[rows]
    shown = np.where(faults >= 0, rng.integers(3, size=faults.shape), target[:, None])
    evidence = confident * np.eye(3)[shown] + rng.normal(size=(len(rows), 2, 3))
    answers = softmax(np.einsum("sm,nmc->nsc", list_subsets(2).astype(float), evidence), -1)
    features = rng.normal(size=(len(rows), 2, 2))
    features[..., 0] += 3 * (faults >= 0)
    present = np.ones((len(rows), 2), bool)
    return Table(np.array(rows), faults, np.float32(features), np.float32(answers), present, target)


def quiet(steps: int) -> None:
    pass


def test_a_family_that_is_left_out_is_really_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    table, seen, asked = made(), [], []
    monkeypatch.setattr(judge, "fit", lambda part: seen.append(part) or fit(part))
    monkeypatch.setattr(judge, "expect", lambda part, fitted: asked.append(part) or expect(part, fitted))
    steps: list[int] = []
    judged = cross_fit(table, KNOWN, steps.append)
    assert len(seen) == len(asked) == FOLDS + count_folds(KNOWN) == 8
    assert sum(steps) == 1 + count_folds(KNOWN)
    for fitted, part in zip(seen, asked, strict=True):
        assert not set(fitted.rows) & set(part.rows), "no sample is on both sides"
        assert fitted.clean.any()
    for fold, (fitted, part) in enumerate(zip(seen[FOLDS:], asked[FOLDS:], strict=True)):
        held = number_families(part, KNOWN) == fold
        assert held.any(1).all()
        assert not (number_families(fitted, KNOWN) == fold).any(), "not even beside another fault"
        assert (fitted.faults >= 0).any(), "the others are"
    assert (judged.fold[: int(table.clean.sum())] == -1).all()
    assert (judged.table.clean == (judged.fold < 0)).all()
    assert sorted(judged.table.rows[judged.fold < 0]) == list(range(40)), "every clean sample once"
    found = judge_families(judged, KNOWN, np.full(2, 0.02))
    assert [(f.modality, f.family) for f in found] == [
        ("a", "blur"), ("a", "mismatch"), ("a", "noise"), ("b", "gain"), ("b", "mismatch"),
    ]  # fmt: skip
    for f in found:
        assert f.hardened > f.plain
        assert f.dropped.value > 0.3


def test_numbers_of_a_family_are_those_of_its_examples() -> None:
    table = made()
    never = judge_families(cross_fit(table, KNOWN, quiet), KNOWN, np.full(2, NEVER))
    right, half = table.right(), split_halves(table)
    for f, fold in zip(never, (0, 1, 2, 0, 1), strict=True):
        m = "ab".index(f.modality)
        mine = np.array([k >= 0 and KNOWN[m][k].family == f.family for k in table.faults[:, m]])
        some = mine & (table.faults[:, 1 - m] < 0) & (half != (fold % 2 == 0))
        assert f.samples == some.sum()
        assert f.plain == f.hardened == pytest.approx(right[some, 0].mean())
        assert f.without == pytest.approx(right[some, 1 + m].mean())
        assert f.dropped.value == 0


def test_halves_are_by_sample() -> None:
    table = made()
    half = split_halves(table)
    for row in range(40):
        assert len(set(half[table.rows == row].tolist())) == 1
    assert len(set(table.rows[half].tolist())) == 20


def judged_by_hand(
    gain_of_first: float, right_without: float, clean_right_without: float, samples: int = 400
) -> Judged:
    """Clean samples and as many with a fault of `a`. Plain is right on half of the corrupted ones and on all clean
    ones; without `a` so many are right; the expected gain of dropping `a` is the same everywhere."""
    n = 2 * samples
    corrupted = np.arange(n) >= samples
    rng, target = np.random.default_rng(0), np.zeros(n, np.int64)
    right = np.ones((n, 3), bool)
    right[:, 0] = ~corrupted | (np.arange(n) % 2 == 0)
    right[:, 1] = rng.permutation(n) < 0
    right[corrupted, 1] = rng.permutation(samples) < right_without * samples
    right[~corrupted, 1] = rng.permutation(samples) < clean_right_without * samples
    answers = np.where(right[..., None], [0.8, 0.2], [0.2, 0.8]).astype(np.float32)
    faults = np.stack([np.where(corrupted, 0, -1), np.full(n, -1)], 1)
    features, present = np.zeros((n, 2, 2), np.float32), np.ones((n, 2), bool)
    table = Table(np.tile(np.arange(samples), 2), faults, features, answers, present, target)
    expected = np.tile([0.5, 0.5 + gain_of_first, 0.1], (n, 1))
    return Judged(table, expected, np.where(corrupted, 0, -1))


@pytest.mark.parametrize(
    ("gain", "without", "clean", "threshold"),
    [
        (0.25, 0.9, 1.0, THRESHOLDS[0]),  # it pays, and clean samples lose nothing
        (0.25, 0.9, 0.9, 0.3),  # it costs more on clean samples than may be lost: the first that no gain reaches
        (0.25, 0.5, 1.0, THRESHOLDS[0]),  # it neither gains nor loses
        (0.25, 0.3, 1.0, 0.3),  # it loses on what is corrupted
        (-0.25, 0.9, 0.0, THRESHOLDS[0]),  # the guard expects no gain, whatever there is
        (0.9, 0.3, 1.0, NEVER),  # it always drops, and loses
    ],
)
def test_the_least_threshold_that_loses_nothing(gain: float, without: float, clean: float, threshold: float) -> None:
    found = find_thresholds(judged_by_hand(gain, without, clean), 0.003)
    np.testing.assert_array_equal(found, [threshold, threshold])


def test_a_larger_budget_allows_what_a_small_one_does_not() -> None:
    judged = judged_by_hand(0.25, 0.9, 0.95)
    assert find_thresholds(judged, 0.049)[0] == 0.3
    assert find_thresholds(judged, 0.051)[0] == THRESHOLDS[0]


def test_clean_examples_weigh_as_much_as_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = []
    monkeypatch.setattr(judge, "fit_reliability", lambda f, t, p, weight: weights.append(weight))
    table = made()
    fit(table)
    assert weights[0][table.clean].sum() == pytest.approx(0.5)
    assert weights[0].sum() == pytest.approx(1)
    fit(table.take(table.clean))
    assert np.isfinite(weights[1]).all()


@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_a_choice_uses_what_is_there_and_takes_the_first_of_equals(seed: int, M: int) -> None:
    rng = np.random.default_rng(seed)
    subsets = list_subsets(M)
    expected, present = rng.random((20, len(subsets))), rng.random((20, M)) < 0.7
    threshold = rng.random(M)
    chosen = choose_subset(expected, present, threshold)
    assert (chosen < len(subsets)).all()
    for row in range(20):
        left = subsets & present[row]
        if present[row].any():
            assert left[chosen[row]].any(), "never nothing, where something is there"
        cost = ((present[row] & ~subsets) * threshold).sum(1)
        best = np.where(left.any(1), expected[row] - cost, -np.inf if present[row].any() else expected[row])
        assert best[chosen[row]] == pytest.approx(best.max())
    assert (choose_subset(np.full((5, len(subsets)), 0.5), np.ones((5, M), bool), np.zeros(M)) == 0).all()
    assert (choose_subset(expected, np.ones((20, M), bool), np.ones(M)) == 0).all(), "no gain is 1"
