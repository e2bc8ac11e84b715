"""The guard judged on what it was not fitted to: other samples, and families of corruptions that it never saw."""

from collections.abc import Callable, Sequence

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

THRESHOLDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
"""Expected gains that are tried, the lowest first; from 1 nothing is ever dropped."""
NEVER = -1000.0
FOLDS = 5


def fit(table: Table) -> Reliability:
    """Clean examples weigh as much as all others together."""
    clean = table.clean
    weight = np.where(clean, 0.5 / max(1, clean.sum()), 0.5 / max(1, (~clean).sum()))
    return fit_reliability(table.features.astype(np.float64), table.true(), table.present, weight)


def choose(table: Table, fitted: Reliability, threshold: float) -> NDArray[np.int64]:
    """The subset (example,) that each is answered from."""
    odds = log_odds(table.features.astype(np.float64), table.present, fitted)
    return choose_subset(expect_probabilities(odds, table.answers.astype(np.float64)), table.present, threshold)


def choose_subset(expected: Array, present: Mask, threshold: float | Array) -> NDArray[np.int64]:
    """The subset of largest expected probability of the true class (example, subset), less the `threshold` of every
    present modality that it drops; the first of equals."""
    subsets = list_subsets(present.shape[1])
    cost = present @ (~subsets * np.reshape(threshold, (1, -1))).T.astype(float)
    empty = present.astype(float) @ subsets.T < 0.5
    return np.asarray((expected - cost + np.where(empty, NEVER, 0)).argmax(1))


def gather(values: Array, chosen: NDArray[np.int64]) -> Array:
    return np.asarray(values[np.arange(len(values)), chosen])


def split_folds(table: Table, folds: int) -> NDArray[np.int64]:
    """(example,): which part of the samples its sample is of."""
    order = np.random.default_rng(3).permutation(int(table.rows.max()) + 1)
    return np.asarray(order[table.rows] % folds)


def split_halves(table: Table) -> Mask:
    """(example,): whether its sample is of the first half."""
    return np.asarray(split_folds(table, 2) == 0)


def find_threshold(table: Table, budget: float) -> tuple[float, Array, Mask]:
    """The lowest threshold by which clean samples, each judged by a guard fitted without its fifth of them, lose at
    most `budget` of accuracy; correctness of each (sample,) before and after; whether each modality was dropped. Of few
    samples, guards fitted to half of them are worse than the one that is shipped, and would call for a higher one."""
    part, clean = split_folds(table, FOLDS), table.clean
    parts = [(table.take(part != k), table.take((part == k) & clean)) for k in range(FOLDS)]
    fits = [(fit(seen), unseen) for seen, unseen in parts if len(unseen.rows)]
    for threshold in THRESHOLDS:
        before, after, dropped = [], [], []
        for fitted, unseen in fits:
            chosen = choose(unseen, fitted, threshold)
            before.append(unseen.right()[:, 0])
            after.append(gather(unseen.right(), chosen))
            dropped.append(~list_subsets(unseen.present.shape[1])[chosen] & unseen.present)
        lost = float(np.mean(np.concatenate(before)) - np.mean(np.concatenate(after)))
        if lost <= budget + 1e-12:
            break
    return threshold, np.stack([np.concatenate(before), np.concatenate(after)]), np.concatenate(dropped)


def number_families(table: Table, known: Sequence[Sequence[Fault]]) -> tuple[list[list[str]], NDArray[np.int64]]:
    """The families of every modality, sorted; and which of them (example, modality) is of, -1 where it is clean."""
    names = [sorted({fault.family for fault in faults}) for faults in known]
    number = [
        np.array([families.index(f.family) for f in faults] + [-1])
        for families, faults in zip(names, known, strict=True)
    ]
    return names, np.stack([number[m][table.faults[:, m]] for m in range(len(known))], 1)


def judge_families(
    table: Table,
    known: Sequence[Sequence[Fault]],
    threshold: float,
    advance: Callable[[int], None],
) -> list[FamilyJudgement]:
    """Every family of every modality, left out in turn: the fit sees half of the samples without the family, and is
    judged on the other half under it. A fold leaves out one family of every modality."""
    half = split_halves(table)
    names, family = number_families(table, known)
    found: dict[tuple[int, int], FamilyJudgement] = {}
    for fold in range(max(map(len, names))):
        side = fold % 2 == 0
        held = (family == fold).any(1)
        fitted = fit(table.take((half == side) & ~held))
        alone = (half != side) & ((table.faults >= 0).sum(1) == 1)
        for m, families in enumerate(names):
            if fold < len(families) and (some := alone & (family[:, m] == fold)).any():
                part = table.take(some)
                chosen = choose(part, fitted, threshold)
                right = part.right()
                found[m, fold] = FamilyJudgement(
                    modality=known[m][0].modality, family=families[fold], samples=int(some.sum()),
                    plain=right[:, 0].mean(), hardened=gather(right, chosen).mean(), without=right[:, 1 + m].mean(),
                    dropped=proportion(int((~list_subsets(len(known))[chosen, m]).sum()), int(some.sum())),
                )  # fmt: skip
        advance(1)
    return [found[key] for key in sorted(found)]


def count_folds(known: Sequence[Sequence[Fault]]) -> int:
    return max(len({fault.family for fault in faults}) for faults in known)
