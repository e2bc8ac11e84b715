"""The bench: cells trained in processes of their own, scored as the exported file would be, kept and continued."""

import json
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import worlds

from robustmm.api.reporting import write_report
from robustmm.bench import bench as benches
from robustmm.bench import cell
from robustmm.bench.bench import lock_folder, read_result, run_bench
from robustmm.bench.cell import (
    run_cell,
    score_cell,
    subset_masks,
    subset_names,
    subset_probabilities,
)
from robustmm.bench.costs import CostWatcher
from robustmm.bench.planning import plan_cells
from robustmm.bench.torch_session import TorchSession
from robustmm.bench.worker import BenchSpec, Cell
from robustmm.conditions.condition import Condition, Noise
from robustmm.config.recipe import Recipe, build_recipe
from robustmm.data.manifest import Manifest
from robustmm.errors import DataError, InterruptedRun, RobustmmError, UsageError
from robustmm.evaluation.evaluate import evaluate
from robustmm.metrics import classification
from robustmm.metrics.paired import CellResult
from robustmm.runs import Run
from robustmm.runtime.session import Session

NOISY = Condition("noisy", (Noise("gaussian", 0.5),))
HALF = Condition("half", (), {"vector": 0.5})


class Seen:
    """A watcher that remembers."""

    def __init__(self, then: Callable[[Cell, str], None] = lambda cell, what: None) -> None:
        self.events: list[tuple[str, str, Any]] = []
        self.then = then

    def event(self, cell: Cell, what: str, value: Any) -> None:
        self.events.append((str(cell), what, value))
        self.then(cell, what)

    def of(self, what: str) -> list[str]:
        return [cell for cell, seen, _ in self.events if seen == what]


class Parent:
    """The parent's end of a worker's pipe; it can go away after an epoch of what has a title."""

    def __init__(self, gone: tuple[str, int] = ("", 0)) -> None:
        self.gone, self.title = gone, ""
        self.events: list[tuple[str, Any]] = []

    def send(self, event: tuple[str, Any]) -> None:
        what, value = event
        self.title = value[0] if what == "begin" else self.title
        if what == "broken" or (what == "epoch" and (self.title, value[0] - 1) == self.gone):
            raise BrokenPipeError(event)
        self.events.append(event)


class World(NamedTuple):
    recipe: Recipe
    setting: BenchSpec


def a_world(folder: Path, conditions: Sequence[Condition] = (), **train: object) -> World:
    path = worlds.manifest(folder)
    return World(worlds.recipe(path, **train), BenchSpec(path, tuple(conditions)))


@pytest.fixture(scope="module")
def world_of_two(tmp_path_factory: pytest.TempPathFactory) -> World:
    return a_world(tmp_path_factory.mktemp("data"), [NOISY, HALF], epochs=2)


class Done(NamedTuple):
    out: Path
    cells: list[Cell]
    results: list[CellResult]
    seen: Seen


