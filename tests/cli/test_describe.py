"""`robustmm describe`, and `robustmm attack --describe`, rightly used and misused."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

Cli = Callable[..., Any]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with a classifier of other tools and a manifest for it."""
    from skl2onnx import to_onnx

    rng = np.random.default_rng(0)
    target = rng.integers(2, size=60)
    x = (rng.normal(size=(60, 4)) + target[:, None]).astype(np.float32)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, np.array(["no", "yes"])[target])
    onnx.save(to_onnx(pipeline, x[:1]), tmp_path / "theirs.onnx")
    np.save(tmp_path / "x.npy", x)
    lines = [f"s{i},test,{['no', 'yes'][target[i]]},x.npy#{i}" for i in range(60)]
    (tmp_path / "manifest.csv").write_text("\n".join(["id,split,label,X", *lines]))
    right = (pipeline.predict(x) == np.array(["no", "yes"])[target]).mean()
    (tmp_path / "accuracy.json").write_text(json.dumps(right))
    return tmp_path


def test_from_a_file_to_an_attack(robustmm: Cli, here: Path) -> None:
    result = robustmm("describe", "theirs.onnx", "-o", "model.toml", cwd=here)
    assert (result.code, result.out) == (0, "model.toml\n")
    assert "1 line to check; then: robustmm audit theirs.onnx --describe model.toml --data MANIFEST" in result.err
    assert tomllib.loads((here / "model.toml").read_text())["classes"] == ["no", "yes"]
    words = ["attack", "theirs.onnx", "--describe", "model.toml", "--data", "manifest.csv", "--missing", "X=0.5"]
    result = robustmm(*words, "--noise", "gaussian", "--level", "0.2", "--json", cwd=here)
    assert result.code == 0
    found = json.loads(result.out)
    assert found["method"] == "foreign"
    assert found["clean"]["accuracy"]["value"] == pytest.approx(
        json.loads((here / "accuracy.json").read_text()), rel=1e-5
    )
    assert robustmm(*words, cwd=here).code == 0


def test_without_a_file_to_write_it_is_printed(robustmm: Cli, here: Path) -> None:
    result = robustmm("describe", "theirs.onnx", cwd=here)
    assert result.code == 0
    assert tomllib.loads(result.out)["modality"]["X"]["length"] == 4
    assert sorted(path.name for path in here.glob("*.toml")) == []


def test_a_description_is_never_overwritten(robustmm: Cli, here: Path) -> None:
    (here / "model.toml").write_text("mine")
    result = robustmm("describe", "theirs.onnx", "-o", "model.toml", cwd=here)
    assert (result.code, result.out) == (2, "")
    assert "model.toml exists already and is left as it is" in result.err
    assert (here / "model.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["describe"], 2, "Missing argument 'model'"),
        (["describe", "none.onnx"], 3, "the model none.onnx does not exist"),
        (["describe", "manifest.csv"], 3, "manifest.csv is not"),
        (["describe", "theirs.onnx", "-o", "model.txt"], 2, "the description's name should end in .toml"),
        (["describe", "theirs.onnx", "-o", "no/model.toml"], 2, "the description cannot be written"),
        (["attack", "theirs.onnx"], 3, "robustmm describe theirs.onnx -o model.toml"),
        (["attack", "theirs.onnx", "--describe", "none.toml"], 2, "none.toml cannot be read"),
        (
            ["attack", "theirs.onnx", "--describe", "wrong.toml"],
            2,
            "wrong.toml:7: [output] name: the graph has no output",
        ),
        (["attack", "theirs.onnx", "--describe", "right.toml"], 2, "its data is not known; give --data MANIFEST"),
        (
            ["attack", "theirs.onnx", "--describe", "right.toml", "--data", "other.csv"],
            3,
            'other.csv has no column "X"',
        ),
    ],
)
def test_misuse(robustmm: Cli, here: Path, words: list[str], code: int, sentence: str) -> None:
    text = robustmm("describe", "theirs.onnx", cwd=here).out
    (here / "right.toml").write_text(text)
    (here / "wrong.toml").write_text(text.replace('name = "', 'name = "no'))
    (here / "other.csv").write_text("id,split,label,Y\na,test,no,x.npy#0\n")
    result = robustmm(*words, cwd=here)
    assert (result.code, result.out) == (code, "")
    assert sentence in " ".join(result.err.split())
