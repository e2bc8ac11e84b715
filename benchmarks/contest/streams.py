"""Streams: a fault begins, lasts and ends. After how many samples is the modality dropped, and after how many more is
it listened to again?"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from contest.cells import BEST, PLAIN, Cell, compute_odds, decide, remember
from robustmm.guard.reliability import list_subsets
from robustmm.guard.table import Table

BEFORE, DURING, AFTER = 50, 50, 50
COSTLY = 0.05
"""Points between plain and best, as a share, from which a fault should be caught."""


def measure_delays(clean: Table, cells: Sequence[Cell], names: Sequence[str], memory: bool) -> dict[str, float]:
    """Over single faults that cost: samples until the modality is first dropped (0: the first of the fault), and from
    the fault's end until it is first used; the share never dropped while it lasts, and of samples dropped before."""
    dropped_after, used_after, before, never = [], [], [], 0
    streams = [cell for cell in cells if costs(cell)]
    for number, cell in enumerate(streams):
        m = names.index(cell.faults[0].modality)
        dropped = run_stream(clean, cell, m, memory, number)
        begin, end = BEFORE, BEFORE + DURING
        before.append(dropped[:begin].mean())
        if dropped[begin:end].any():
            dropped_after.append(int(dropped[begin:end].argmax()))
            used = ~dropped[end:]
            used_after.append(int(used.argmax()) if used.any() else AFTER)
        else:
            never += 1
    told = {"streams": len(streams), "never dropped": never / max(1, len(streams))}
    told["dropped before"] = float(np.mean(before)) if before else float("nan")
    for name, delays in (("dropped after", dropped_after), ("used again after", used_after)):
        told[f"{name}, median"] = float(np.median(delays)) if delays else float("nan")
        told[f"{name}, 90 of 100"] = float(np.quantile(delays, 0.9, method="higher")) if delays else float("nan")
    return told


def costs(cell: Cell) -> bool:
    gap = cell.right[BEST].mean() - cell.right[PLAIN].mean()
    return len(cell.faults) == 1 and gap >= COSTLY and len(cell.rows) > 0


def run_stream(clean: Table, cell: Cell, m: int, memory: bool, number: int) -> NDArray[np.bool_]:
    """Whether modality m is dropped at each sample. Samples in a random order, drawn anew where they are too few."""
    rng, n = np.random.default_rng(number), BEFORE + DURING + AFTER
    order = np.concatenate([rng.permutation(len(cell.rows)) for _ in range(-(-n // len(cell.rows)))])[:n]
    well, ill = clean.take(cell.rows[order]), cell.table.take(order)
    during = (np.arange(n) >= BEFORE) & (np.arange(n) < BEFORE + DURING)
    odds = np.where(during[:, None], cell.odds[order], compute_odds(well, cell.fold.fitted))
    if memory:
        odds = remember(odds, well.present)
    chosen = np.where(during, decide(ill, odds, cell.fold.thresholds), decide(well, odds, cell.fold.thresholds))
    return np.asarray(~list_subsets(odds.shape[1])[chosen, m])
