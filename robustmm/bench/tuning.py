"""Tuning: each method's settings by successive halving on the valid split, before any seed that is reported is trained.

All settings are trained for a quarter of the epochs, the better half of them anew for half the epochs, the better half
of those for all: a rung is a whole training with its own schedule, for a rate that is high needs its end to be judged.
Ranked by the score that is selected by, at the epoch that it keeps, then by log-loss, then in the order of the grid.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from robustmm import files
from robustmm.bench.bench import Watcher, lock_folder, run_cells
from robustmm.bench.planning import TUNING_SEED, list_rungs, plan_trials
from robustmm.bench.worker import BenchSpec, Cell, Setting
from robustmm.config.recipe import Recipe
from robustmm.errors import UsageError, check_regular
from robustmm.methods import METHODS, build_method
from robustmm.results import Search, Trial, TrialScore
from robustmm.training.optimiser import DEFAULT_RATE, RATES, optimiser_name
from robustmm.workers.ray_cluster import RayCluster

SEARCH = "search.json"


def list_settings(recipe: Recipe, method: str) -> list[Setting]:
    """The grid of a method: optimisers, their rates, and the options that the method lists. What the recipe states is
    not searched; a method that scales gradients has no AdamW, which cancels that, and of a linear one, which is solved
    for, there is one setting."""
    train = recipe.train
    built = build_method(method, {name: table for name, table in recipe.method.items() if name != "name"})
    if built.linear:
        return [{"optimiser": "adamw", "learning_rate": DEFAULT_RATE["adamw"]}]
    if train.optimiser or train.learning_rate:
        names = [optimiser_name(train, built)]
    else:
        names = [name for name in RATES if name == "sgd" or not built.scales_gradients]
    rates = [(name, rate) for name in names for rate in ([train.learning_rate] if train.learning_rate else RATES[name])]
    options = {
        f"{part}.{option}": values
        for part in map(str.strip, method.split("+"))
        for option, values in METHODS[part].grid.items()
        if option not in recipe.method.get(part, {})
    }
    return [
        {"optimiser": optimiser, "learning_rate": rate, **dict(zip(options, values, strict=True))}
        for optimiser, rate in rates
        for values in itertools.product(*options.values())
    ]


def count_trials(settings: int, epochs: int) -> int:
    """Trainings that a search over so many settings takes."""
    kept = [settings]
    for _ in list_rungs(epochs)[1:]:
        kept.append(math.ceil(kept[-1] / 2))
    return sum(kept)


def tune_methods(
    recipe: Recipe,
    grids: Mapping[str, Sequence[Setting]],
    setting: BenchSpec,
    out: Path,
    *,
    workers: int,
    watcher: Watcher,
    cluster: RayCluster | None = None,
) -> Search:
    """The search, method by method, rung by rung; `out` keeps its trials, and the same call continues. The test split
    is not read. Raises UsageError for a method whose every setting diverges."""
    left, trials, rungs = (
        {name: list(own) for name, own in grids.items()},
        list[Trial](),
        list_rungs(recipe.train.epochs),
    )
    with lock_folder(out):
        for epochs in rungs:
            cells = plan_trials(recipe, left, epochs, setting)
            scores = run_cells(cells, setting, out, workers=workers, watcher=watcher, read=read_trial, cluster=cluster)
            for method in left:
                found = [(c.setting or {}, s) for c, s in zip(cells, scores, strict=True) if c.method == method]
                order = sorted(range(len(found)), key=lambda place: rank_score(found[place][1]))
                kept = order[: 1 if epochs == rungs[-1] else math.ceil(len(order) / 2)]
                trials += [
                    Trial(method=method, setting=dict(each), epochs=epochs, kept=place in kept, **vars(score))
                    for place, (each, score) in enumerate(found)
                ]
                if found[kept[0]][1].diverged:
                    raise UsageError(f"{method}: all {len(found)} settings diverge; the first: {found[0][1].diverged}")
                left[method] = [found[place][0] for place in sorted(kept)]
        search = Search(
            select=recipe.train.select, seed=TUNING_SEED, rungs=rungs, trials=trials,
            chosen={method: dict(own[0]) for method, own in left.items()},
        )  # fmt: skip
        files.write_file(out / SEARCH, search.model_dump_json(indent=1).encode())
    return search


def rank_score(score: TrialScore) -> tuple[bool, float, float]:
    """Best first: what diverged comes last."""
    return (True, 0.0, 0.0) if score.diverged else (False, -score.score, score.valid_nll)


def read_trial(out: Path, cell: Cell) -> TrialScore | None:
    """A trial's score, or None where `out` has no whole one."""
    path = cell.result_file(out)
    check_regular(path)
    try:
        return TrialScore.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None
