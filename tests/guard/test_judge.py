"""The judgement: samples and families that the fit did not see, and the budget on clean ones."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from robustmm.guard import judge
from robustmm.guard.examples import Fault
from robustmm.guard.judge import (
    choose,
    choose_subset,
    count_folds,
    find_threshold,
    fit,
    judge_families,
    split_halves,
)
from robustmm.guard.reliability import KNOTS, Reliability, list_subsets
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


def test_a_family_that_is_left_out_is_really_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    table, seen, judged = made(), [], []
    monkeypatch.setattr(judge, "fit", lambda part: seen.append(part) or fit(part))
    monkeypatch.setattr(
        judge, "choose", lambda part, *rest: judged.append((len(seen) - 1, part)) or choose(part, *rest)
    )
    steps: list[int] = []
    found = judge_families(table, KNOWN, 0.02, steps.append)
    assert [(f.modality, f.family) for f in found] == [
        ("a", "blur"), ("a", "mismatch"), ("a", "noise"), ("b", "gain"), ("b", "mismatch"),
    ]  # fmt: skip
    assert len(seen) == len(steps) == count_folds(KNOWN) == 3
    for fold, part in judged:
        fitted = seen[fold]
        assert not set(fitted.rows) & set(part.rows), "no sample is on both sides"
        assert ((part.faults >= 0).sum(1) == 1).all(), "one fault at a time is judged"
        (m,) = set(np.argwhere(part.faults >= 0)[:, 1].tolist())
        (family,) = {KNOWN[m][k].family for k in part.faults[:, m]}
        of_the_fit = {KNOWN[m][k].family for k in fitted.faults[:, m] if k >= 0}
        assert family not in of_the_fit
        assert len(of_the_fit) == len(set(FAMILIES[m])) - 1, "the others are"
        assert fitted.clean.any()
    assert sum(f.samples for f in found) == sum(len(part.rows) for _, part in judged)
    for f in found:
        assert f.hardened > f.plain
        assert f.dropped.value > 0.3


def test_numbers_of_a_family_are_those_of_its_examples() -> None:
    table = made()
    never = judge_families(table, KNOWN, 1.0, lambda steps: None)
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


def test_the_threshold_is_found_on_samples_that_the_fit_did_not_see(monkeypatch: pytest.MonkeyPatch) -> None:
    table, pairs = made(), []
    monkeypatch.setattr(judge, "fit", lambda part: (part, fit(part)))
    monkeypatch.setattr(
        judge, "choose", lambda part, fitted, t: pairs.append((fitted[0], part)) or choose(part, fitted[1], t)
    )
    _, right, dropped = find_threshold(table, 0.05)
    assert right.shape == (2, 40)
    assert dropped.shape == (40, 2)
    for seen, unseen in pairs:
        assert not set(seen.rows) & set(unseen.rows)
        assert unseen.clean.all()
        assert not seen.clean.all()


def certain(weight: float) -> Reliability:
    """It always takes the first modality for garbage."""
    return Reliability(np.zeros((2, 2, len(KNOTS))), np.array([weight, -weight]))


def test_where_dropping_always_loses_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    table = made(confident=9)
    wrong = table.answers.copy()
    wrong[:, 1] = np.roll(np.eye(3, dtype=np.float32)[table.target], 1, 1)  # sure, and wrong, without the first
    table = Table(table.rows, table.faults, table.features, wrong, table.present, table.target)
    monkeypatch.setattr(judge, "fit", lambda part: certain(20))
    threshold, right, dropped = find_threshold(table, 0.0)
    assert threshold == 1.0
    assert not dropped.any()
    np.testing.assert_array_equal(right[0], right[1])
    all_may_be_lost, right, dropped = find_threshold(table, 1.0)
    assert all_may_be_lost == judge.THRESHOLDS[0]
    assert dropped[:, 0].all()
    assert not right[1].any()


@pytest.mark.parametrize("budget", [0.0, 0.1, 0.3, 0.6])
def test_no_more_is_lost_than_the_budget_and_a_lower_threshold_would(
    monkeypatch: pytest.MonkeyPatch, budget: float
) -> None:
    """Without the first modality every answer is wrong, from hardly to quite sure of itself."""
    table = made(samples=60, confident=9)
    wrong, sure = table.answers.copy(), np.random.default_rng(1).random((len(table.rows), 1))
    wrong[:, 1] = 0.9 * sure * np.roll(np.eye(3)[table.target], 1, 1) + (1 - 0.9 * sure) / 3
    table = Table(table.rows, table.faults, table.features, wrong, table.present, table.target)
    monkeypatch.setattr(judge, "fit", lambda part: certain(20))
    threshold, right, dropped = find_threshold(table, budget)
    lost = right[0].mean() - right[1].mean()
    assert lost <= budget + 1e-9
    assert lost == pytest.approx(dropped[:, 0].mean(), abs=0.02)
    tried = judge.THRESHOLDS.index(threshold)
    assert tried > 0
    _, (before, after), _ = find_threshold_at(table, judge.THRESHOLDS[tried - 1])
    assert before.mean() - after.mean() > budget


def find_threshold_at(table: Table, threshold: float) -> Sequence[object]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "THRESHOLDS", (threshold,))
        return find_threshold(table, 0.0)


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
    assert (choose_subset(np.full((5, len(subsets)), 0.5), np.ones((5, M), bool), 0.0) == 0).all()
    assert (choose_subset(expected, np.ones((20, M), bool), 1.0) == 0).all(), "no gain is 1"
