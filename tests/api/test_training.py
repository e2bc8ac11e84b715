"""`train`, `resume` and `export`: what the command line makes, from a notebook."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas
import pyarrow
import pytest

import robustmm as rm
from robustmm.api import training
from robustmm.errors import DataError, InterruptedRun, ParityError, UsageError
from robustmm.exporting import export, parity
from robustmm.exporting.parity import Tolerance
from robustmm.runs import Run


@pytest.fixture
def traced(world: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracing takes seconds: the graph is that of `world`."""

    def graph(*_: object) -> onnx.ModelProto:
        found = onnx.load(str(world.model))
        del found.metadata_props[:]
        return found

    monkeypatch.setattr(export, "trace_graph", graph)


def test_the_same_weights_as_the_command_line(here: Path, command: Any) -> None:
    told = command("train", "tiny.toml", "--method", "joint", "--epochs", "1", "--seed", "3", "--set",
                   "train.batch=32", "--missing", "series=0.25")  # fmt: skip
    run = rm.train("tiny.toml", method="joint", epochs=1, seed=3, set={"train.batch": 32}, missing={"series": 0.25})
    assert run.folder != Path(told["run"])
    assert run.weights.read_bytes() == Run(Path(told["run"])).weights.read_bytes()
    assert {**run.result().model_dump(mode="json"), "run": ""} == {**told, "run": ""}
    facts = run.read_facts()["recipe"]
    assert (facts["train"]["batch"], facts["train"]["seed"], facts["data"]["missing"]) == (32, 3, {"series": 0.25})


def test_every_way_to_say_the_same(here: Path) -> None:
    plain = rm.train("tiny.toml", epochs=1, set={"train.batch": 32}, missing=0.25)
    for recipe, options in (
        (Path("tiny.toml"), {"set": ["train.batch=32"], "missing": ["0.25"]}),
        (here / "tiny.toml", {"set": {"train": {"batch": np.int64(32)}}, "missing": {"vector": 0.25, "series": 0.25}}),
    ):
        run = rm.train(recipe, epochs=1, runs=here / "other", **options)
        assert run.folder.parent == here / "other"
        assert run.weights.read_bytes() == plain.weights.read_bytes()


def test_the_log_is_arrays(here: Path) -> None:
    run = rm.train("tiny.toml", method="joint")
    log = run.log()
    assert log["epoch"].tolist() == [1, 2]
    assert all(column.dtype == np.float64 and column.shape == (2,) for column in log.values())
    result = run.result()
    assert result.valid["valid_accuracy"] == pytest.approx(log["valid_accuracy"][result.kept_epoch - 1], abs=1e-5)
    assert (result.method, result.epochs, result.run) == ("joint", 2, str(run.folder))
    run.log_file.write_text("epoch,fused\n1,high\n")
    with pytest.raises(DataError, match=r"log.csv is not the log of a run"):
        run.log()


