"""`robustmm compare`, rightly used and misused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from audits import forget
from compared import flipped, write_audit, write_result

import robustmm as rm
from robustmm.errors import UsageError
from robustmm.runs import Run
from robustmm.runtime.session import Session

Cli = Callable[..., Any]

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "compare.schema.json"
SHORT = '[[grid]]\nkind = ["series"]\nlevel = [0.5, 1.0]\nnoise = ["gaussian"]\n'
BEFORE = np.arange(400) % 10 != 0


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Audits: `same`, `worse` and `open` against `first`, and one of another split."""
    for name, lost in (("first", 0), ("same", 0), ("worse", 40), ("open", 6)):
        write_audit(tmp_path / name, {"clean": BEFORE, "noise": flipped(BEFORE, lost)})
    write_audit(tmp_path / "valid", {"clean": BEFORE, "noise": BEFORE}, split="valid", data_sha256="e")
    return tmp_path


@pytest.fixture
def models(tmp_path: Path, world: Run) -> Path:
    """A folder with a model, a copy that answers the same, and a short suite."""
    forget()
    for name in ("one.onnx", "two.onnx"):
        shutil.copy(world.model, tmp_path / name)
    (tmp_path / "short.toml").write_text(SHORT)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "code", "first"),
    [
        (["first", "same"], 0, "PASS: same.onnx is not worse"),
        (["first", "worse"], 1, "FAIL: worse.onnx is worse"),
        (["worse", "first"], 0, "PASS: first.onnx is not worse"),
        (["first", "worse", "--margin", "0.2"], 0, "PASS: worse.onnx is not worse"),
        (["first", "worse", "--allow-inconclusive"], 1, "FAIL: worse.onnx is worse"),
        (["first", "open"], 1, "INCONCLUSIVE: open.onnx may be worse"),
        (["first", "open", "--allow-inconclusive"], 0, "INCONCLUSIVE: open.onnx may be worse"),
        (["first", "same", "worse", "--full"], 1, "PASS: same.onnx is not worse"),
    ],
)
def test_the_report_comes_first_and_the_exit_code_last(
    robustmm: Cli, here: Path, words: list[str], code: int, first: str
) -> None:
    result = robustmm("compare", *words, cwd=here)
    assert result.code == code
    assert result.out.startswith(first)
    assert "Accuracy by condition" in result.out
    assert "error" not in result.err


def test_the_json_obeys_its_schema_and_is_what_python_gives(
    robustmm: Cli, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = robustmm("compare", "first", "worse", "open", "--json", cwd=here)
    assert result.code == 1
    found = json.loads(result.out)
    jsonschema.validate(found, json.loads(SCHEMA.read_text()))
    assert found["margin"] == 0.02
    assert [one["verdict"] for one in found["candidates"]] == ["FAIL", "INCONCLUSIVE"]
    monkeypatch.chdir(here)
    again = rm.compare("first", Path("worse"), "open")
    assert again.model_dump(mode="json") == found
    assert robustmm("compare", "first", "worse", "open", "--json", cwd=here).out == result.out


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ([], 2, "Missing argument"),
        (["first"], 2, "there should be a reference and 1 to 25 candidates, found 1 in all"),
        (["first"] * 27, 2, "found 27 in all"),
        (["first", "first"], 2, "first is given twice: an audit cannot be compared with itself"),
        (["first", "./first/../first"], 2, "is given twice"),
        (["first", "valid"], 3, "valid cannot be compared with first, sample by sample: they have split test against"),
        (["first", "empty"], 3, "empty is not the folder of a finished audit: it has no results.json"),
        (["first", "none"], 3, "none should be the folder of a finished audit or an .onnx file, found nothing"),
        (["first", "[/red]"], 3, "[/red] should be the folder of a finished audit"),
        (["first", "first/results.json"], 3, "should be the folder of an audit, did you mean first?"),
        (["old", "first"], 3, "results.json has format 3, expected 4"),
        (["first", "cut"], 3, "records.parquet cannot be read as the records of an audit"),
        (["first", "same", "--margin", "2"], 2, "Invalid value for '--margin'"),
        (["first", "same", "--margin", "nan"], 2, "Invalid value for '--margin'"),
        (["first", "same", "--suite", "quick"], 2, "suite is for models that are to be audited, and all of these are"),
        (["first", "same", "--cluster", "site"], 2, "cluster is for models that are to be audited"),
        (["first", "same", "--html", "none/page.html"], 3, "none/page.html cannot be written: "),
        (["first", "same", "--html", "empty"], 3, "empty cannot be written: "),
        (["first", "none.onnx"], 2, 'the finished audit ran the suite "s", which is none of robustmm\'s own; name its'),
        (["first", "none.onnx", "--suite", "quick"], 3, "the model none.onnx does not exist"),
    ],
)
def test_misused(robustmm: Cli, here: Path, words: list[str], code: int, sentence: str) -> None:
    (here / "empty").mkdir()
    shutil.copytree(here / "first", here / "old")
    (here / "old" / "results.json").write_text('{"format": 3}')
    shutil.copytree(here / "first", here / "cut")
    (here / "cut" / "records.parquet").write_bytes((here / "first" / "records.parquet").read_bytes()[:-9])
    result = robustmm("compare", *words, cwd=here)
    assert (result.code, result.out) == (code, "")
    (error,) = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert sentence in error


