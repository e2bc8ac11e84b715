"""Cells: the test split under one fault, or two at once, of families that the decision was not fitted to; and which
answers are right in it, by rule."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from contest import dropping
from contest.rivals import FITTED, NOISE_LEVEL, Score, noise_level
from contest.samples import Lens, Split, View
from robustmm.guard import judge
from robustmm.guard.detectors.modality import COLUMNS
from robustmm.guard.examples import MISMATCHED, Encoded, Fault
from robustmm.guard.graph.decision import MEMORY_LENGTH
from robustmm.guard.reliability import Reliability, expect_probabilities, list_subsets, log_odds
from robustmm.guard.table import Table
from robustmm.metrics.contribution import subset_masks

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
PLAIN, BEST, OURS, MEMORY = "plain", "best", "ours", "ours with memory"
WITHIN, ACROSS = "ours permuted within its cell", "ours permuted over all cells"


@dataclass(frozen=True)
class Rule:
    """A rival with its threshold."""

    score: Score
    usual: tuple[Array, Array]
    threshold: float

    def decide(self, view: View) -> NDArray[np.int64]:
        scaled = dropping.put_on_scale(self.score(view), self.usual)
        return dropping.find_subset(dropping.drop(scaled, view.table.present, self.threshold))


@dataclass(frozen=True)
class Fold:
    """What was fitted without one family of every modality."""

    number: int
    fitted: Reliability
    thresholds: Array
    noise: Rule


@dataclass
class Cell:
    """`rows`: the test samples that have all that is corrupted. By rule, for each of them: whether the answer is right,
    and whether all that is corrupted was dropped."""

    faults: tuple[Fault, ...]
    fold: Fold
    table: Table
    rows: NDArray[np.int64]
    best: str
    odds: Array
    right: dict[str, Mask] = field(default_factory=dict)
    dropped: dict[str, Mask] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return " and ".join(
            f.modality + " " + (f.name if f.name == MISMATCHED else f"{f.name} {f.level:g}") for f in self.faults
        )

    def keep(self, rule: str, chosen: NDArray[np.int64], corrupted: Sequence[int]) -> None:
        self.right[rule] = judge.gather(self.table.right(), chosen) > 0.5
        self.dropped[rule] = (~list_subsets(self.odds.shape[1])[chosen])[:, corrupted].all(1)


def fit_rule(score: Score, valid: View, budget: float, on_valid: Array | None = None) -> Rule:
    """With the threshold that keeps the budget on clean valid samples; `on_valid`: their scores, where they are not
    those of `score`, which saw these samples."""
    found = score(valid) if on_valid is None else on_valid
    usual = dropping.fit_usual(found, valid.table.present)
    scaled = dropping.put_on_scale(found, usual)
    return Rule(score, usual, dropping.find_lowest(scaled, valid.table.present, valid.table.right(), budget))


def fit_rivals(train: View, valid: View, budget: float) -> dict[str, Rule]:
    return {name: fit_rule(fit(train), valid, budget) for name, fit in FITTED.items()}


def fit_noise_level(valid: View, encoded: Sequence[Sequence[Encoded]], held: Sequence[str], budget: float) -> Rule:
    """On all corrupted valid samples but those of the families `held`; the threshold by fifths, as ours."""
    part = judge.split_folds(valid.table, judge.FOLDS)

    def fit(some: Mask) -> Score:
        x, y = [], []
        for m, faults in enumerate(encoded):
            here = some & valid.table.present[:, m]
            parts = [np.concatenate([valid.z[m, here], valid.columns[m, here]], 1)]
            levels = [np.zeros(int(here.sum()))]
            for each in faults:
                if each.fault.family not in (held[m], MISMATCHED):
                    z = each.z[some[each.rows]]
                    parts.append(z)
                    levels.append(np.full(len(z), each.fault.level))
            rows, target = np.concatenate(parts).astype(np.float64), np.concatenate(levels)
            whole = np.isfinite(rows).all(1)
            x.append(rows[whole])
            y.append(target[whole])
        return noise_level(x, y)

    unseen = np.zeros(valid.table.present.shape)
    for k in range(judge.FOLDS):
        if (part == k).any():
            unseen[part == k] = fit(part != k)(valid)[part == k]
    return fit_rule(fit(np.ones(len(part), bool)), valid, budget, unseen)


def fit_fold(number: int, table: Table, encoded: Sequence[Sequence[Encoded]], valid: View, budget: float) -> Fold:
    """Without family `number` of every modality; a number beyond all leaves out nothing."""
    known = [[each.fault for each in faults] for faults in encoded]
    seen = table.take(~(judge.number_families(table, known) == number).any(1))
    thresholds = judge.find_thresholds(judge.cross_fit(seen, known, lambda steps: None), budget)
    held = [each[number] if number < len(each) else "" for each in judge.list_families(known)]
    return Fold(number, judge.fit(seen), thresholds, fit_noise_level(valid, encoded, held, budget))


def remember(odds: Array, present: Mask) -> Array:
    """`graph.write_memory` over rows in their order: the log odds that are decided by."""
    memory, found = np.zeros(odds.shape[1]), np.empty_like(odds)
    for row, (own, kept) in enumerate(zip(odds, present, strict=True)):
        now = np.where(memory == 0, own, memory + (own - memory) / MEMORY_LENGTH)
        found[row] = np.where(kept, np.maximum(own, now), own)
        memory = np.where(kept, now, memory)
    return found


def decide(table: Table, odds: Array, thresholds: Array) -> NDArray[np.int64]:
    """The choice of the guard, by odds that may not be the samples' own."""
    expected = expect_probabilities(odds, table.answers.astype(np.float64))
    return judge.choose_subset(expected, table.present, thresholds)


