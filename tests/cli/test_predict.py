"""`robustmm predict`, rightly used and misused."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import worlds

from robustmm.cli.predict import parse_inputs
from robustmm.data.manifest import read_manifest
from robustmm.errors import UsageError
from robustmm.runs import Run
from robustmm.runtime.session import Session

Cli = Callable[..., Any]

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "predict.schema.json"


@pytest.fixture
def here(tmp_path: Path, world: Run, world_manifest: Path) -> Path:
    """A folder with runs/world-001 in it, exported, and one sample's files beside it."""
    shutil.copytree(world.folder, tmp_path / "runs" / "world-001")
    for name in ("vector", "series"):
        np.save(tmp_path / f"{name}.npy", np.load(world_manifest.parent / f"{name}.npy")[15])
    return tmp_path


def test_one_answer(robustmm: Cli, here: Path, world: Run, world_manifest: Path) -> None:
    result = robustmm("predict", "--vector", "vector.npy", "--series", "series.npy", cwd=here)
    assert result.code == 0
    assert result.err == "model: runs/world-001/model.onnx (the newest exported)\n"
    session = Session(world.model)
    inputs = {name: np.load(here / f"{name}.npy")[None] for name in session.names}
    p = session.predict(inputs, np.ones((1, 2), bool))[0]
    label = session.classes[int(p.argmax())]
    assert result.out.startswith(f"answer: {label}\n")
    assert f" {label}  " in result.out
    assert f"{100 * p.max():.1f} %" in result.out
    assert f"Modality contributions to the answer '{label}'" in " ".join(result.out.split())
    found = json.loads(robustmm("predict", "--vector=vector.npy", "--series=series.npy", "--json", cwd=here).out)
    jsonschema.validate(found, json.loads(SCHEMA.read_text()))
    assert {c["label"]: c["probability"] for c in found["classes"]} == pytest.approx(
        dict(zip(session.classes, p, strict=True)), abs=1e-5
    )
    assert found["classes"][0]["label"] == found["label"] == label
    gain = np.log(p.max()) - np.log(session.prior[p.argmax()])
    assert sum(m["shapley_log_probability"] for m in found["modalities"]) == pytest.approx(gain, abs=1e-4)
    assert read_manifest(world_manifest).ids[15] == "s015"


@pytest.mark.parametrize(("given", "missing"), [("vector", "series"), ("series", "vector")])
def test_what_is_left_out_is_missing_and_contributes_nothing(
    robustmm: Cli, here: Path, world: Run, given: str, missing: str
) -> None:
    words = ["predict", "runs/world-001/model.onnx", f"--{given}", f"{given}.npy"]
    result = robustmm(*words, cwd=here)
    assert result.code == 0
    assert result.err == "model: runs/world-001/model.onnx\n"
    line = next(line for line in result.out.splitlines() if line.startswith(f" {missing} "))
    assert line.split()[1:] == ["missing", "+0.00", "0", "%"]
    result = robustmm(*words, "--json", cwd=here)
    jsonschema.validate(json.loads(result.out), json.loads(SCHEMA.read_text()))
    by_name = {m["name"]: m for m in json.loads(result.out)["modalities"]}
    nothing = {"present": False, "shapley_log_probability": 0, "share": 0, "unimodal_label": ""}
    assert by_name[missing] == {"name": missing, **nothing}
    assert by_name[given]["present"] is True
    assert by_name[given]["unimodal_label"] == json.loads(result.out)["label"]