@pytest.fixture(scope="module")
def done(world_of_two: World, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Two methods x two seeds, two workers."""
    out, seen = tmp_path_factory.mktemp("bench") / "deep" / "out", Seen()
    planned = plan_cells(world_of_two.recipe, ["joint", "mce"], [0, 1], world_of_two.setting)
    return Done(out, planned, run_bench(planned, world_of_two.setting, out, workers=2, watcher=seen), seen)


def in_process(cell: Cell, setting: BenchSpec, out: Path, parent: Any = None) -> CellResult | None:
    """A worker's work, here."""
    (out / "cells").mkdir(parents=True, exist_ok=True)
    run_cell(cell, setting, out, out / "answers", parent or Parent())
    return read_result(out, cell)


def numbers(result: CellResult | None) -> dict[str, Any]:
    """What does not depend on how busy the machine was."""
    assert result is not None
    return result.model_dump(exclude={"seconds", "teacher_seconds", "seconds_per_epoch", "peak_mb"})


def test_every_cell_is_trained_and_told(done: Done) -> None:
    assert [(r.method, r.seed) for r in done.results] == [("joint", 0), ("joint", 1), ("mce", 0), ("mce", 1)]
    for result in done.results:
        assert list(result.accuracy) == ["clean", "noisy", "half", "only vector", "only series", "mean over subsets"]
        assert result.accuracy.keys() == result.nll.keys() == result.macro_f1.keys()
        assert result.samples == 36
        assert [list(scores) for scores in result.contributions.values()] == [list(result.accuracy)] * 2
        assert 0 < result.seconds_per_epoch == pytest.approx(result.seconds / 2, rel=1e-4)
        assert 0 < result.peak_mb < 4000
        of = [result.accuracy[c] for c in ("clean", "only vector", "only series")]
        assert result.accuracy["mean over subsets"] == pytest.approx(np.mean(of))
    assert [r.teacher_seconds > 0 for r in done.results] == [False, False, True, True]
    assert len(set(map(str, (r.accuracy for r in done.results)))) > 2, "methods and seeds differ"
    assert sorted(done.seen.of("started")) == sorted(done.seen.of("ended")) == sorted(map(str, done.cells))
    assert done.seen.of("kept") == []
    training = [v for c, what, v in done.seen.events if c == "mce, seed 1" and what == "begin"]
    assert [title for title, _, _ in training] == ["reading", "teacher vector", "teacher series", "training"]
    assert [e for c, what, (e, *_) in [x for x in done.seen.events if x[1] == "epoch"] if c == "joint, seed 0"] == [
        1,
        2,
    ]


def test_the_folder_tells_what_was_asked_and_is_drawn(done: Done, world_of_two: World) -> None:
    """The last question counts, also one that everything is done for; a report draws what belongs to it."""
    asked = json.loads((done.out / "bench.json").read_text())
    assert [cell["key"] for cell in asked["cells"]] == [cell.key for cell in done.cells]
    assert (asked["recipe"], asked["baseline"]) == ("world", "joint")
    page = write_report(done.out).read_text(encoding="utf-8")
    assert "All 4 trainings are done." in page
    some = done.cells[2:]
    run_bench(some, world_of_two.setting, done.out, workers=1, watcher=Seen(), baseline="mce")
    page = write_report(done.out).read_text(encoding="utf-8")
    assert "All 2 trainings are done." in page
    assert json.loads((done.out / "bench.json").read_text())["baseline"] == "mce"


def test_one_worker_and_this_process_say_the_same(done: Done, world_of_two: World, tmp_path: Path) -> None:
    some = [cell for cell in done.cells if cell.seed == 1]
    alone = run_bench(some, world_of_two.setting, tmp_path / "one", workers=1, watcher=Seen())
    expected = [numbers(result) for result in done.results if result.seed == 1]
    assert [numbers(result) for result in alone] == expected
    assert [numbers(in_process(cell, world_of_two.setting, tmp_path / "here")) for cell in some] == expected


def test_what_is_done_is_not_done_again(done: Done, world_of_two: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def started(cell: Cell, *_: object) -> Any:
        raise KeyboardInterrupt(str(cell))

    monkeypatch.setattr(benches, "start_worker", started)
    before = {path: path.stat().st_mtime_ns for path in done.out.rglob("*") if path.is_file()}
    seen = Seen()
    assert run_bench(done.cells, world_of_two.setting, done.out, workers=1, watcher=seen) == done.results
    assert seen.of("kept") == [str(cell) for cell in done.cells]
    more = plan_cells(world_of_two.recipe, ["dropout", "mce", "joint"], [0, 1, 2], world_of_two.setting)
    with pytest.raises(InterruptedRun, match="stopped with 4 of 9 trainings done; every whole epoch is kept"):
        run_bench(more, world_of_two.setting, done.out, workers=1, watcher=(seen := Seen()))
    assert sorted(seen.of("kept")) == sorted(map(str, done.cells))
    fewer = plan_cells(world_of_two.recipe, ["mce"], [1], world_of_two.setting)
    assert run_bench(fewer, world_of_two.setting, done.out, workers=1, watcher=Seen()) == done.results[-1:]
    asked = (".lock", "bench.json")  # bench.json holds the last question
    assert {p: p.stat().st_mtime_ns for p in before if p.name not in asked} == {
        p: t for p, t in before.items() if p.name not in asked
    }


def test_half_a_result_is_none(done: Done, tmp_path: Path) -> None:
    shutil.copytree(done.out, tmp_path / "out")
    path = tmp_path / "out" / "cells" / f"{done.cells[0].key}.json"
    path.write_bytes(path.read_bytes()[:50])
    assert read_result(tmp_path / "out", done.cells[0]) is None
    assert read_result(tmp_path / "out", done.cells[1]) == done.results[1]


def test_a_key_names_what_the_numbers_depend_on(tmp_path: Path) -> None:
    recipe, setting = a_world(tmp_path, [NOISY])

    def key(recipe: Recipe = recipe, method: str = "joint", seed: int = 0, **changed: Any) -> str:
        shared = BenchSpec(**{**vars(setting), **changed})
        (found,) = [c.key for c in plan_cells(recipe, ["dropout", method], [seed], shared) if c.method == method]
        return found

    def other(**train: Any) -> Recipe:
        return recipe.model_copy(update={"train": recipe.train.model_copy(update=train)})

    same = key()
    assert key(recipe.model_copy(update={"name": "other"})) == same
    assert key(other(seed=7)) == same, "the bench has seeds of its own"
    assert key(other(optimiser="adamw", learning_rate=1e-3)) == same, "what it would have been"
    changed = [
        key(other(epochs=4)), key(other(batch=8)), key(method="mce"), key(seed=1), key(conditions=()),
        key(conditions=(HALF,)), key(other(threads=7)), key(on_bad="missing"),
        key(recipe.model_copy(update={"data": recipe.data.model_copy(update={"missing": {"vector": 0.1}})})),
    ]  # fmt: skip
    with setting.manifest.open("a") as file:
        file.write("\n")
    changed.append(key())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cell, "__version__", "0")
        changed.append(key())
    assert len({same, *changed}) == 1 + len(changed)


def test_a_worker_killed_among_its_teachers_begins_anew(world_of_two: World, done: Done, tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError):
        in_process(done.cells[2], world_of_two.setting, tmp_path, Parent(gone=("teacher series", 1)))
    assert numbers(in_process(done.cells[2], world_of_two.setting, tmp_path)) == numbers(done.results[2])


def test_a_killed_worker_goes_on_where_it_was(world_of_two: World, done: Done, tmp_path: Path) -> None:
    cell = done.cells[2]
    with pytest.raises(BrokenPipeError):
        in_process(cell, world_of_two.setting, tmp_path, Parent(gone=("training", 0)))
    (run,) = [Run(path.parent) for path in (tmp_path / "runs" / cell.key).glob("*/run.json")]
    assert not run.is_finished
    parent = Parent()
    assert numbers(in_process(cell, world_of_two.setting, tmp_path, parent)) == numbers(done.results[2])
    assert [event for event in parent.events if event[0] == "begin"][-1] == ("begin", ("training", 2, 1))
    assert run.is_finished
    costs = CostWatcher(tmp_path / "runs" / cell.key / "costs.json", parent)  # type: ignore[arg-type]
    assert list(costs.epochs) == ["1", "2"], "both parts are paid"
    result = read_result(tmp_path, cell)
    assert result is not None
    assert result.teacher_seconds > 0
    assert result.seconds == pytest.approx(sum(costs.epochs.values()), rel=1e-4)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", b'{"epochs": {"1": "long"}, "peak": 1}', b'{"peak": 1}']
)
def test_damaged_costs_are_none(tmp_path: Path, content: bytes) -> None:
    """What was spent before is no longer known; what is spent from now on is."""
    path = tmp_path / "costs.json"
    path.write_bytes(content)
    costs = CostWatcher(path, Parent())  # type: ignore[arg-type]
    assert (costs.epochs, costs.peak) == ({}, 0)
    costs.epochs["2"] = 4.0
    costs.write_costs()
    assert CostWatcher(path, Parent()).epochs == {"2": 4.0}  # type: ignore[arg-type]


