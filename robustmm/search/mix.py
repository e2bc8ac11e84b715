"""The worst mix: an attacker divides a budget of levels over the modalities, one mix for all samples.

The mix is found on one half of the samples and reported on the other, so that the number is not optimistic. A level
is a position in a corruption's own table, as everywhere, so equal levels of two corruptions are comparable only as far
as their tables are.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from robustmm.corruptions import generator
from robustmm.data.loading import OnBad
from robustmm.data.manifest import Manifest
from robustmm.errors import DataError, UsageError
from robustmm.evaluation.attack import proportion
from robustmm.evaluation.attack_result import Change
from robustmm.metrics import statistics
from robustmm.runtime.session import Session
from robustmm.search.choices import Noises, build_choices, embed_choices, select_corruptions
from robustmm.search.mixes import Mix, MixScorer, search_mixes
from robustmm.search.outcome import MixOutcome, MixPoint, Spend

LEVELS = tuple(i / 10 for i in range(11))


def find_worst_mix(
    session: Session,
    manifest: Manifest,
    noises: Noises,
    *,
    budgets: Sequence[float] = (),
    levels: Sequence[float] = LEVELS,
    seed: int = 0,
    batch: int = 64,
    on_bad: OnBad = "error",
    advance: Callable[[int], None] = lambda steps: None,
) -> MixOutcome:
    """The worst mix of `noises` for every budget (the sum of the levels), by default 0.25, 0.5, 1, 2, ... up to the
    number of modalities that are attacked.

    The attacker wants accuracy low, then mean log p(true) low, then to spend little. The control has the same
    corruptions and budget, divided equally; its levels join the attacker's grid. Raises UsageError for budgets, levels
    or corruptions that do not fit, and DataError for fewer than two samples.
    """
    able = select_corruptions(session.modalities, noises)
    attacked = sum(map(bool, able.values()))
    grid, budgets = _check_levels(levels), _check_budgets(budgets, attacked)
    if len(manifest) < 2:
        raise DataError(f"a mix is found on one half of the samples and reported on the other, found {len(manifest)}")
    even = [round(min(1.0, budget / attacked), 12) for budget in budgets]
    choices = build_choices(able, sorted({*grid, *even}))
    bank = embed_choices(session, manifest, choices, seed=seed, batch=batch, on_bad=on_bad, advance=advance)
    first = search_half(manifest.ids, seed)
    halves = (bank.take(np.flatnonzero(rows)) for rows in (first, ~first))
    search_board, report_board = (MixScorer(session, choices, half) for half in halves)
    return MixOutcome(
        seed=seed,
        noises={name: [c.name for c in each] for name, each in able.items()},
        levels=grid,
        searched_samples=int(first.sum()),
        reported_samples=int((~first).sum()),
        curve=_budget_curve(search_board, report_board, budgets, even, seed),
        evaluated=len(search_board.keys),
        clean=proportion(int(_correct_mask(report_board, _empty_mix(report_board)).sum()), int((~first).sum())),
        bad_inputs=bank.bad,
    )


def search_half(ids: Sequence[str], seed: int) -> NDArray[np.bool_]:
    """(sample,): whether a mix is searched on it: the half of the samples whose hash of (seed, id) comes first."""
    draws = [generator(seed, sample, "", "half").random() for sample in ids]
    order = sorted(range(len(ids)), key=lambda row: (draws[row], ids[row]))
    return np.isin(np.arange(len(ids)), order[: len(ids) // 2])


def _budget_curve(
    search_board: MixScorer, report_board: MixScorer, budgets: Sequence[float], even: Sequence[float], seed: int
) -> list[MixPoint]:
    """A point for each budget, rising; each search starts from the mix of the budget before."""
    everything = [range(len(each)) for each in search_board.arms]
    curve, last = [], _empty_mix(search_board)
    for budget, level in zip(budgets, even, strict=True):
        at = [[a for a, arm in enumerate(each) if arm.level == level] or [0] for each in search_board.arms]
        uniform, _ = search_mixes(search_board, at, budget, [tuple(space[0] for space in at)], seed)
        last, way = search_mixes(search_board, everything, budget, [last, uniform], seed)
        right, control = _correct_mask(report_board, last), _correct_mask(report_board, uniform)
        curve.append(
            MixPoint(
                budget=budget,
                search=way,
                spent=search_board.total_level(last),
                spends=_build_spends(search_board, last),
                searched=search_board.keys[last][0],
                accuracy=proportion(int(right.sum()), len(right)),
                uniform=_build_spends(search_board, uniform),
                uniform_accuracy=proportion(int(control.sum()), len(control)),
                change=Change(**statistics.paired_bootstrap(right, control, seed=seed)._asdict()),
            )
        )
    return curve


def _empty_mix(board: MixScorer) -> Mix:
    return (0,) * len(board.arms)


def _correct_mask(board: MixScorer, mix: Mix) -> NDArray[np.float64]:
    """(sample,): 1 where the answer under a mix is right."""
    return next(board.score_mixes([mix]))[0]


def _build_spends(board: MixScorer, mix: Mix) -> list[Spend]:
    found = []
    for name, each, number in zip(board.session.names, board.arms, mix, strict=True):
        arm = each[number]
        if arm.chosen:
            strength, unit = arm.chosen.strength(arm.level), arm.chosen.unit
            found.append(Spend(modality=name, noise=arm.noise, level=arm.level, strength=strength, unit=unit))
    return found


def _check_levels(levels: Sequence[float]) -> list[float]:
    listed = list(levels)
    if not any(listed) or not all(0 <= x <= 1 for x in listed) or listed != sorted(set(listed)):
        raise UsageError(f"the levels of a mix should rise within [0, 1], found {listed}")
    return [round(x, 12) for x in listed]


def _check_budgets(budgets: Sequence[float], modalities: int) -> list[float]:
    listed = sorted(budgets) or [0.25, 0.5, *map(float, range(1, modalities + 1))]
    if not all(0 < budget < float("inf") for budget in listed):
        raise UsageError(f"the budget of a mix should be a positive sum of levels, found {listed[0]:g}")
    return listed
