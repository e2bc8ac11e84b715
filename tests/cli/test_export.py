"""`robustmm export`, rightly used and misused. Tracing takes seconds: the graph is that of `world`."""

import errno
import json
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import onnx
import pytest

from robustmm.exporting import export, parity
from robustmm.exporting.parity import Tolerance
from robustmm.runs import Run
from robustmm.runtime.session import Session

Cli = Callable[..., Any]


@pytest.fixture
def here(tmp_path: Path, world: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with runs/world-001 in it, finished and not yet exported."""
    shutil.copytree(world.folder, tmp_path / "runs" / "world-001")
    (tmp_path / "runs/world-001/model.onnx").unlink()

    def traced(*_: object) -> onnx.ModelProto:
        graph = onnx.load(str(world.model))
        del graph.metadata_props[:]
        return graph

    monkeypatch.setattr(export, "trace_graph", traced)
    return tmp_path


@pytest.fixture
def run(here: Path) -> Run:
    return Run(here / "runs" / "world-001")


def test_the_proof_and_the_file_are_shown(robustmm: Cli, here: Path, run: Run) -> None:
    result = robustmm("export", cwd=here)
    assert result.code == 0
    assert result.err == "exporting runs/world-001 (the newest finished run)\n"
    lines = result.out.splitlines()
    flat = " ".join(result.out.split())
    assert flat.startswith("Proof of parity, fp32: torch against onnxruntime, probabilities on valid samples inputs")
    held = [line for line in lines if line.endswith(" holds ")]
    assert len(held) == 3 * (len(parity.BATCHES) + 1)
    for what in ("complete", "complete, cut", "without vector, cut", "without series, cut"):
        assert any(line.startswith(f" {what}  ") for line in held)
    assert "tolerance: max 0.0001, p99 1e-05, same decisions 100%, accuracy −0 points" in flat
    assert "(+0.0 points)" in result.out
    assert f"runs/world-001/model.onnx, {run.model.stat().st_size / 1e6:.2f} MB" in lines
    assert lines[-1] == "next: robustmm attack --noise gaussian --level 0.5"


@pytest.mark.parametrize(("words", "name"), [([], "model"), (["--int8"], "model.int8")])
def test_calibrated(robustmm: Cli, here: Path, run: Run, words: list[str], name: str) -> None:
    result = robustmm("export", "--calibrate", *words, cwd=here)
    assert result.code == 0
    assert "Calibration on valid samples held out" in result.out
    assert " without vector " in result.out.partition("Calibration")[2]
    assert "times" in result.out
    assert (run.folder / f"{name}.calibrated.onnx").is_file()
    assert not run.model.exists(), "the plain file's name is not taken"
    told = json.loads(robustmm("export", "--calibrate", *words, "--json", cwd=here).out)
    jsonschema.validate(told, json.loads((Path(__file__).parents[2] / "docs/schemas/export.schema.json").read_text()))
    assert told["calibration"]["factors"].keys() == {"vector", "series"}


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_smaller_files(robustmm: Cli, here: Path, run: Run, precision: str) -> None:
    result = robustmm("export", f"--{precision}", cwd=here)
    assert result.code == 0
    assert f"Proof of parity, {precision}" in result.out
    assert Session(run.folder / f"model.{precision}.onnx").facts["precision"] == precision
    assert not run.model.exists()
    assert f"next: robustmm attack runs/world-001/model.{precision}.onnx --noise" in result.out


def test_a_named_run_and_a_hostile_output(robustmm: Cli, here: Path, world_manifest: Path) -> None:
    (here / "[red]my é 🎈").mkdir()
    result = robustmm("export", "runs/world-001", "-o", "[red]my é 🎈/[bold]x.onnx", cwd=here)
    assert result.code == 0
    assert result.err == "exporting runs/world-001\n"
    assert "[red]my é 🎈/[bold]x.onnx, 0." in result.out
    command = shlex.split(result.out.splitlines()[-1].removeprefix("next: "))[1:]
    assert command[:2] == ["attack", "[red]my é 🎈/[bold]x.onnx"]
    assert robustmm(*command, "--data", world_manifest, cwd=here).code == 0


def test_a_file_that_fails_its_proof_is_shown_and_not_left(
    robustmm: Cli, here: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.model.write_bytes(b"an older proven file")
    before = set(run.folder.iterdir())
    monkeypatch.setitem(parity.TOLERANCES, "fp32", Tolerance(0.0, 0.0, 1.0, 0.0))
    result = robustmm("export", cwd=here)
    assert result.code == 4
    assert "FAILS" in result.out
    assert "tolerance: max 0," in result.out
    assert "next:" not in result.out
    assert "MB" not in result.out
    (error,) = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert "the fp32 file should answer as the trained model does (largest difference 0, agreement 100%)" in error
    assert error.endswith("no file is left")
    assert set(run.folder.iterdir()) == before
    assert run.model.read_bytes() == b"an older proven file"


def test_accuracy_lost_is_a_failure_too(robustmm: Cli, here: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(parity.TOLERANCES, "fp16", Tolerance(1.0, 1.0, 0.0, -0.5))
    result = robustmm("export", "--fp16", cwd=here)
    assert result.code == 4
    assert "should lose at most -50 points of valid accuracy" in result.err
    assert not list(run.folder.glob("*.onnx"))


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--fp16", "--int8"], 2, "one of --fp16 and --int8 should be given, found both"),
        (["-o", "model.onx"], 2, "the exported file should end in .onnx, found model.onx"),
        (["-o", "model"], 2, "the exported file should end in .onnx, found model"),
        (["-o", ""], 2, "the exported file should end in .onnx"),
        (["-o", "no/model.onnx"], 3, "no/model.onnx cannot be written: No such file or directory"),
        (["-o", "folder.onnx"], 3, "folder.onnx cannot be written: Is a directory"),
        (["runs"], 2, "runs is not a run: it has no readable run.json"),
        (["runs/world-002"], 2, "runs/world-002 is not a run"),
        (["runs/world-001/run.json"], 2, "runs/world-001/run.json is not a run"),
        (["--runs", "no"], 2, "there should be a finished run in no/, found none; start with: robustmm train"),
        (["runs/world-001", "more"], 2, "Got unexpected extra argument"),
        (["--fp8"], 2, "No such option: --fp8"),
    ],
)
def test_misused(robustmm: Cli, here: Path, words: list[str], code: int, sentence: str) -> None:
    (here / "folder.onnx").mkdir()
    result = robustmm("export", *words, cwd=here)
    assert (result.code, result.out) == (code, "")
    (error,) = result.err.splitlines()
    assert sentence in error


def test_a_run_that_has_not_finished(robustmm: Cli, here: Path, run: Run) -> None:
    run.update_facts(finished=False)
    assert "there should be a finished run in runs/, found none" in robustmm("export", cwd=here).err
    result = robustmm("export", "runs/world-001", cwd=here)
    assert result.code == 2
    assert result.err == (
        "error: runs/world-001 has not finished training; continue it with: robustmm train --resume runs/world-001\n"
    )


def test_the_newest_finished_run_is_taken(robustmm: Cli, here: Path, run: Run) -> None:
    for number, finished in ((2, True), (3, False)):
        other = Run(Path(shutil.copytree(run.folder, run.folder.with_name(f"world-00{number}"))))
        other.update_facts(started=run.read_facts()["started"] + number, finished=finished)
    assert robustmm("export", cwd=here).err == "exporting runs/world-002 (the newest finished run)\n"


def test_a_run_that_is_damaged(robustmm: Cli, here: Path, run: Run) -> None:
    whole = run.weights.read_bytes()
    run.weights.write_bytes(whole[: len(whole) // 2])
    result = robustmm("export", cwd=here)
    assert (result.code, result.out) == (3, "")
    assert "model.safetensors is not a readable checkpoint" in result.err
    run.weights.unlink()
    assert robustmm("export", cwd=here).code == 3
    run.weights.write_bytes(whole)
    facts = run.read_facts()
    run.update_facts(recipe={**facts["recipe"], "model": {**facts["recipe"]["model"], "width": 4}})
    result = robustmm("export", cwd=here)
    assert result.code == 3
    assert "the weights do not fit the model its recipe describes" in result.err
    (run.folder / "run.json").write_text("{")
    result = robustmm("export", cwd=here)
    assert result.code == 3
    assert "runs/world-001/run.json is damaged: it is not JSON" in result.err


def test_data_that_vanished(robustmm: Cli, here: Path, run: Run) -> None:
    run.update_facts(manifest=str(here / "[/red] gone.csv"))
    result = robustmm("export", cwd=here)
    assert (result.code, result.out) == (3, "")
    assert f"the manifest {here}/[/red] gone.csv does not exist" in result.err
    assert not run.model.exists()


def test_a_full_disk_leaves_nothing(robustmm: Cli, here: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(run.folder.iterdir())

    def fsync(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    result = robustmm("export", cwd=here)
    assert (result.code, result.out) == (3, "")
    assert result.err.endswith("error: runs/world-001/model.onnx cannot be written: No space left on device\n")
    assert set(run.folder.iterdir()) == before


def test_being_stopped_leaves_nothing(robustmm: Cli, here: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(run.folder.iterdir())

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "prove_parity", stopped)
    assert robustmm("export", cwd=here).code == 5
    assert set(run.folder.iterdir()) == before


def test_the_file_does_not_tell_where_its_data_lay(robustmm: Cli, here: Path, run: Run) -> None:
    manifest = run.read_facts()["manifest"]
    assert run.read_facts()["recipe"]["data"]["manifest"] == manifest
    assert robustmm("export", cwd=here).code == 0
    facts = Session(run.model).facts
    assert facts["recipe"]["data"]["manifest"] == "manifest.csv"
    assert str(Path(manifest).parent) not in json.dumps(facts)


def test_json_is_the_proof_and_nothing_else(robustmm: Callable[..., Any], world: Run, tmp_path: Path) -> None:
    done = robustmm("export", world.folder, "--output", tmp_path / "m.onnx", "--json")
    assert done.code == 0
    found = json.loads(done.out)
    schema = json.loads((Path(__file__).parents[2] / "docs/schemas/export.schema.json").read_text())
    jsonschema.validate(found, schema)
    assert found["torch_accuracy"] == found["onnx_accuracy"]
    assert (tmp_path / "m.onnx").is_file()