def compute_odds(table: Table, fitted: Reliability) -> Array:
    return log_odds(table.features.astype(np.float64), table.present, fitted)


def remember_shuffled(odds: Array, present: Mask) -> Array:
    """The rows as a stream in one fixed random order."""
    order = np.random.default_rng(5).permutation(len(odds))
    found = np.empty_like(odds)
    found[order] = remember(odds[order], present[order])
    return found


class Subsets:
    """Which answers to clean test samples are right, from every subset: what is left when the corrupted modalities are
    taken away is clean."""

    def __init__(self, lens: Lens, test: Split) -> None:
        plain = {n: z[:, :-COLUMNS] for n, z in test.clean.items()}
        self.names, self.masks = lens.names, subset_masks(len(lens.names))[1:]
        answers = [lens.session.decode(plain, mask & test.present).argmax(-1) for mask in self.masks]
        self.right = np.array(answers) == test.target

    def find_best(self, cell_right: Array, corrupted: Sequence[int], rows: NDArray[np.int64]) -> tuple[str, Mask]:
        """With hindsight for the cell. Of two modalities that are both corrupted none survives: then either alone,
        as `cell_right` (sample, subset) of the cell tells."""
        found = {PLAIN: cell_right[:, 0] > 0.5}
        for mask, right in zip(self.masks, self.right, strict=True):
            if not mask[list(corrupted)].any():
                found[" + ".join(n for n, there in zip(self.names, mask, strict=True) if there)] = right[rows]
        if len(self.names) == len(corrupted) == 2:
            found |= {f"{self.names[1 - m]} alone": cell_right[:, 1 + m] > 0.5 for m in range(2)}
        name = max(found, key=lambda each: found[each].mean())
        return name, found[name]


def judge_cell(
    lens: Lens, test: Split, faults: Sequence[tuple[Fault, NDArray[np.float32]]], fold: Fold, rivals: dict[str, Rule],
    subsets: Subsets,
) -> Cell:  # fmt: skip
    """Every rule on the test samples under some faults, each with the embeddings that it leaves."""
    corrupted = [lens.names.index(fault.modality) for fault, _ in faults]
    rows = np.flatnonzero(test.present[:, corrupted].all(1))
    z = {**test.clean, **{fault.modality: found for fault, found in faults}}
    view = lens.look({n: x[rows] for n, x in z.items()}, test.present[rows], test.target[rows])
    odds, present = compute_odds(view.table, fold.fitted), view.table.present
    best, right = subsets.find_best(view.table.right(), corrupted, rows)
    cell = Cell(tuple(fault for fault, _ in faults), fold, view.table, rows, best, odds)
    permuted = odds[np.random.default_rng(6).permutation(len(odds))]
    for rule, by in ((OURS, odds), (MEMORY, remember_shuffled(odds, present)), (WITHIN, permuted)):
        cell.keep(rule, decide(view.table, by, fold.thresholds), corrupted)
    for name, each in {**rivals, NOISE_LEVEL: fold.noise}.items():
        cell.keep(name, each.decide(view), corrupted)
    cell.keep(PLAIN, np.zeros(len(rows), np.int64), corrupted)
    cell.right[BEST] = right
    return cell


def permute_across(cells: Sequence[Cell], names: Sequence[str]) -> None:
    """The log odds of all cells shuffled together: what they know of the model stays, of the sample nothing does."""
    pool = np.concatenate([cell.odds for cell in cells])
    pool = pool[np.random.default_rng(7).permutation(len(pool))]
    start = 0
    for cell in cells:
        odds = pool[start : start + len(cell.odds)]
        start += len(odds)
        corrupted = [names.index(fault.modality) for fault in cell.faults]
        cell.keep(ACROSS, decide(cell.table, odds, cell.fold.thresholds), corrupted)
