"""Cells to numbers: a summary by rule, and what is told of a cell. Accuracies are shares, costs points."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contest.cells import ACROSS, BEST, MEMORY, OURS, PLAIN, WITHIN, Cell
from contest.rivals import RIVALS
from robustmm.metrics.noninferiority import estimate_difference
from robustmm.metrics.sampling import Sampling

Array = NDArray[np.float64]
NEAR = (0.02, 0.01)
TIE = 1e-9


def estimate_cost(after: Array, before: Array) -> dict[str, float]:
    """Points of accuracy lost, with the paired 95 % interval."""
    value, (low, high) = estimate_difference(after, before, Sampling())
    return {"accuracy": float(np.mean(after)), "cost": 0 - 100 * value, "low": 0 - 100 * high, "high": 0 - 100 * low}


def spread(cells: Sequence[Cell], rule: str, samples: int) -> Array:
    """(cell, sample): whether it is right, NaN where the sample is not in the cell."""
    found = np.full((len(cells), samples), np.nan)
    for row, cell in zip(found, cells, strict=True):
        row[cell.rows] = cell.right[rule]
    return found


def summarise(cells: Sequence[Cell], budget: float, samples: int) -> dict[str, Any]:
    """By rule: mean accuracy over cells, share of cells near the best, share of headroom, cells certainly below plain
    by more than the budget, how often what is corrupted was dropped at level 1, and cells certainly above ours and
    below. Intervals are over samples."""
    if not cells:
        return {"cells": 0, "rules": {}}
    rules = [rule for rule in (PLAIN, BEST, OURS, MEMORY, WITHIN, ACROSS, *RIVALS) if rule in cells[0].right]
    right = {rule: spread(cells, rule, samples) for rule in rules}
    seen = ~np.isnan(right[PLAIN]).all(0)
    gap = (right[BEST] - right[PLAIN])[:, seen]
    found = {}
    for rule in rules:
        each, own = np.nanmean(right[rule], 1), np.nanmean(right[rule][:, seen], 0)
        mean, low, high = (float(x) for x in Sampling().mean(own))
        told: dict[str, Any] = {"accuracy": mean, "low": low, "high": high}
        best = np.nanmean(right[BEST], 1)
        told["near"] = [float((each >= best - near - TIE).mean()) for near in NEAR]
        told |= share_headroom(np.nansum((right[rule] - right[PLAIN])[:, seen], 0), np.nansum(gap, 0))
        if rule != BEST:
            told["certainly_below_plain"] = count_certain(cells, PLAIN, rule, budget)
            told["certainly_above_ours"] = count_certain(cells, rule, OURS, 0)
            told["certainly_below_ours"] = count_certain(cells, OURS, rule, 0)
            told["detected"] = share_detected(cells, rule)
        found[rule] = told
    short = sorted((c for c in cells if gap_of(c, BEST) > NEAR[0] + TIE), key=lambda c: -gap_of(c, BEST))
    return {"cells": len(cells), "rules": found, "short": [describe_cell(cell) for cell in short]}


def gap_of(cell: Cell, rule: str) -> float:
    return float(cell.right[rule].mean() - cell.right[OURS].mean())


def share_headroom(gained: Array, possible: Array) -> dict[str, float]:
    """sum(rule - plain) / sum(best - plain) over cells, of (sample,) each, with a bootstrap interval over samples."""
    if possible.sum() <= 0:
        return {"headroom": float("nan"), "headroom_low": float("nan"), "headroom_high": float("nan")}
    drawn = Sampling().resampled_means(np.column_stack([gained, possible]), seed=0)
    shares = drawn[:, 0] / np.where(drawn[:, 1] > 0, drawn[:, 1], np.nan)  # where there may be none: no interval
    low, high = np.quantile(shares, (0.025, 0.975))
    return {
        "headroom": float(gained.sum() / possible.sum()), "headroom_low": float(low), "headroom_high": float(high)
    }  # fmt: skip


def count_certain(cells: Sequence[Cell], above: str, below: str, by: float) -> int:
    """Cells in which one rule is better than another by more than `by`: the whole paired 95 % interval is."""
    return sum(
        estimate_difference(cell.right[above], cell.right[below], Sampling())[1].low > by
        for cell in cells if (cell.right[above] != cell.right[below]).any()
    )  # fmt: skip


def share_detected(cells: Sequence[Cell], rule: str) -> dict[str, float]:
    """Of samples all of whose faults are at level 1: that what is corrupted was dropped. Wilson's interval; the cells
    of a sample are alike."""
    some = [cell for cell in cells if all(fault.level == 1 for fault in cell.faults)]
    if not some:
        return {"value": float("nan"), "low": float("nan"), "high": float("nan")}
    dropped = np.concatenate([cell.dropped[rule] for cell in some]).astype(float)
    clusters = np.unique(np.concatenate([cell.rows for cell in some]), return_inverse=True)[1]
    low, high = Sampling(clusters).proportion(dropped)
    return {"value": float(dropped.mean()), "low": float(low), "high": float(high)}


def describe_cell(cell: Cell) -> dict[str, Any]:
    value, (low, high) = estimate_difference(cell.right[OURS], cell.right[PLAIN], Sampling())
    return {
        "cell": cell.name, "faults": [fault._asdict() for fault in cell.faults], "samples": len(cell.rows),
        "best_subset": cell.best, "ours_minus_plain": [value, low, high],
        "accuracy": {rule: float(right.mean()) for rule, right in cell.right.items()},
        "dropped": {rule: float(dropped.mean()) for rule, dropped in cell.dropped.items()},
    }  # fmt: skip