def test_a_model_that_stands_alone_has_the_first_models_data(robustmm: Cli, tmp_path: Path, world: Run) -> None:
    forget()
    shutil.copytree(world.folder, tmp_path / "runs" / "world-001")
    shutil.copy(world.model, tmp_path / "alone.onnx")
    (tmp_path / "short.toml").write_text(SHORT)
    words = ["runs/world-001/model.onnx", "alone.onnx", "--suite", "short.toml", "--limit", "20", "--json"]
    result = robustmm("compare", *words, cwd=tmp_path)
    assert (result.code, json.loads(result.out)["samples"]) == (1, 20)


def test_the_page_is_written_whatever_the_verdict(robustmm: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = robustmm("compare", "first", "worse", cwd=here)
    result = robustmm("compare", "first", "worse", "--html", "page.html", cwd=here)
    assert (result.code, result.out) == (plain.code, plain.out)
    page = (here / "page.html").read_bytes()
    assert b"worse.onnx is worse" in page
    assert page.endswith(b"</html>\n")
    monkeypatch.chdir(here)
    rm.compare("first", "worse", html="again.html")
    assert (here / "again.html").read_bytes() == page


def test_misused_from_python(here: Path) -> None:
    with pytest.raises(UsageError, match="margin should be in"):
        rm.compare(here / "first", here / "same", margin=5)
    with pytest.raises(UsageError, match="found None"):
        rm.compare(here / "first", None)


def test_models_are_audited_first(
    robustmm: Cli, models: Path, world_manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    plain = Session.embed
    monkeypatch.setattr(Session, "embed", lambda self, name, x: calls.append(name) or plain(self, name, x))
    words = ["one.onnx", "two.onnx", "--data", world_manifest, "--suite", "short.toml", "--margin", "0.06"]
    result = robustmm("compare", *words, cwd=models)
    assert result.code == 0, result.out
    assert result.out.startswith("PASS: two.onnx is not worse: it loses certainly at most 6 points under each of 3")
    assert "both audits are of the same model file" in result.out
    assert "model: one.onnx" in result.err
    folders = sorted(path.name.rpartition("-")[0] for path in (models / "audits").iterdir())
    assert folders == ["one-short", "two-short"], "where robustmm audit keeps them"
    measured = len(calls)
    forget()
    assert robustmm("compare", *words, cwd=models).out == result.out
    assert len(calls) == measured, "what is measured is not measured again"
    forget()
    audited = robustmm("audit", "one.onnx", "--data", world_manifest, "--suite", "short.toml", cwd=models)
    assert "all measured already" in audited.err


def test_a_model_is_audited_as_the_finished_audit_was(robustmm: Cli, models: Path, world_manifest: Path) -> None:
    words = ["--suite", "short.toml", "--split", "valid", "--limit", "20", "--seed", "2", "--cluster", "site"]
    asked = ["one.onnx", "--data", world_manifest, *words, "--out", "a"]
    assert robustmm("audit", *asked, cwd=models).code == 0
    forget()
    result = robustmm("compare", "a", "two.onnx", "--suite", "short.toml", "--json", cwd=models)
    found = json.loads(result.out)
    assert [found[key] for key in ("split", "samples", "seed")] == ["valid", 20, 2]
    assert found["clusters"]["column"] == "site"
    assert found["candidates"][0]["conditions"][1]["difference"]["value"] == 0
    assert (result.code, found["verdict"]) == (1, "INCONCLUSIVE"), "two clusters decide nothing"
    forget()
    other = robustmm("compare", "a", "two.onnx", "--suite", "short.toml", "--seed", "3", cwd=models)
    assert (other.code, other.out) == (3, "")
    assert "they have seed 2 against 3" in other.err


def test_hostile_words_are_shown_as_they_are(robustmm: Cli, tmp_path: Path) -> None:
    for name, lost in (("[/red] é 🎈", 0), ("[bold]\x1b[31m", 40)):
        made = write_audit(tmp_path / name, {"clean": BEFORE, "[/x]\x1b[1m": flipped(BEFORE, lost)}, model="m.onnx")
        write_result(made.folder, made.result)
    result = robustmm("compare", "[/red] é 🎈", "[bold]\x1b[31m", "--full", cwd=tmp_path)
    assert result.code == 1
    assert "\x1b" not in result.out + result.err
    assert result.out.startswith("FAIL: [bold]�[31m is worse: ")


def test_every_option_has_help(robustmm: Cli, tmp_path: Path) -> None:
    shown = " ".join(robustmm("compare", "--help", cwd=tmp_path).out.split())
    assert all(
        option in shown for option in ("--margin", "--allow-inconclusive", "--full", "--html", "--suite", "--cluster")
    )