@pytest.mark.parametrize("kind", ["pandas", "pyarrow"])
def test_a_table_trains_as_its_file_does_and_is_found_from_anywhere(
    here: Path, data: Path, frame: pandas.DataFrame, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = rm.train("tiny.toml", epochs=1, data=str(data), runs=here / "other")
    table = frame if kind == "pandas" else pyarrow.Table.from_pandas(frame)
    monkeypatch.chdir(data)
    run = rm.train(here / "tiny.toml", epochs=1, data=table, runs=here / "runs")
    assert run.weights.read_bytes() == expected.weights.read_bytes()
    monkeypatch.chdir(here)
    assert Path(run.read_facts()["manifest"]).parent == here / "runs" / "tables"
    shutil.copy("runs/world-001/model.onnx", run.model)
    found = rm.attack(run.model, limit=9)
    assert (found.samples, found.manifest) == (9, run.read_facts()["manifest"])


class Stop:
    """A watcher that presses Ctrl-C after the first epoch."""

    def note(self, text: str) -> None: ...

    def begin(self, title: str, epochs: int, done: int, steps: int) -> None: ...

    def step(self, count: int = 1) -> None: ...

    def epoch(self, row: object) -> None:
        raise KeyboardInterrupt


def test_what_was_interrupted_is_resumed(here: Path) -> None:
    whole = rm.train("tiny.toml", runs="whole")
    with pytest.raises(InterruptedRun, match="every whole epoch is kept"):
        rm.train("tiny.toml", runs="cut", progress=Stop())
    (folder,) = (here / "cut").iterdir()
    assert not Run(folder).is_finished
    with pytest.raises(UsageError, match="has not finished training"):
        rm.export(folder)
    run = rm.resume(runs="cut")
    assert run.folder == Path("cut") / folder.name
    assert run.weights.read_bytes() == whole.weights.read_bytes()
    for again in (run, run.folder, str(run.folder)):
        with pytest.raises(UsageError, match="has finished"):
            rm.resume(again)
    with pytest.raises(UsageError, match="there should be an unfinished run"):
        rm.resume(runs="cut")


def test_progress_is_silent_or_on_stderr(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run = rm.train("tiny.toml", epochs=1)
    assert capfd.readouterr() == ("", "")
    rm.train("tiny.toml", epochs=1, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "training tiny (tiny.toml) with cal+mce on" in err
    assert "epoch 1" in err
    assert run.is_finished


def test_hooks_are_told_of_every_epoch(here: Path, listener: Any) -> None:
    run = rm.train("tiny.toml", method="joint", progress=listener)
    assert [row["epoch"] for row in listener.epochs] == [1, 2]
    np.testing.assert_allclose([row["fused"] for row in listener.epochs], run.log()["fused"], rtol=1e-5)
    assert listener.stages == [("reading", 1), ("training", 2)]
    assert listener.steps > 0


def test_an_export_stands_for_its_path(here: Path, traced: None, capfd: pytest.CaptureFixture[str]) -> None:
    (here / "runs/world-001/model.onnx").unlink()
    model = rm.export()
    assert capfd.readouterr() == ("", "")
    assert os.fspath(model) == str(Path(model)) == "runs/world-001/model.onnx"
    assert model.path.stat().st_size == model.proof.size
    assert model.proof.parity_error() is None
    assert rm.load(model).names == ["vector", "series"]
    assert rm.attack(model, limit=6).model == rm.attack(str(model.path), limit=6).model
    named = rm.export("runs/world-001", "my.onnx")
    assert named.path == Path("my.onnx")
    small = rm.export(Run(Path("runs/world-001")), precision="int8")
    assert (small.path.name, small.proof.precision) == ("model.int8.onnx", "int8")


def test_the_proof_is_the_command_lines(here: Path, traced: None, command: Any) -> None:
    model = rm.export("runs/world-001", "a.onnx")
    assert model.proof.model_dump(mode="json") == command("export", "runs/world-001", "-o", "b.onnx")
    assert Path("a.onnx").read_bytes() == Path("b.onnx").read_bytes()


def test_a_failed_proof_comes_with_the_error(here: Path, traced: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(parity.TOLERANCES, "fp32", Tolerance(0.0, 0.0, 1.0, 0.0))
    with pytest.raises(ParityError, match="no file is left") as failed:
        rm.export("runs/world-001", "a.onnx")
    proof = failed.value.proof
    assert isinstance(proof, parity.Proof)
    assert not all(row["holds"] for row in proof.rows())
    assert not Path("a.onnx").exists()


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"recipe": "tny.toml"}, UsageError, r"tny.toml does not exist"),
        ({"recipe": "digts"}, UsageError, 'did you mean "digits"'),
        ({"method": "jont"}, UsageError, 'did you mean "joint"'),
        ({"set": {"train.bach": 3}}, UsageError, 'did you mean "batch"'),
        ({"set": {"train.batch": object()}}, UsageError, "train.batch should be text, a number"),
        ({"set": {"train.batch": None}}, UsageError, "train.batch should be text, a number"),
        ({"epochs": 0}, UsageError, "epochs"),
        ({"missing": {"serie": 0.5}}, UsageError, 'did you mean "series"'),
        ({"missing": 2}, UsageError, r"with a rate in \[0, 1\]"),
        ({"data": "no.csv"}, DataError, "no.csv does not exist"),
        ({"data": [1, 2]}, UsageError, "data should be a path or a table"),
        ({"on_bad_input": "skip"}, UsageError, "on_bad_input should be one of error, missing"),
    ],
)
def test_training_misused(here: Path, options: dict[str, Any], error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        rm.train(**{"recipe": "tiny.toml", "runs": "new", **options})
    assert not list((here / "new").glob("*/run.json")), "no run was begun"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"run": "data"}, "data is not a run"),
        ({"path": "model"}, "should end in .onnx"),
        ({"path": "no/model.onnx"}, "no/model.onnx cannot be written: No such file or directory"),
        ({"precision": "fp8"}, "precision should be one of fp32, fp16, int8"),
        ({"runs": "no"}, "there should be a finished run in no/"),
    ],
)
def test_exporting_misused(here: Path, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError if "written" in sentence else UsageError, match=sentence):
        rm.export(**options)


def test_without_torch_a_sentence_says_what_to_install(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "find_spec", lambda name: None)
    for call in (rm.train, rm.resume, rm.export):
        with pytest.raises(UsageError, match=r"pip install 'robustmm\[train\]'"):
            call()
