"""`robustmm check`: exit codes and sentences, as a user meets them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import linear
from jsonschema import validate

ROOT = Path(__file__).parents[2]
Cli = Callable[..., Any]
DESCRIPTION = """\
classes = ["no", "yes"]
[output]
name = "logits"
[modality.wave]
kind = "audio"
rate = 1000
seconds = 0.05
{}
"""


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A model that listens to waves of 50 samples, padded at their end, and its own pipeline's predictions."""
    _, theirs = linear(tmp_path, {"wave": ("f", [None, 50])}, classes=2)
    rng = np.random.default_rng(0)
    lines, answers = ["id,split,label,wave"], ["id,prediction"]
    for i in range(40):
        wave = (0.3 * rng.normal(size=rng.integers(10, 50))).astype(np.float32)
        np.save(tmp_path / f"{i}.npy", wave)
        padded = np.pad(np.clip(wave, -1, 1), (0, 50 - len(wave)))
        answer = ["no", "yes"][int(theirs(padded[None])[0].argmax())]
        lines.append(f"w{i},test,{answer},{i}.npy")
        answers.append(f"w{i},{answer}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "p.csv").write_text("\n".join(answers) + "\n")
    (tmp_path / "right.toml").write_text(DESCRIPTION.format('pad = "end"'))
    (tmp_path / "wrong.toml").write_text(DESCRIPTION.format('pad = "centre"'))
    return tmp_path


def arguments(world: Path, description: str, *more: str) -> list[str]:
    return ["check", f"{world}/theirs.onnx", "--describe", f"{world}/{description}", "--data", str(world), *more]


def test_what_agrees_ends_with_0(world: Path, robustmm: Cli) -> None:
    found = robustmm(
        *arguments(world, "right.toml", "--expect", f"{world}/p.csv", "--expect-accuracy", "1.0", "--json")
    )
    assert found.code == 0, found.err
    result = json.loads(found.out)
    validate(result, json.loads((ROOT / "docs/schemas/check.schema.json").read_text()))
    assert (result["agreement"], result["agrees"], result["causes"]) == (1, True, [])


def test_padding_is_named(world: Path, robustmm: Cli) -> None:
    """What padded at the end is read from the middle: the example that gave 85 % for 94 %."""
    found = robustmm(*arguments(world, "wrong.toml", "--expect", f"{world}/p.csv"))
    assert found.code == 3
    assert 'wave: pad = "end"' in found.out
    assert found.err.strip().endswith('agrees with: wave: pad = "end"'), found.err
    assert "answers are another class (w" in found.err
    alone = robustmm(*arguments(world, "wrong.toml", "--expect-accuracy", "1"))
    assert alone.code == 3
    assert 'agrees with: wave: pad = "end"' in alone.err
    assert "agreement" in found.out
    assert "agreement" not in alone.out


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ([], "check needs what is expected: --expect PREDICTIONS.csv or --expect-accuracy NUMBER"),
        (["--expect-accuracy", "94.3"], "Input should be less than or equal to 1"),
        (["--expect", "none.csv"], "the predictions none.csv do not exist"),
        (["--expect", "right.toml"], "should end in .csv, .jsonl, .parquet"),
    ],
)
def test_misuse_is_a_sentence(
    more: list[str], sentence: str, world: Path, robustmm: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world)
    found = robustmm(*arguments(world, "right.toml", *more))
    assert found.code in (2, 3)
    assert sentence in found.err


def test_audit_and_attack_refuse_what_does_not_answer_as_expected(world: Path, robustmm: Cli) -> None:
    common = [f"{world}/theirs.onnx", "--data", str(world), "--expect", f"{world}/p.csv", "--expect-accuracy", "1"]
    wrong = [*common, "--describe", f"{world}/wrong.toml"]
    for command in (["attack", *wrong], ["audit", *wrong, "--suite", "quick", "--out", f"{world}/out"]):
        found = robustmm(*command, cwd=world)
        assert found.code == 3
        assert 'agrees with: wave: pad = "end"' in found.err
        assert found.out == ""
    assert not (world / "out").exists(), "nothing was measured"
    right = [*common, "--describe", f"{world}/right.toml", "--noise", "gaussian", "--level", "0.2"]
    found = robustmm("attack", *right, cwd=world)
    assert found.code == 0, found.err
    assert "the model answers as expected" in found.err