def test_teachers_are_trained_once_and_counted_for_all_who_ask(tmp_path: Path) -> None:
    recipe, setting = a_world(tmp_path / "world", epochs=1, optimiser="sgd")
    first, second = plan_cells(recipe, ["mce", "cal+mce"], [0], setting)
    paid = in_process(first, setting, tmp_path)
    found = in_process(second, setting, tmp_path, parent := Parent())
    assert paid is not None
    assert found is not None
    assert [title for what, (title, *_) in parent.events if what == "begin"] == ["reading", "training"]
    assert found.teacher_seconds == paid.teacher_seconds > 0


def test_a_run_without_a_whole_epoch_is_begun_anew(world_of_two: World, done: Done, tmp_path: Path) -> None:
    left = tmp_path / "runs" / done.cells[0].key / "joint-s0-001"
    left.mkdir(parents=True)
    Run(left).update_facts(finished=False, started=0)
    assert numbers(in_process(done.cells[0], world_of_two.setting, tmp_path)) == numbers(done.results[0])


def test_training_never_reads_the_test_split(tmp_path: Path) -> None:
    """Its files are not there while training goes on; then they are, and nothing is trained again."""
    recipe, setting = a_world(tmp_path / "whole", epochs=2)
    shutil.copytree(tmp_path / "whole", tmp_path / "later")
    lines = setting.manifest.read_text().splitlines()
    lines = [x.replace(".npy", "_test.npy") if ",test," in x else x for x in lines]
    later = tmp_path / "later" / "manifest.csv"
    later.write_text("\n".join(lines) + "\n")
    setting = BenchSpec(later)
    (cell,) = plan_cells(recipe, ["mce"], [3], setting)
    parent = Parent()
    assert in_process(cell, setting, tmp_path / "out", parent) is None
    what, (said, code) = parent.events[-1]
    assert (what, code) == ("failed", 3)
    assert "_test.npy" in said
    (run,) = [Run(path.parent) for path in (tmp_path / "out" / "runs" / cell.key).glob("*/run.json")]
    assert run.is_finished
    weights = run.weights.stat().st_mtime_ns
    for name in ("vector", "series"):
        shutil.copy(tmp_path / "later" / f"{name}.npy", tmp_path / "later" / f"{name}_test.npy")
    result = in_process(cell, setting, tmp_path / "out")
    assert result is not None
    assert result.seconds > 0
    assert run.weights.stat().st_mtime_ns == weights


