"""Tuning: what is tried, which half goes on, what is kept, and that neither test nor a reported seed is seen."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import worlds

from robustmm.bench import bench as benches
from robustmm.bench import planning, tuning
from robustmm.bench.cell import run_cell
from robustmm.bench.planning import TUNING_SEED, list_rungs, plan_cells, plan_trials
from robustmm.bench.tuning import count_trials, list_settings, read_trial, tune_methods
from robustmm.bench.worker import BenchSpec, Cell
from robustmm.config.recipe import Recipe, build_recipe
from robustmm.errors import InterruptedRun, UsageError
from robustmm.methods import METHODS, build_method
from robustmm.results import Search, TrialScore
from robustmm.runs import Run
from robustmm.training.optimiser import DEFAULT_RATE, RATES


class Blind:
    """A watcher of a bench that looks away."""

    def event(self, cell: Cell, what: str, value: Any) -> None: ...


class Pipe:
    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    def send(self, event: tuple[str, Any]) -> None:
        self.events.append(event)


def a_world(folder: Path, **tables: Any) -> tuple[Recipe, BenchSpec]:
    path = worlds.manifest(folder)
    content = worlds.tables(path) | {"method": {"name": "joint"}} | tables
    content["train"] = {"epochs": 2, "batch": 16, "threads": 1, **tables.get("train", {})}
    return build_recipe(content, "world", "world"), BenchSpec(path)


def score(value: float, nll: float = 1.0, diverged: str | None = None) -> TrialScore:
    return TrialScore(score=value, valid_accuracy=value, valid_nll=nll, kept_epoch=1, train_nll=0.1, diverged=diverged)


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Cell], TrialScore]], list[Cell]]:
    """Trials are scored by a function, without training; gives the list that they are noted in."""

    def use(judge: Callable[[Cell], TrialScore]) -> list[Cell]:
        seen: list[Cell] = []

        def run_cells(cells: list[Cell], *_: object, **__: object) -> list[TrialScore]:
            seen.extend(cells)
            return [judge(cell) for cell in cells]

        monkeypatch.setattr(tuning, "run_cells", run_cells)
        return seen

    return use


@pytest.mark.parametrize("method", [*METHODS, "joint+unimodal", "cal+mce"])
def test_every_grid_holds_the_defaults_and_can_be_built(method: str) -> None:
    built = build_method(method, {})
    for part in method.split("+"):
        for option, values in METHODS[part].grid.items():
            assert 2 <= len(values) <= 3, "tiny"
            assert getattr(build_method(part, {}), option) in values, "the default is one of them"
            for value in values:
                build_method(part, {part: {option: value}})
    recipe = build_recipe(worlds.tables(Path("m.csv")), "w", "w")
    grid = list_settings(recipe, method)
    names = {"adamw"} if built.linear else {"sgd"} if built.scales_gradients else set(RATES)
    assert {setting["optimiser"] for setting in grid} == names
    assert len(grid) == 1 or not built.linear, "no rate moves what is solved for"
    assert all(DEFAULT_RATE[name] in rates for name, rates in RATES.items())
    assert len(grid) == len({json.dumps(setting) for setting in grid})


def test_the_unimodal_weight_is_searched_wherever_it_stands() -> None:
    recipe = build_recipe(worlds.tables(Path("m.csv")), "w", "w")
    for method, key in (("joint+unimodal", "unimodal.gamma"), ("arl", "arl.gamma"), ("cal+mce", "cal.gamma")):
        assert {setting[key] for setting in list_settings(recipe, method)} == {1.0, 4.0}
    assert len(list_settings(recipe, "joint")) == 7
    assert len(list_settings(recipe, "joint+unimodal")) == 14


def test_what_the_recipe_states_is_not_searched(tmp_path: Path) -> None:
    def grid(name: str, **tables: Any) -> list[Any]:
        return list_settings(a_world(tmp_path, **tables)[0], name)

    assert grid("joint", train={"optimiser": "sgd"}) == [
        {"optimiser": "sgd", "learning_rate": rate} for rate in RATES["sgd"]
    ]
    assert grid("joint", train={"learning_rate": 0.2}) == [{"optimiser": "adamw", "learning_rate": 0.2}]
    assert grid("cal", train={"learning_rate": 0.2})[0]["optimiser"] == "sgd"
    own = grid("joint+unimodal", method={"name": "joint", "unimodal": {"gamma": 2.0}})
    assert len(own) == 7
    assert "unimodal.gamma" not in own[0]


@pytest.mark.parametrize(
    ("epochs", "rungs"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (12, [3, 6, 12]), (30, [8, 15, 30])]
)
def test_rungs_are_a_quarter_a_half_and_all(epochs: int, rungs: list[int]) -> None:
    assert list_rungs(epochs) == rungs


def test_half_goes_on_by_score_then_log_loss_then_order(tmp_path: Path, scored: Any) -> None:
    """Settings by their rate: the quarter ranks them one way, the whole another, and the whole decides."""
    recipe, setting = a_world(tmp_path, train={"epochs": 8, "select": "worst-subset"})
    ranks = {
        2: {
            0.1: score(0.9),
            0.2: score(0.5, nll=0.7),
            0.3: score(0.5, nll=0.6),
            0.4: score(0.5, nll=0.7),
            0.5: score(0.1),
        },
        4: {0.1: score(0.9), 0.2: score(0.6), 0.3: score(0.9)},
        8: {0.1: score(0.7), 0.3: score(0.8)},
    }
    seen = scored(lambda cell: ranks[cell.recipe["train"]["epochs"]][cell.recipe["train"]["learning_rate"]])
    grid = [{"optimiser": "sgd", "learning_rate": rate} for rate in (0.1, 0.2, 0.3, 0.4, 0.5)]
    found = tune_methods(recipe, {"joint": grid}, setting, tmp_path / "out", workers=1, watcher=Blind())
    tried = [(cell.recipe["train"]["epochs"], cell.recipe["train"]["learning_rate"]) for cell in seen]
    assert tried == [(2, 0.1), (2, 0.2), (2, 0.3), (2, 0.4), (2, 0.5), (4, 0.1), (4, 0.2), (4, 0.3), (8, 0.1), (8, 0.3)]
    assert len(tried) == count_trials(5, 8)
    assert found.chosen == {"joint": {"optimiser": "sgd", "learning_rate": 0.3}}
    assert [(t.epochs, t.setting["learning_rate"]) for t in found.trials] == tried
    assert [t.setting["learning_rate"] for t in found.trials if t.kept] == [0.1, 0.2, 0.3, 0.1, 0.3, 0.3]
    assert (found.select, found.rungs, found.find_chosen("joint").score) == ("worst-subset", [2, 4, 8], 0.8)
    assert {cell.seed for cell in seen} == {TUNING_SEED} == {found.seed}
    assert {cell.recipe["train"]["warmup"] for cell in seen} == {0.25, 0.5, 1.0}, "the warm-up keeps its share"
    assert Search.model_validate_json((tmp_path / "out" / "search.json").read_bytes()) == found


def test_what_diverges_goes_last_and_where_all_do_it_is_said(tmp_path: Path, scored: Any) -> None:
    recipe, setting = a_world(tmp_path)
    grid = [{"optimiser": "sgd", "learning_rate": rate} for rate in (0.1, 0.2)]
    scored(lambda cell: score(0, 0, "too fast") if cell.recipe["train"]["learning_rate"] == 0.1 else score(0.0, 9.0))
    found = tune_methods(recipe, {"joint": grid}, setting, tmp_path / "a", workers=1, watcher=Blind())
    assert found.chosen["joint"]["learning_rate"] == 0.2
    scored(lambda cell: score(0, 0, "too fast"))
    with pytest.raises(UsageError, match="joint: all 2 settings diverge; the first: too fast"):
        tune_methods(recipe, {"joint": grid}, setting, tmp_path / "b", workers=1, watcher=Blind())


def test_a_setting_lies_over_the_recipe_of_its_method_alone(tmp_path: Path) -> None:
    recipe, setting = a_world(tmp_path, method={"name": "joint", "unimodal": {"gamma": 2.0}})
    chosen = {"joint+unimodal": {"optimiser": "sgd", "learning_rate": 0.07, "unimodal.gamma": 1.0}}
    plain, tuned = plan_cells(recipe, ["joint", "joint+unimodal"], [0], setting, chosen)
    assert (plain.recipe["train"]["optimiser"], plain.recipe["train"]["learning_rate"]) == ("adamw", 1e-3)
    assert (tuned.recipe["train"]["optimiser"], tuned.recipe["train"]["learning_rate"]) == ("sgd", 0.07)
    assert tuned.recipe["method"]["unimodal"] == {"gamma": 1.0}
    (same,) = plan_cells(recipe, ["joint"], [0], setting, chosen)
    assert same.key == plain.key


def test_a_trial_reads_no_test_split_and_keeps_its_score(tmp_path: Path) -> None:
    """The files of the test split are not there."""
    recipe, setting = a_world(tmp_path / "data", train={"select": "mean-over-subsets"})
    path = setting.manifest
    lines = [line.replace(".npy", "_gone.npy") if ",test," in line else line for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")
    (trial,) = plan_trials(recipe, {"joint": [{"optimiser": "sgd", "learning_rate": 0.1}]}, 1, setting)
    pipe = Pipe()
    run_cell(trial, setting, tmp_path / "out", tmp_path / "answers", pipe)  # type: ignore[arg-type]
    assert [what for what, _ in pipe.events if what in ("failed", "broken")] == []
    found = read_trial(tmp_path / "out", trial)
    assert found is not None
    (run,) = [Run(p.parent) for p in (tmp_path / "out" / "runs" / trial.key).glob("*/run.json")]
    facts = run.read_finished()
    best = facts["progress"]["best"]
    assert found == TrialScore(
        score=best["valid_mean_over_subsets"], valid_accuracy=best["valid_accuracy"], valid_nll=best["valid_nll"],
        kept_epoch=1, train_nll=float(f"{facts['train_nll']:.6g}"), diverged=None,
    )  # fmt: skip
    assert not (tmp_path / "out" / "cells").exists(), "a trial is no result"
    assert str(trial) == "joint, sgd 0.1, 1 epoch"


def test_a_trial_that_diverges_is_a_score_and_a_cell_that_does_an_error(tmp_path: Path) -> None:
    recipe, setting = a_world(tmp_path / "data", train={"clip": 1e30})
    wild = {"optimiser": "sgd", "learning_rate": 1e25}
    (trial,) = plan_trials(recipe, {"joint": [wild]}, 2, setting)
    run_cell(trial, setting, tmp_path / "out", tmp_path / "answers", Pipe())  # type: ignore[arg-type]
    found = read_trial(tmp_path / "out", trial)
    assert found is not None
    assert "stopped being" in str(found.diverged)
    (cell,) = plan_cells(recipe, ["joint"], [0], setting, {"joint": wild})
    pipe = Pipe()
    run_cell(cell, setting, tmp_path / "out", tmp_path / "answers", pipe)  # type: ignore[arg-type]
    assert pipe.events[-1][0] == "failed"


def test_a_search_that_was_stopped_goes_on_with_what_it_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers work here, and the third is interrupted: the same call trains only what is not done, to the same end."""
    recipe, setting = a_world(tmp_path / "data", train={"epochs": 2})
    grid = [{"optimiser": "sgd", "learning_rate": rate} for rate in (0.01, 0.1)]
    trained: list[str] = []

    def here(cells: list[Cell], spec: BenchSpec, out: Path, *, read: Any, stop: int = 99, **_: Any) -> list[Any]:
        for cell in cells:
            if read(out, cell) is None:
                if len(trained) == stop:
                    raise InterruptedRun("stopped")
                run_cell(cell, spec, out, out / "answers", Pipe())  # type: ignore[arg-type]
                trained.append(cell.key)
        return [read(out, cell) for cell in cells]

    def search(out: Path) -> Search:
        return tune_methods(recipe, {"joint": grid}, setting, out, workers=1, watcher=Blind())

    monkeypatch.setattr(tuning, "run_cells", lambda *given, **more: here(*given, **more, stop=2))
    with pytest.raises(InterruptedRun):
        search(tmp_path / "out")
    assert len(trained) == 2
    monkeypatch.setattr(tuning, "run_cells", here)
    found = search(tmp_path / "out")
    assert len(trained) == len(set(trained)) == 3
    assert search(tmp_path / "out") == found
    assert len(trained) == 3, "and a search that is done trains nothing"
    assert search(tmp_path / "other") == found, "the same from nothing"


def test_a_trial_has_a_key_of_its_own(tmp_path: Path) -> None:
    recipe, setting = a_world(tmp_path)
    wanted = {"optimiser": "sgd", "learning_rate": 0.1}
    (trial,) = plan_trials(recipe, {"joint": [wanted]}, 2, setting)
    (again,) = plan_trials(recipe, {"joint": [wanted, {**wanted, "learning_rate": 0.2}]}, 2, setting)[:1]
    (cell,) = plan_cells(recipe, ["joint"], [TUNING_SEED], setting, {"joint": wanted})
    assert trial.key == again.key != cell.key
    others = [
        plan_trials(recipe.with_train(select="worst-subset"), {"joint": [wanted]}, 2, setting)[0].key,
        plan_trials(recipe, {"joint": [wanted]}, 1, setting)[0].key,
        plan_trials(recipe.with_train(threads=2), {"joint": [wanted]}, 2, setting)[0].key,
    ]
    assert len({trial.key, *others}) == 4
    assert benches.read_result(tmp_path, cell) is None
    assert planning.PROTOCOL >= 3
