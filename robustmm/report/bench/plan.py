"""What a bench is about to train, what a search is about to try, and what it chose."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.text import Text

from robustmm.results import Search


class Column(NamedTuple):
    heading: str
    cells: list[Text]


def plan_columns(recipes: Mapping[str, Mapping[str, Any]], samples: int) -> list[Column]:
    """By method, of its effective recipe: optimiser, rate, warm-ups and the budget in epochs and steps."""
    trains = [recipe["train"] for recipe in recipes.values()]
    return [
        Column("optimiser", [Text(t["optimiser"]) for t in trains]),
        Column("rate", [Text(f"{t['learning_rate']:g}") for t in trains]),
        Column("warm-up, epochs", [Text(f"{t['warmup']:g}") for t in trains]),
        Column("warm-up of the method", [Text(describe_warmups(recipe["method"])) for recipe in recipes.values()]),
        Column("epochs", [Text(str(t["epochs"])) for t in trains]),
        Column("steps", [Text(str(t["epochs"] * count_steps(samples, t["batch"] * t["accumulate"]))) for t in trains]),
    ]


def describe_budget(train: Mapping[str, Any]) -> str:
    """What all methods of a bench share."""
    by = train["select"].replace("-", " ").replace("clean", "accuracy")
    patience = f"patience {train['patience']}" if train["patience"] else "no patience"
    return f"batches of {train['batch']}, schedule {train['schedule']}, {patience}, the epoch kept by {by} on valid"


def describe_warmups(method: Mapping[str, Any]) -> str:
    """The options of a method, or of a chain's members, that say when it begins."""
    tables = {part: table for part, table in method.items() if isinstance(table, Mapping)}
    found = [(part, table[key]) for part, table in tables.items() for key in table if "warmup" in key]
    return ", ".join(f"{value:g}" if len(tables) == 1 else f"{part} {value:g}" for part, value in found) or "–"


def count_steps(samples: int, batch: int) -> int:
    """Steps of an epoch: a last batch of one sample joins the one before it."""
    whole, rest = divmod(samples, batch)
    return max(1, whole + (rest > (1 if whole else 0)))


def grid_columns(grids: Mapping[str, Sequence[Mapping[str, Any]]], trials: Mapping[str, int]) -> list[Column]:
    """By method: the rates of each optimiser, the options of its own, and how many settings and trainings these are."""
    optimisers = list(dict.fromkeys(setting["optimiser"] for grid in grids.values() for setting in grid))
    columns = [
        Column(f"{name}, rates", [Text(list_values(grid, "learning_rate", name)) for grid in grids.values()])
        for name in optimisers
    ]
    own = [
        ", ".join(f"{key} {list_values(grid, key)}" for key in grid[0] if key not in ("optimiser", "learning_rate"))
        for grid in grids.values()
    ]
    return [
        *columns,
        Column("its own", [Text(said or "–") for said in own]),
        Column("settings", [Text(str(len(grid))) for grid in grids.values()]),
        Column("trials", [Text(str(trials[method])) for method in grids]),
    ]


def list_values(grid: Sequence[Mapping[str, Any]], key: str, optimiser: str | None = None) -> str:
    found = dict.fromkeys(s[key] for s in grid if optimiser in (None, s["optimiser"]))
    return " ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in found) or "–"


def search_columns(search: Search) -> list[Column]:
    """By method: the setting chosen, its score and the next best one of the last rung, and how many were tried."""
    chosen = [search.find_chosen(method) for method in search.chosen]
    options = [
        ", ".join(f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}"
                  for key, value in t.setting.items() if key not in ("optimiser", "learning_rate"))
        for t in chosen
    ]  # fmt: skip
    return [
        Column("optimiser", [Text(str(t.setting["optimiser"])) for t in chosen]),
        Column("rate", [Text(f"{t.setting['learning_rate']:g}") for t in chosen]),
        Column("its own", [Text(said or "–") for said in options]),
        Column("valid, %", [Text(f"{100 * t.score:.1f}") for t in chosen]),
        Column("next best, %", [Text(find_runner_up(search, t.method)) for t in chosen]),
        Column("tried", [Text(str(sum(t.epochs == search.rungs[0] for t in search.of(m)))) for m in search.chosen]),
    ]


def find_runner_up(search: Search, method: str) -> str:
    others = [t.score for t in search.of(method) if t.epochs == search.rungs[-1] and not t.kept and not t.diverged]
    return f"{100 * max(others):.1f}" if others else "–"