def test_torch_answers_as_the_exported_file(world: Run, rows: Manifest) -> None:
    here, exported = TorchSession(world), Session(world.model)
    assert (here.names, here.classes, here.modalities) == (exported.names, exported.classes, exported.modalities)
    assert np.allclose(here.prior, exported.prior)
    assert here.modality("series") == exported.modality("series")
    ours, theirs = (evaluate(session, rows, [NOISY, HALF])[0] for session in (here, exported))
    for a, b in zip(ours, theirs, strict=True):
        assert np.abs(a.probabilities - b.probabilities).max() < 1e-5
        assert np.abs(a.phi_log_probability - b.phi_log_probability).max() < 1e-4
        assert (a.present == b.present).all()


FRESH = "import pickle, sys; pickle.load(sys.stdin.buffer); print(sorted({'torch', 'robustmm'} & sys.modules.keys()))"


def test_a_worker_ends_with_its_parent_before_it_imports_torch(
    done: Done, world_of_two: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Imports take seconds. What a new process reads before its first line of ours must not bring torch along."""
    begun: list[Any] = []
    monkeypatch.setattr(benches.SpawnProcess, "start", lambda self: begun.append((self._target, self._args[:-1])))
    benches.start_worker(done.cells[0], world_of_two.setting, tmp_path)[0].close()
    read = subprocess.run([sys.executable, "-c", FRESH], input=pickle.dumps(begun), capture_output=True, check=True)
    assert read.stdout == b"['robustmm']\n"


def test_what_the_dead_left_half_written_is_swept(world_of_two: World, tmp_path: Path) -> None:
    """Of cells, of runs, of teachers' answers."""
    left = [tmp_path / where / ".x.17.part" for where in ("cells", "runs/k", "runs/k/joint-s0-001", "answers/a")]
    for path in left:
        path.parent.mkdir(parents=True)
        path.touch()
    assert run_bench([], world_of_two.setting, tmp_path, workers=1, watcher=Seen()) == []
    assert [path for path in left if path.exists()] == []


def test_a_cell_is_scored_as_attack_would_score_its_file(world: Run, rows: Manifest, tmp_path: Path) -> None:
    """A second way: the exported file, each subset as a condition that takes the others away."""
    world.update_facts(device="cpu")
    gone = {"only vector": {"series": 1.0}, "only series": {"vector": 1.0}, "clean": {}}
    taken = [Condition(name, (), rates) for name, rates in gone.items()]
    setting = BenchSpec(rows.path, (NOISY, HALF))
    costs = CostWatcher(tmp_path / "no.json", Parent())  # type: ignore[arg-type]
    found = score_cell(world, Cell("m", 5, {"train": {"threads": 1}}, "k"), rows, setting, costs)
    records = evaluate(Session(world.model), rows, [NOISY, HALF, *taken])[0]
    for name, r in zip(["noisy", "half", *gone], records, strict=True):
        assert found.accuracy[name] == classification.accuracy(r.probabilities, r.target)
        assert found.nll[name] == pytest.approx(classification.nll(r.probabilities, r.target), abs=1e-4)
        assert found.macro_f1[name] == pytest.approx(classification.macro_f1(r.probabilities, r.target))
        shares = [found.contributions[m][name] for m in ("vector", "series")]
        assert shares == pytest.approx(r.phi_accuracy.mean(0), abs=1e-6)
        chance = (r.empty_value[:, 1]).mean()
        assert sum(shares) == pytest.approx(found.accuracy[name] - chance, abs=1e-6)
    for scores in found.contributions.values():
        assert scores["mean over subsets"] == pytest.approx(np.mean([scores[name] for name in gone]), abs=1e-6)
    assert found.contributions["series"]["only vector"] == 0
    assert found.nll["mean over subsets"] == pytest.approx(np.mean([found.nll[name] for name in gone]), abs=1e-4)
    assert found.subsets == []
    answers, present = subset_probabilities(TorchSession(world), rows, "error")
    assert [name for name, _ in answers] == ["only vector", "only series", "vector+series"]
    assert present.shape == (len(rows), 2)


def test_a_model_that_answers_nan_is_named_with_the_first_sample(
    world: Run, rows: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of the manifest, though an earlier subset spoils a later one; where nothing is present nobody asks."""
    session = TorchSession(world)
    whole = session.decode

    def decode(z: Any, present: Any) -> Any:
        p = whole(z, present)
        p[3 if present[:, 0].any() else 2] = np.nan  # "only vector" comes before "only series"
        p[~present.any(1)] = np.nan
        return p

    monkeypatch.setattr(session, "decode", decode)
    with pytest.raises(DataError) as error:
        subset_probabilities(session, rows, "error")
    assert str(error.value).startswith(f"{world.weights} should answer with numbers, its answer to sample ")
    assert f'to sample "{rows.ids[2]}" is NaN' in str(error.value)
    world.update_facts(device="cpu")
    with monkeypatch.context() as patch:
        patch.setattr(cell, "TorchSession", lambda *_: session)
        costs = CostWatcher(tmp_path / "costs.json", Parent())  # type: ignore[arg-type]
        with pytest.raises(DataError, match="is NaN or infinite"):
            score_cell(world, Cell("joint", 0, world.read_facts()["recipe"], ""), rows, BenchSpec(rows.path), costs)


def test_the_subsets_and_their_names() -> None:
    assert subset_names(["a"]) == ["a"]
    assert subset_names(["a", "b"]) == ["only a", "only b", "a+b"]
    assert subset_names(["a", "b", "c"]) == ["only a", "only b", "only c", "a+b", "a+c", "b+c", "a+b+c"]
    assert len(subset_masks(8)) == 255
    nine = [sum(mask) for mask in subset_masks(9)]
    assert nine == [1] * 9 + [8] * 9 + [9], "above eight: each alone, all but each, and all"


def test_one_modality_has_no_mean_over_subsets(tmp_path: Path) -> None:
    path = worlds.manifest(tmp_path / "data")
    content = worlds.tables(path)
    del content["modality"]["series"]  # type: ignore[attr-defined]
    recipe = build_recipe({**content, "train": {"epochs": 1, "batch": 16}}, "one", "one")
    setting = BenchSpec(path)
    (cell,) = plan_cells(recipe, ["joint"], [0], setting)
    result = in_process(cell, setting, tmp_path / "out")
    assert result is not None
    assert list(result.accuracy) == ["clean"]


def test_every_refusal_is_told_at_once_and_before(world_of_two: World) -> None:
    gated = world_of_two.recipe.model_copy(
        update={"model": world_of_two.recipe.model.model_copy(update={"fusion": "gated"})}
    )
    with pytest.raises(UsageError) as error:
        plan_cells(gated, ["joint", "jont", "unimodal", "arl+dgl", "cal+mc"], [0, 1], world_of_two.setting)
    said = str(error.value).splitlines()
    assert [sentence.split(":")[0] for sentence in said] == ["jont", "unimodal", "arl+dgl", "cal+mc"]
    assert 'did you mean "joint"' in said[0]
    assert "unimodal alone never trains the fusion" in said[1]


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        (Condition("noisy", (Noise("gaussian", 0.5, ("vectr",)),)), 'no modality "vectr", did you mean "vector"'),
        (Condition("clean", (Noise("gaussian", 0.5),)), 'has a column "clean" of its own'),
        (Condition("only vector", (Noise("gaussian", 0.5),)), 'has a column "only vector" of its own'),
        (Condition("vector+series", (Noise("gaussian", 0.5),)), 'has a column "vector+series" of its own'),
        (Condition("mean over subsets", (), {"vector": 0.5}), 'has a column "mean over subsets" of its own'),
    ],
)
def test_conditions_that_cannot_be(world_of_two: World, condition: Condition, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence.replace("+", r"\+")):
        plan_cells(world_of_two.recipe, ["joint"], [0], BenchSpec(world_of_two.setting.manifest, (condition,)))


def test_a_label_that_only_test_has_is_told_before_training(tmp_path: Path) -> None:
    recipe, setting = a_world(tmp_path)
    setting.manifest.write_text(setting.manifest.read_text().replace("test,ant", "test,unicorn"))
    with pytest.raises(DataError, match='"unicorn" is not a class'):
        plan_cells(recipe, ["joint"], [0], setting)


def test_steering_methods_under_adamw_are_warned_of_by_name(world_of_two: World) -> None:
    train = world_of_two.recipe.train.model_copy(update={"optimiser": "adamw"})
    recipe = world_of_two.recipe.model_copy(update={"train": train})
    with pytest.warns(UserWarning, match="^arl: this method scales gradients"):
        plan_cells(recipe, ["joint", "arl"], [0, 1], world_of_two.setting)


def test_a_recipe_with_text_is_not_refused_for_its_tokenizer(world_of_two: World) -> None:
    """It is learned when training reads the texts."""
    content = worlds.tables(world_of_two.setting.manifest)
    content["modality"] = {"site": {"kind": "text"}, "vector": {"kind": "features", "length": 5}}
    setting = BenchSpec(world_of_two.setting.manifest)
    assert len(plan_cells(build_recipe(content, "t", "t"), ["joint", "mce"], [0], setting)) == 2


def test_a_failing_cell_and_a_killed_one_do_not_stop_the_others(
    world_of_two: World, done: Done, tmp_path: Path
) -> None:
    broken = tmp_path / "runs" / done.cells[0].key / "joint-s0-001"
    broken.mkdir(parents=True)
    facts = {"started": 0, "finished": False, "recipe": done.cells[0].recipe, "on_bad": "error"}
    Run(broken).update_facts(**facts, manifest=str(world_of_two.setting.manifest))
    Run(broken).checkpoint.write_bytes(b"not a checkpoint")

    def then(cell: Cell, what: str) -> None:
        if str(cell) == "joint, seed 1" and what == "begin":
            for process in multiprocessing.active_children():
                os.kill(process.pid or 0, signal.SIGKILL)

    some = [done.cells[0], done.cells[1], done.cells[2]]
    with pytest.raises(RobustmmError) as error:
        run_bench(some, world_of_two.setting, tmp_path, workers=1, watcher=(seen := Seen(then)))
    said = str(error.value).splitlines()
    assert error.value.exit_code == 3
    assert said[0].startswith("joint, seed 0: ")
    assert "is not a readable checkpoint" in said[0]
    assert said[1] == "joint, seed 1: its process was ended by signal 9 (out of memory?)"
    assert said[2] == (
        f"1 of 3 trainings done; every whole epoch is kept in {tmp_path}, the same command continues with the rest"
    )
    assert [v for _, what, v in seen.events if what == "ended"] == [False, False, True]
    assert numbers(read_result(tmp_path, done.cells[2])) == numbers(done.results[2])


def test_one_bench_at_a_time_in_a_folder(done: Done, world_of_two: World, tmp_path: Path) -> None:
    with lock_folder(tmp_path), pytest.raises(UsageError, match="another bench is at work in"):
        run_bench(done.cells, world_of_two.setting, tmp_path, workers=1, watcher=Seen())
    with lock_folder(done.out):  # reading needs no lock
        assert run_bench(done.cells, world_of_two.setting, done.out, workers=1, watcher=Seen()) == done.results
    assert run_bench(done.cells, world_of_two.setting, done.out, workers=1, watcher=Seen()) == done.results
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file cannot be the folder of a bench: Not a directory"):
        run_bench(done.cells, world_of_two.setting, tmp_path / "file", workers=1, watcher=Seen())


def test_a_bug_in_a_worker_is_a_bug_here(done: Done, world_of_two: World, tmp_path: Path) -> None:
    wrong = Cell("joint", 0, {"no": "recipe", "train": {"threads": 1}}, "0" * 20)
    with pytest.raises(RuntimeError, match="joint, seed 0:\nTraceback"):
        run_bench([wrong], world_of_two.setting, tmp_path, workers=1, watcher=Seen())
    assert multiprocessing.active_children() == []
