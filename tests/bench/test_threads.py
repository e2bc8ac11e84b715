"""The threads of a bench: what settles them, and that the same command takes them again."""

import json
from pathlib import Path
from typing import Any

import pytest
import worlds

from robustmm.bench import threads
from robustmm.bench.bench import lock_folder
from robustmm.bench.threads import record_threads, settle_threads
from robustmm.bench.worker import BenchSpec
from robustmm.config.recipe import Recipe
from robustmm.errors import UsageError
from robustmm.training.threads import Threads


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Recipe, BenchSpec]:
    monkeypatch.setattr(threads, "count_cores", lambda: 8)
    path = worlds.manifest(tmp_path / "data")
    return worlds.recipe(path, threads=None), BenchSpec(path)


def measured(monkeypatch: pytest.MonkeyPatch, count: int) -> list[int]:
    """A measurement that finds this number; gives the most threads that it was allowed."""
    asked: list[int] = []

    def choose(recipe: Recipe, model: Any, batch: Any, most: int) -> Threads:
        asked.append(most)
        return Threads(count, {1: 0.3, most: 0.1})

    monkeypatch.setattr(threads, "choose_threads", choose)
    return asked


def record_four(world: tuple[Recipe, BenchSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bench's folder where four threads were settled."""
    recipe, setting = world
    measured(monkeypatch, 4)
    record_threads(recipe, tmp_path / "out", settle_threads(recipe, setting, tmp_path / "out", 2))
    return tmp_path / "out"


def test_each_worker_has_its_share_of_the_cores(
    world: tuple[Recipe, BenchSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = measured(monkeypatch, 4)
    assert settle_threads(*world, tmp_path / "out", 2).count == 4
    assert settle_threads(*world, tmp_path / "out", 8) == Threads(1, {}, "8 at once on 8 cores")
    assert settle_threads(*world, tmp_path / "out", 9).count == 1
    assert asked == [4], "where there is no choice nothing is measured"
    assert not (tmp_path / "out").exists(), "settling writes nothing"


def test_the_same_command_takes_the_same_number_again(
    world: tuple[Recipe, BenchSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, setting = world
    out = record_four(world, tmp_path, monkeypatch)
    asked = measured(monkeypatch, 1)
    assert settle_threads(recipe, setting, out, 2) == Threads(4, {}, f"as before in {out}")
    assert settle_threads(recipe.with_train(epochs=9), setting, out, 8).count == 4, "the model is the same"
    assert asked == []
    assert settle_threads(recipe.with_train(batch=3), setting, out, 2).count == 1, "another batch is another step"
    before = (out / "threads.json").stat().st_mtime_ns
    record_threads(recipe, out, Threads(4, {}))
    assert (out / "threads.json").stat().st_mtime_ns == before
    (out / "threads.json").write_text("{")
    assert settle_threads(recipe, setting, out, 2).count == 1, "a damaged record knows nothing"


def test_what_is_asked_for_is_taken_and_not_kept(
    world: tuple[Recipe, BenchSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, setting = world
    out = record_four(world, tmp_path, monkeypatch)
    asked = recipe.with_train(threads=3)
    monkeypatch.undo()
    assert settle_threads(asked, setting, out, 2) == Threads(3, {}, "as asked for")
    record_threads(asked, out, Threads(3, {}))
    assert json.loads((out / "threads.json").read_text())["threads"] == 4
    with lock_folder(out), pytest.raises(UsageError, match="another bench is at work in"):
        record_threads(recipe, out, Threads(2, {}))


def test_a_real_step_is_measured_on_empty_inputs(
    world: tuple[Recipe, BenchSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "count_cores", lambda: 2)
    found = settle_threads(*world, tmp_path / "out", 1)
    assert sorted(found.seconds) == [1, 2]
    assert found.count == 1, "a model this small only loses by sharing"
