"""The guard judged on what it was not fitted to: other samples, and families of corruptions that it never saw."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robustmm.evaluation.attack import proportion
from robustmm.guard.examples import Fault
from robustmm.guard.reliability import (
    Reliability,
    expect_probabilities,
    fit_reliability,
    list_subsets,
    log_odds,
)
from robustmm.guard.result import FamilyJudgement
from robustmm.guard.table import Table

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

THRESHOLDS = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5)
"""Expected gains from which a modality may be dropped."""
NEVER = 1.0
"""A threshold that no expected gain reaches."""
NOTHING = -1000.0
"""Utility of answering from nothing."""
FOLDS = 5
"""Parts of the samples, each judged by what the others taught."""


@dataclass(frozen=True)
class Judged:
    """Examples, each with what a guard expects that saw neither its sample nor, where it is corrupted, the family."""

    table: Table
    expected: Array
    """(example, subset): the probability of the true class."""
    fold: NDArray[np.int64]
    """(example,): the family that was left out, -1 for clean ones."""

    def choose(self, thresholds: Array) -> NDArray[np.int64]:
        return choose_subset(self.expected, self.table.present, thresholds)


def fit(table: Table) -> Reliability:
    """Clean examples weigh as much as all others together."""
    clean = table.clean
    weight = np.where(clean, 0.5 / max(1, clean.sum()), 0.5 / max(1, (~clean).sum()))
    return fit_reliability(table.features.astype(np.float64), table.true(), table.present, weight)


def expect(table: Table, fitted: Reliability) -> Array:
    """(example, subset): the expected probability of the true class."""
    odds = log_odds(table.features.astype(np.float64), table.present, fitted)
    return expect_probabilities(odds, table.answers.astype(np.float64))


def choose_subset(expected: Array, present: Mask, thresholds: Array) -> NDArray[np.int64]:
    """The subset of largest expected probability of the true class (example, subset), less the threshold of every
    present modality that it drops; the first of equals."""
    subsets = list_subsets(present.shape[1])
    cost = present @ (~subsets * np.reshape(thresholds, (1, -1))).T.astype(float)
    empty = present.astype(float) @ subsets.T < 0.5
    return np.asarray((expected - cost + np.where(empty, NOTHING, 0)).argmax(1))


def gather(values: Array, chosen: NDArray[np.int64]) -> Array:
    return np.asarray(values[np.arange(len(values)), chosen])


def split_folds(table: Table, folds: int) -> NDArray[np.int64]:
    """(example,): which part of the samples its sample is of."""
    order = np.random.default_rng(3).permutation(int(table.rows.max()) + 1)
    return np.asarray(order[table.rows] % folds)


def split_halves(table: Table) -> Mask:
    """(example,): whether its sample is of the first half."""
    return np.asarray(split_folds(table, 2) == 0)


def list_families(known: Sequence[Sequence[Fault]]) -> list[list[str]]:
    """The families of every modality's faults."""
    return [sorted({fault.family for fault in faults}) for faults in known]


def number_families(table: Table, known: Sequence[Sequence[Fault]]) -> NDArray[np.int64]:
    """(example, modality): the family of a modality's fault, -1 where it is clean."""
    names = list_families(known)
    numbers = [np.array([n.index(f.family) for f in faults] + [-1]) for n, faults in zip(names, known, strict=True)]
    return np.stack([number[table.faults[:, m]] for m, number in enumerate(numbers)], 1)


def cross_fit(table: Table, known: Sequence[Sequence[Fault]], advance: Callable[[int], None]) -> Judged:
    """Clean examples, each by a guard fitted without its fifth of the samples; corrupted ones, fold by fold, by a guard
    fitted to the other half of the samples and to none of the family. A fold leaves out one family of every modality,
    and judges those of one half of the samples."""
    half, family, clean = split_halves(table), number_families(table, known), table.clean
    parts: list[tuple[Mask, Array, int]] = []
    part = split_folds(table, FOLDS)
    for k in np.unique(part).tolist():
        unseen = (part == k) & clean
        parts.append((unseen, expect(table.take(unseen), fit(table.take(part != k))), -1))
    advance(1)
    for fold in range(count_folds(known)):
        side, held = fold % 2 == 0, (family == fold).any(1)
        unseen = (half != side) & held
        if unseen.any():
            parts.append((unseen, expect(table.take(unseen), fit(table.take((half == side) & ~held))), fold))
        advance(1)
    order = np.concatenate([np.flatnonzero(mask) for mask, _, _ in parts])
    folds = np.concatenate([np.full(int(mask.sum()), fold) for mask, _, fold in parts])
    return Judged(table.take(order), np.concatenate([found for _, found, _ in parts]), folds)


def find_thresholds(judged: Judged, budget: float) -> Array:
    """(modality,): the least threshold, one for all, by which clean samples lose at most `budget` of accuracy and
    corrupted ones of families unseen none; `NEVER` where there is none.

    A threshold for each modality, from where it gains with certainty, brought half of the headroom on other samples: a
    few hundred valid samples make few gains certain (docs/guard-contest.md)."""
    M = judged.table.present.shape[1]
    right, clean = judged.table.right(), judged.fold < 0
    for threshold in THRESHOLDS:
        change = gather(right, judged.choose(np.full(M, threshold))) - right[:, 0]
        if -change[clean].sum() <= budget * clean.sum() + 1e-9 and change[~clean].sum() >= 0:
            return np.full(M, threshold)
    return np.full(M, NEVER)


def judge_families(judged: Judged, known: Sequence[Sequence[Fault]], thresholds: Array) -> list[FamilyJudgement]:
    """Every family of every modality, alone, under a guard that never saw it."""
    family, subsets = number_families(judged.table, known), list_subsets(len(known))
    alone, right, chosen = (judged.table.faults >= 0).sum(1) == 1, judged.table.right(), judged.choose(thresholds)
    found = []
    for m, names in enumerate(list_families(known)):
        for number, name in enumerate(names):
            some = alone & (family[:, m] == number) & (judged.fold == number)
            if some.any():
                found.append(FamilyJudgement(
                    modality=known[m][0].modality, family=name, samples=int(some.sum()), plain=right[some, 0].mean(),
                    hardened=gather(right, chosen)[some].mean(), without=right[some, 1 + m].mean(),
                    dropped=proportion(int((~subsets[chosen[some], m]).sum()), int(some.sum())),
                ))  # fmt: skip
    return found


def count_folds(known: Sequence[Sequence[Fault]]) -> int:
    return max(map(len, list_families(known)))