def test_options_may_stand_anywhere(robustmm: Cli, here: Path) -> None:
    json_first = robustmm("predict", "--json", "--runs", "runs", "--vector", "vector.npy", cwd=here)
    between = robustmm("predict", "runs/world-001/model.onnx", "--vector", "vector.npy", "--json", cwd=here)
    assert json.loads(json_first.out) == json.loads(between.out)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ([], 2, "at least one of --vector, --series should be given"),
        (["runs/world-001/model.onnx"], 2, "at least one of --vector, --series should be given"),
        (["--vectr", "vector.npy"], 2, 'the model has no modality "vectr", did you mean "vector"?'),
        (["--[/red]", "vector.npy"], 2, 'the model has no modality "[/red]"'),
        (["--vector"], 2, "--vector should be followed by a file (or text), found nothing"),
        (["--vector", ""], 2, "--vector should be followed by a file (or text), found nothing"),
        (["--vector="], 2, "--vector should be followed by a file (or text), found nothing"),
        (
            ["--vector", "--series", "series.npy"],
            2,
            '--vector should be followed by a file (or text), found "--series"',
        ),
        (["--vector", "vector.npy", "--vector=vector.npy"], 2, "--vector is given twice"),
        (["--vector", "vector.npy", "series.npy"], 2, 'should be given as --MODALITY FILE, found "series.npy"'),
        (["--vector", "vector.npy", "-s", "series.npy"], 2, 'should be given as --MODALITY FILE, found "-s"'),
        (["--vector", "no.npy"], 3, "--vector: no.npy does not exist"),
        (["--vector", "[/red]é 🎈.npy"], 3, "--vector: [/red]é 🎈.npy does not exist"),
        (["--vector", "-hop.npy"], 3, "--vector: -hop.npy does not exist"),
        (["--vector", "."], 3, "--vector: . is not a readable .npy array"),
        (["--vector", "series.npy"], 3, "--vector: series.npy should be a vector of 5 numbers, found shape (12, 2)"),
        (["--vector", "n" * 5000], 3, "--vector: nnn"),
        (["--vector", "text.npy"], 3, "--vector: text.npy is not a readable .npy array"),
        (["no.onnx", "--vector", "vector.npy"], 3, "the model no.onnx does not exist"),
        (["text.npy", "--vector", "vector.npy"], 3, "text.npy is not a readable ONNX model"),
        (["--vector", "vector.npy", "--runs", "no"], 2, "there should be an exported model in no/, found none"),
    ],
)
def test_misused(robustmm: Cli, here: Path, words: list[str], code: int, sentence: str) -> None:
    (here / "text.npy").write_text("no array")
    result = robustmm("predict", *words, cwd=here)
    assert (result.code, result.out) == (code, "")
    (error,) = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert sentence in error


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_an_output_that_cannot_be_written(here: Path) -> None:
    """The little that an answer is lies in a buffer until the end, where Python would object in its own words."""
    command = [sys.executable, "-m", "robustmm", "predict", "--vector", "vector.npy", "--json"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, cwd=here, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert done.returncode == 3
    assert done.stderr.splitlines()[1:] == ["error: the result could not be printed: No space left on device"]


def test_words_become_cells() -> None:
    assert parse_inputs(["--text", "-oh", "--image=a=b.png"]) == {"text": "-oh", "image": "a=b.png"}
    assert parse_inputs(["--text=--quite a text"]) == {"text": "--quite a text"}
    for wrong in (["--"], ["-x", "y"], ["a.png"]):
        with pytest.raises(UsageError, match="inputs should be given as --MODALITY FILE"):
            parse_inputs(wrong)


@pytest.fixture
def shadowed(tmp_path: Path) -> Path:
    """A run over `worlds.manifest` whose inputs are called like options of the command."""
    import robustmm as rm
    from robustmm.config.toml import to_toml

    path = worlds.manifest(tmp_path / "data")
    path.write_text(path.read_text().replace("vector,series", "json,runs", 1))
    content: Any = worlds.tables(path)
    content["modality"] = dict(zip(("json", "runs"), content["modality"].values(), strict=True))
    content["train"] = {"epochs": 1}
    (tmp_path / "odd.toml").write_text(to_toml(content))
    return rm.export(rm.train(tmp_path / "odd.toml", runs=tmp_path / "runs")).path


def test_inputs_called_like_options(robustmm: Cli, shadowed: Path, tmp_path: Path) -> None:
    for name in ("vector", "series"):
        np.save(tmp_path / f"{name}.npy", np.load(tmp_path / "data" / f"{name}.npy")[15])
    done = robustmm("predict", shadowed, "--runs", "series.npy", "--", "--json", "vector.npy", cwd=tmp_path)
    assert done.code == 2
    assert "--runs is an option of predict, and the model has an input called so; give the input after --" in done.err
    done = robustmm("predict", shadowed, "--json", "--", "--runs", "series.npy", cwd=tmp_path)
    assert done.code == 2
    assert "robustmm predict MODEL -- --json FILE" in done.err
    done = robustmm("predict", shadowed, "--json", "vector.npy", cwd=tmp_path)
    assert done.code == 2
    assert "an input called json, runs or help is given after --" in done.err
    done = robustmm("predict", shadowed, "--json", "--", "--json", "vector.npy", "--runs", "series.npy", cwd=tmp_path)
    assert done.code == 0
    assert all(one["present"] for one in json.loads(done.out)["modalities"])
    done = robustmm("predict", "--", "--runs=series.npy", cwd=tmp_path)
    assert done.code == 0
    assert done.out.startswith("answer: ")
