import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from worlds import Nobody, manifest, recipe

from robustmm.conditions.missing import read_presence_table
from robustmm.config.recipe import load_recipe
from robustmm.data.manifest import read_manifest
from robustmm.errors import DataError, InterruptedRun, UsageError
from robustmm.runs import Run
from robustmm.training import checkpoint
from robustmm.training.build import effective_recipe
from robustmm.training.run import resume, train

WORKER = """
import sys
from pathlib import Path
from worlds import Nobody, recipe
from robustmm.training.run import train
train(recipe(Path(sys.argv[1]), epochs=30), Path(sys.argv[1]), Path(sys.argv[2]), Nobody())
"""


def weights(run: Run) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in checkpoint.load_tensors(run.weights)[0].items()}


def test_a_run_leaves_its_weights_log_recipe_and_facts(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")
    run = train(recipe(path), path, tmp_path / "runs", Nobody())
    assert run.folder.name == "world-001"
    with run.log_file.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    terms = {"fused", "unimodal", "bottleneck", "completion", "separate", "subset"}
    assert terms | {"valid_accuracy", "valid_accuracy_vector", "contribution_series"} <= set(rows[0])
    facts = run.read_facts()
    assert facts["finished"] is True
    assert facts["classes"] == ["ant", "bee", "cat"]
    assert facts["recipe"]["method"]["cal"]["gamma"] == 4.0
    assert facts["recipe"]["train"]["optimiser"] == "sgd"
    assert not run.checkpoint.exists()
    replayed = load_recipe(run.folder / "recipe.toml")
    assert effective_recipe(replayed) == replayed
    assert weights(train(replayed, path, tmp_path / "runs", Nobody())) == weights(run)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")
    runs = [train(recipe(path, seed=seed), path, tmp_path / "runs", Nobody()) for seed in (0, 0, 1)]
    assert weights(runs[0]) == weights(runs[1])
    assert weights(runs[0]) != weights(runs[2])


def test_training_never_opens_the_test_split(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")
    whole = train(recipe(path), path, tmp_path / "runs", Nobody())
    lines = [line.replace("npy#", "gone#") if ",test," in line else line for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")  # any touch of a test cell is now an error
    without = train(recipe(path), path, tmp_path / "runs", Nobody())
    assert weights(whole) == weights(without)


def test_the_best_valid_epoch_is_kept(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")
    watcher = Nobody()
    run = train(recipe(path, epochs=6), path, tmp_path / "runs", watcher)
    rows = watcher.rows[-6:]
    progress = run.read_facts()["progress"]
    best = max(rows, key=lambda row: (row["valid_accuracy"], -row["valid_nll"]))
    assert progress["best_epoch"] == best["epoch"]
    assert progress["best"]["valid_accuracy"] == best["valid_accuracy"]


def test_early_stopping_stops(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")
    settings = recipe(path, epochs=40, patience=2, learning_rate=1e-9)
    run = train(settings, path, tmp_path / "runs", Nobody())
    progress = run.read_facts()["progress"]
    assert progress["epoch"] == progress["best_epoch"] + 2 < 40


def test_missing_rates_draw_a_fixed_stored_table(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")
    settings = recipe(path)
    settings = settings.model_copy(update={"data": settings.data.model_copy(update={"missing": {"series": 0.5}})})
    runs = [train(settings, path, tmp_path / "runs", Nobody()) for _ in range(2)]
    tables = [(run.folder / "missing.csv").read_text() for run in runs]
    assert tables[0] == tables[1]
    rows = list(csv.DictReader(tables[0].splitlines()))
    assert sum(row["series"] == "0" for row in rows) == len(rows) // 2
    assert all(row["vector"] == "1" for row in rows)
    train_ids = read_manifest(path).split("train").ids
    assert [row["id"] for row in rows] == train_ids
    table = read_presence_table(runs[0].folder / "missing.csv", train_ids, ["vector", "series"])
    assert table.tolist() == [[True, row["series"] == "1"] for row in rows]
    assert b"\r" not in (runs[0].folder / "missing.csv").read_bytes(), "as `data missing` writes it"


def test_what_a_dropped_cell_holds_is_never_learned_from(tmp_path: Path) -> None:
    """A cell the missing table drops may name a file that does not exist."""
    path = manifest(tmp_path / "data")
    settings = recipe(path)
    settings = settings.model_copy(update={"data": settings.data.model_copy(update={"missing": {"series": 0.5}})})
    run = train(settings, path, tmp_path / "runs", Nobody())
    table = csv.DictReader((run.folder / "missing.csv").read_text().splitlines())
    dropped = {row["id"] for row in table if row["series"] == "0"}
    lines = path.read_text().split("\n")
    path.write_text("\n".join(s.replace("series.npy#", "no#") if s.split(",")[0] in dropped else s for s in lines))
    assert weights(train(settings, path, tmp_path / "runs", Nobody())) == weights(run)


def test_killed_and_resumed_equals_uninterrupted(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")
    whole = train(recipe(path, epochs=30), path, tmp_path / "whole", Nobody())
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "helpers")}
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(path), str(tmp_path / "killed")], env=environment)
    run = Run(tmp_path / "killed" / "world-001")
    deadline = time.monotonic() + 120
    while not (run.log_file.exists() and len(run.log_file.read_text().splitlines()) > 4):
        assert worker.poll() is None, "the worker ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert not run.is_finished
    resume(run, Nobody())
    assert weights(run) == weights(whole)
    assert [line.split(",")[0] for line in run.log_file.read_text().split()[1:]] == [str(e) for e in range(1, 31)]


class Counting(Nobody):
    """Notes the threads of every step, and changes the machine's in between as a library might."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[int] = set()

    def step(self, count: int = 1) -> None:
        self.threads.add(torch.get_num_threads())


@pytest.mark.parametrize("asked", [1, 2])
def test_a_training_has_the_threads_of_its_recipe_on_every_machine(tmp_path: Path, asked: int) -> None:
    path = manifest(tmp_path / "data")
    before, found = torch.get_num_threads(), []
    try:
        for machine in (1, 3):
            torch.set_num_threads(machine)
            watcher = Counting()
            found.append(weights(train(recipe(path, threads=asked), path, tmp_path / "runs", watcher)))
            assert watcher.threads == {asked}
            assert torch.get_num_threads() == machine, "they are given back"
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]
    assert load_recipe(tmp_path / "runs" / "world-001" / "recipe.toml").train.threads == asked


def test_a_resume_has_the_threads_it_began_with(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")

    class Stops(Nobody):
        def epoch(self, row: object) -> None:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRun):
        train(recipe(path, threads=3), path, tmp_path / "runs", Stops())
    watcher = Counting()
    resume(Run(tmp_path / "runs" / "world-001"), watcher)
    assert watcher.threads == {3}


def test_killed_before_the_first_epoch_starts_over_in_its_folder(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")
    whole = train(recipe(path), path, tmp_path / "whole", Nobody())

    class Impatient(Nobody):
        def step(self, count: int = 1) -> None:
            if count == 1:
                raise KeyboardInterrupt

    with pytest.raises(InterruptedRun, match=r"robustmm train --resume .*world-001"):
        train(recipe(path), path, tmp_path / "runs", Impatient())
    run = Run(tmp_path / "runs" / "world-001")
    assert not run.checkpoint.exists()
    assert weights(resume(run, Nobody())) == weights(whole)


def test_killed_among_its_last_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The facts say that it has finished, the checkpoint is still there, a file was half written: a resume tidies."""
    path = manifest(tmp_path / "data")
    whole = train(recipe(path), path, tmp_path / "whole", Nobody())

    def killed(self: Path, missing_ok: bool = False) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", killed)
        with pytest.raises(InterruptedRun, match="continue with: robustmm train --resume"):
            train(recipe(path), path, tmp_path / "runs", Nobody())
    run = Run(tmp_path / "runs" / "world-001")
    (run.folder / ".log.csv.17.part").touch()
    assert weights(resume(run, Nobody())) == weights(whole)
    assert {f.name for f in run.folder.iterdir()} == {f.name for f in whole.folder.iterdir()}
    assert run.is_finished


def test_stopped_after_its_last_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left to continue, and it says so rather than name a command that is refused."""
    path, plain = manifest(tmp_path / "data"), Path.unlink

    def stopped(self: Path, missing_ok: bool = False) -> None:
        plain(self, missing_ok)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "unlink", stopped)
    with pytest.raises(InterruptedRun, match="world-001 has finished; there is nothing to continue"):
        train(recipe(path), path, tmp_path / "runs", Nobody())
    assert Run(tmp_path / "runs" / "world-001").is_finished


def test_stopped_where_a_library_wraps_what_is_raised(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")

    class Wrapping(Nobody):
        def epoch(self, row: object) -> None:
            raise RuntimeError("a callback failed") from KeyboardInterrupt()

    with pytest.raises(InterruptedRun, match="continue with: robustmm train --resume"):
        train(recipe(path), path, tmp_path / "runs", Wrapping())


def test_resuming_on_changed_data_is_refused(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")

    class Stops(Nobody):
        def epoch(self, row: object) -> None:
            super().epoch(row)
            if len(self.rows) == 8:  # two teachers of three epochs, then two epochs
                raise KeyboardInterrupt

    with pytest.raises(InterruptedRun):
        train(recipe(path), path, tmp_path / "runs", Stops())
    values = np.load(tmp_path / "data" / "vector.npy")
    np.save(tmp_path / "data" / "vector.npy", values + 1)
    with pytest.raises(DataError, match="has changed since"):
        resume(Run(tmp_path / "runs" / "world-001"), Nobody())


def test_a_cut_checkpoint_is_a_sentence(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")
    run = train(recipe(path), path, tmp_path / "runs", Nobody())
    run.checkpoint.write_bytes(run.weights.read_bytes()[:100])
    run.update_facts(finished=False)
    with pytest.raises(DataError, match="not a readable checkpoint"):
        resume(run, Nobody())


def test_a_gradient_that_stops_being_finite_is_a_sentence(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")
    with pytest.raises(UsageError, match=r"gradient stopped being finite in epoch \d+, step \d+"):
        train(recipe(path, learning_rate=1e30, clip=1e30), path, tmp_path / "runs", Nobody())


def test_answers_to_the_valid_split_that_are_no_numbers_are_a_sentence(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")
    rows = [
        int(line.rpartition("vector.npy#")[2].split(",")[0])
        for line in path.read_text().splitlines()
        if ",valid," in line
    ]
    values = np.load(tmp_path / "data" / "vector.npy")
    values[rows[0]] = 3e38
    np.save(tmp_path / "data" / "vector.npy", values)
    with pytest.raises(UsageError, match="answers to the valid split stopped being numbers"):
        train(recipe(path), path, tmp_path / "runs", Nobody())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: s.replace(",valid,", ",val,"), 'no rows in split "valid", did you mean "val"'),
        (lambda s: s.replace(",bee,", ",ant,").replace(",cat,", ",ant,"), "at least two classes"),
        (lambda s: s.replace("valid,cat", "valid,dog"), '"dog" is not a class of the model'),
        (lambda s: s.replace("series.npy#", ""), "does not exist"),
    ],
)
def test_data_that_cannot_be_trained_on_is_a_sentence(tmp_path: Path, change: object, sentence: str) -> None:
    path = manifest(tmp_path / "data")
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    with pytest.raises(DataError, match=sentence):
        train(recipe(path), path, tmp_path / "runs", Nobody())
    assert not (tmp_path / "runs").exists(), "nothing is left of a run that could not start"


def test_a_modality_nobody_has_is_a_sentence(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")
    rows = list(csv.reader(path.read_text().splitlines()))
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([rows[0], *([*row[:-1], ""] for row in rows[1:])])
    with pytest.raises(DataError, match='no row of the train split has the modality "series"'):
        train(recipe(path), path, tmp_path / "runs", Nobody())


def test_unreadable_inputs_can_count_as_missing(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")
    path.write_text(path.read_text().replace("series.npy#0\n", "series.npy#x\n"))
    run = train(recipe(path), path, tmp_path / "runs", Nobody(), on_bad="missing")
    (sentence,) = run.read_facts()["bad"]
    assert "line 2 (id 's000', series)" in sentence
    assert json.loads((run.folder / "run.json").read_text())["on_bad"] == "missing"


def test_class_weights_balance(tmp_path: Path) -> None:
    from robustmm.training.data import balanced_weights

    torch.testing.assert_close(balanced_weights(torch.tensor([0, 0, 0, 1]), 3), torch.tensor([4 / 9, 4 / 3, 0.0]))


def test_modality_dropout_never_takes_the_last(tmp_path: Path) -> None:
    from robustmm.methods.combinations import drop_modalities

    torch.manual_seed(0)
    present = torch.rand(4000, 3) < 0.7
    kept = drop_modalities(present, 0.5)
    assert (kept <= present).all()
    assert (kept.any(1) == present.any(1)).all()
    both = present.sum(1) == 3
    assert abs(kept[both].float().mean() - (0.5 + 0.125)) < 0.03  # 1/2, plus all three kept where all three fell


def test_schedules() -> None:
    from robustmm.config.recipe import Train
    from robustmm.training.optimiser import rate_factor

    cosine = Train(epochs=11, warmup=1)
    assert rate_factor(cosine, 0) < 0.02
    assert rate_factor(cosine, 1) == 1.0
    assert rate_factor(cosine, 6) == pytest.approx(0.5)
    assert rate_factor(cosine, 11) == pytest.approx(0.0)
    step = Train(epochs=10, warmup=0, schedule="step")
    assert [rate_factor(step, e) for e in (0, 6.9, 7, 9)] == [1.0, 1.0, 0.1, 0.1]


def test_gradient_scaling_methods_default_to_sgd_and_warn_with_adam() -> None:
    from robustmm.config.recipe import Train
    from robustmm.methods import build_method
    from robustmm.training.optimiser import optimiser_name

    assert optimiser_name(Train(), build_method("cal", {})) == "sgd"
    assert optimiser_name(Train(), build_method("mce", {})) == "adamw"
    with pytest.warns(UserWarning, match="cancels that"):
        assert optimiser_name(Train(optimiser="adamw"), build_method("cal", {})) == "adamw"
