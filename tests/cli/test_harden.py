"""`robustmm harden`, rightly used and misused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import onnx
import pytest
from bayes import write_world
from rewired import build_foreign

from robustmm.runs import Run
from robustmm.runtime.session import Session

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def hardened(world: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from robustmm.api.hardening import harden

    return harden(world.model, tmp_path_factory.mktemp("hardened") / "model.onnx").path


def test_the_judgement_and_the_file_are_shown(robustmm: Cli, world: Run, tmp_path: Path) -> None:
    shutil.copy(world.model, tmp_path / "model.onnx")
    data = world.read_facts()["manifest"]
    found = robustmm("harden", "model.onnx", "-o", "safe.onnx", "--data", data, cwd=tmp_path)
    assert found.code == 0
    flat = " ".join(found.out.split())
    assert "by families that the guard had not seen" in flat
    assert "vector mismatch" in flat
    assert "bit for bit" in flat
    assert flat.endswith("next: robustmm compare model.onnx safe.onnx")
    assert Session(tmp_path / "safe.onnx").is_hardened
    assert not [path for path in tmp_path.iterdir() if path.name not in ("model.onnx", "safe.onnx")]


def test_the_result_fits_its_schema(robustmm: Cli, world: Run, tmp_path: Path) -> None:
    found = robustmm("harden", world.model, "-o", tmp_path / "safe.onnx", "--clean-cost", "1", "--json")
    said = json.loads(found.out)
    schema = json.loads((Path(__file__).parents[2] / "docs" / "schemas" / "harden.schema.json").read_text())
    jsonschema.validate(said, schema)
    assert said["budget"] == 1
    assert said["clean_cost"] <= 1


def test_the_same_file_twice(robustmm: Cli, world: Run, tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        robustmm("harden", world.model, "-o", tmp_path / name)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_a_hardened_model_is_attacked_as_any_other(robustmm: Cli, world: Run, hardened: Path) -> None:
    found = robustmm(
        "attack", hardened, "--noise", "gaussian", "--level", "0.5", "--data", world.read_facts()["manifest"]
    )
    assert (found.code, "accuracy" in found.out) == (0, True)


def test_a_file_of_another_tool_is_hardened_and_compared(robustmm: Cli, tmp_path: Path) -> None:
    """The same bytes twice, and audited as any other."""
    world = write_world(tmp_path / "world", M=3, samples=480)
    plain, described = build_foreign("parts", world, tmp_path)
    told = ("--describe", described, "--data", world.manifest)
    for name in ("a.onnx", "b.onnx"):
        found = robustmm("harden", plain, *told, "-o", name, cwd=tmp_path)
        assert found.code == 0, found.err
        assert "mean and std from the 240 rows of split train" in found.err
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    found = robustmm("compare", plain, "a.onnx", *told, "--suite", "missing", cwd=tmp_path)
    assert found.code in (0, 1), found.err  # 120 samples decide little
    told = {
        name: json.loads(next(tmp_path.glob(f"audits/{name}-*/results.json")).read_text())["clean"]["modalities"]
        for name in ("theirs", "a")
    }
    assert all(each["dropped"] is None for each in told["theirs"])
    assert all(each["dropped"]["value"] < 0.2 for each in told["a"])


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["no.onnx"], 3, "the model no.onnx does not exist"),
        (["{model}", "-o", "{model}"], 2, "should be another than the plain one"),
        (["{model}", "-o", "safe.bin"], 2, "should end in .onnx, found safe.bin"),
        (["{model}", "-o", "no/safe.onnx"], 3, "no/safe.onnx cannot be written"),
        (["{model}", "--clean-cost", "nan"], 2, "Invalid value for '--clean-cost'"),
        (["{model}", "--clean-cost", "-1"], 2, "Invalid value for '--clean-cost'"),
        (["{hardened}", "--data", "test.csv"], 2, "is hardened already; harden the file that it was made from"),
        (["{model}", "--data", "test.csv"], 3, "should have a split train, to fit the guard to; found test"),
    ],
)
def test_misused(
    robustmm: Cli, world: Run, hardened: Path, tmp_path: Path, words: list[str], code: int, sentence: str
) -> None:
    (tmp_path / "test.csv").write_text("id,split,label,vector,series\na,test,ant,,\n")
    given = [word.format(model=world.model, hardened=hardened) for word in words]
    found = robustmm("harden", *given, cwd=tmp_path)
    assert found.code == code
    assert sentence in " ".join(found.err.split())
    assert not list(tmp_path.glob("**/*.onnx"))


def test_a_guard_that_fails_its_proof_leaves_no_file(
    robustmm: Cli, world: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from robustmm.guard.graph import decision

    def spoil(subject: Any, *given: Any) -> None:
        write(subject, *given)
        model = subject.model
        node = next(node for node in model.graph.node if node.output[0] == "logits")
        node.output[0] = "spoilt"
        model.graph.node.append(onnx.helper.make_node("Add", ["spoilt", "spoilt"], ["logits"]))

    write = decision.write_decision
    monkeypatch.setattr(decision, "write_decision", spoil)
    found = robustmm("harden", world.model, "-o", tmp_path / "safe.onnx")
    assert found.code == 4
    assert "bit for bit" in found.err
    assert not list(tmp_path.iterdir())


STAGES = (
    "guard.fitting.write_statistics",
    "guard.examples.corrupt_signal",  # in a thread
    "guard.reliability.softmax",  # called back by scipy
    "guard.judge.proportion",
    "guard.proof.prove",
    "guard.proof.check_not_numbers",  # the candidate is on disk
)


@pytest.mark.parametrize(("stage", "json"), [*((stage, []) for stage in STAGES), (STAGES[-1], ["--json"])])
def test_interrupted_in_any_stage_it_leaves_no_file(
    robustmm: Cli, world: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, json: list[str]
) -> None:
    def interrupt(*given: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"robustmm.{stage}", interrupt)
    (tmp_path / "safe.onnx").write_bytes(b"of yesterday")
    found = robustmm("harden", world.model, "-o", tmp_path / "safe.onnx", *json)
    assert (found.code, found.out) == (5, "")
    assert found.err.splitlines()[-1] == "error: interrupted before there was anything to keep"
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"of yesterday"]
