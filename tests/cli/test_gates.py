"""`robustmm audit --gates` and `robustmm gates`: verdicts, exit codes, and what is refused."""

import hashlib
import json
import re
import shlex
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from audits import forget

import robustmm as rm
from robustmm.conditions.gate import GateTable, load_gates
from robustmm.runs import Run
from robustmm.runtime.session import Session

Cli = Callable[..., Any]

SUITE = '[[grid]]\nkind = ["series"]\nlevel = [0.5, 1.0]\nnoise = ["gaussian"]\n[[missing]]\nsubsets = "all-but"\n'
AUDIT = ["audit", "--suite", "suite.toml", "--batch", "64", "--out", "a"]


def gate(name: str, bound: str, rest: str = 'condition = "clean"', metric: str = "accuracy") -> str:
    return f'[[gate]]\nname = "{name}"\nmetric = "{metric}"\n{rest}\n{bound}\n'


PASS, FAIL = gate("enough", "min = 0.5"), gate("never", "min = 0.9", 'missing = "series"')
OPEN = gate("open", "min = 0.86")  # clean accuracy is 66 of 72: 91.7 % [83.0, 96.1]


@pytest.fixture(scope="module")
def measured(world: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, a suite, and an audit of it in `a`."""
    folder = tmp_path_factory.mktemp("measured")
    shutil.copytree(world.folder, folder / "runs" / "world-001")
    (folder / "suite.toml").write_text(SUITE)
    rm.audit(folder / "runs/world-001/model.onnx", suite=folder / "suite.toml", out=folder / "a", batch=64)
    return folder


@pytest.fixture
def here(measured: Path, tmp_path: Path) -> Path:
    forget()
    shutil.copytree(measured, tmp_path / "here")
    return tmp_path / "here"


@pytest.mark.parametrize(
    ("text", "words", "code", "line"),
    [
        (PASS, [], 0, "PASS: the gate passes"),
        (PASS + gate("too", "min = 0.6"), [], 0, "PASS: all 2 gates pass"),
        (PASS + FAIL, [], 1, "FAIL: 1 of 2 gates fails"),
        (PASS + FAIL, ["--allow-inconclusive"], 1, "FAIL: 1 of 2 gates fails"),
        (PASS + OPEN, [], 1, "INCONCLUSIVE: 1 of 2 gates is inconclusive, none fails"),
        (PASS + OPEN, ["--allow-inconclusive"], 0, "INCONCLUSIVE: 1 of 2 gates is inconclusive, none fails"),
        (PASS + OPEN + FAIL, ["--allow-inconclusive"], 1, "FAIL: 1 of 3 gates fails, 1 is inconclusive"),
    ],
)
def test_the_verdict_is_the_first_line_and_the_exit_code(
    robustmm: Cli, here: Path, text: str, words: list[str], code: int, line: str
) -> None:
    """The report is whole, whatever the verdict."""
    (here / "g.toml").write_text(text)
    result = robustmm(*AUDIT, "--gates", "g.toml", *words, cwd=here)
    assert (result.code, result.out.splitlines()[0].rstrip()) == (code, line)
    assert "all measured already" in result.err
    assert "Alone: accuracy from it only." in " ".join(result.out.split())
    assert "error" not in result.err
    found = json.loads((here / "a/results.json").read_text())
    assert found["verdict"] == line.partition(":")[0]
    assert found["gates_sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert [each["name"] for each in found["gates"]] == [each.name for each in load_gates(here / "g.toml")]


def test_json_has_the_same_exit_code_and_the_same_bytes_again(robustmm: Cli, here: Path) -> None:
    (here / "g.toml").write_text(
        PASS + OPEN + FAIL + gate("each", "min = 0.2", 'condition = "*"\ngroup = {site = "*"}')
    )
    first = robustmm(*AUDIT, "--gates", "g.toml", "--json", cwd=here)
    forget()
    second = robustmm(*AUDIT, "--gates", "g.toml", "--json", cwd=here)
    assert (first.code, second.code) == (1, 1)
    assert first.out == second.out == (here / "a/results.json").read_text()
    found = json.loads(first.out)
    by_name = {each["name"]: each for each in found["gates"]}
    assert by_name["open"]["samples_to_decide"] > 72
    assert by_name["never"]["condition"] == "with vector"
    assert by_name["each"]["part"].startswith("site: ")
    assert {g["column"] for g in found["clean"]["groups"]} == {"label", "site"}, "a gate's column is grouped by"


def test_gates_of_a_suite_measure_nothing_again(robustmm: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["audit", "--suite", "suite.toml", "--batch", "64"]
    assert robustmm(*words, cwd=here).code == 0
    calls: list[str] = []
    plain = Session.embed
    monkeypatch.setattr(Session, "embed", lambda self, name, x: calls.append(name) or plain(self, name, x))
    for text, code in ((PASS, 0), (FAIL, 1)):
        (here / "suite.toml").write_text(SUITE + text)
        forget()
        result = robustmm(*words, cwd=here)
        assert result.code == code
        assert not calls
    assert len(list((here / "audits").iterdir())) == 1
    found = json.loads(next((here / "audits").rglob("results.json")).read_text())
    assert (found["verdict"], found["gates_sha256"]) == ("FAIL", "")


def test_not_worse_than_another_audit(robustmm: Cli, here: Path) -> None:
    text = 'condition = "*"\nbaseline = "a/results.json"'
    (here / "g.toml").write_text(gate("no worse", "margin = 0.2", text) + gate("so near", "margin = 0.01", text))
    result = robustmm(*AUDIT, "--out", "b", "--gates", "g.toml", cwd=here)
    assert (result.code, result.out.splitlines()[0].rstrip()[:30]) == (1, "INCONCLUSIVE: 1 of 2 gates is ")
    near, far = sorted(json.loads((here / "b/results.json").read_text())["gates"], key=lambda each: each["bound"])
    assert (near["verdict"], far["verdict"]) == ("INCONCLUSIVE", "PASS")
    assert far["baseline_sha256"] == hashlib.sha256((here / "a/results.json").read_bytes()).hexdigest()
    assert (near["value"]["value"], "independent" in near["reason"]) == (0, False)
    (here / "a" / "records.parquet").unlink()
    forget()
    robustmm(*AUDIT, "--out", "b", "--gates", "g.toml", cwd=here)
    found = {each["name"]: each for each in json.loads((here / "b/results.json").read_text())["gates"]}["so near"]
    assert found["reason"].endswith("the interval takes the two values as independent")
    assert found["value"]["high"] > 1.5 * near["value"]["high"]


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        ("", 2, "g.toml: there should be at least one [[gate]], found none"),
        ("[[gate]", 2, "g.toml is not valid TOML"),
        (gate("x", "min = 90"), 2, 'g.toml:5: gate "x": min should be at most 1, found 90; 5 points, or 5 %, are 0.05'),
        (gate("x", "mim = 0.9"), 2, 'g.toml:5: [gate[0]] "mim" is not a key here, did you mean "min"?'),
        (gate("x", "max = 0.9"), 2, 'g.toml:5: gate "x": max does not fit: accuracy is better high, and takes a min'),
        (gate("x", "min = 0.9", 'condition = "clear"'), 2, 'no condition is called "clear", did you mean "clean"?'),
        (gate("x", "min = 0.9", "level = 0.4"), 2, "no condition has level 0.4; the suite has 0.5, 1"),
        (
            gate("x", "min = 0.9", 'group = { sit = "*" }\ncondition = "*"'),
            3,
            'has no column "sit", did you mean "site"',
        ),
        (gate("x", "margin = 0", 'condition = "*"\nbaseline = "no.json"'), 3, "no.json should be the results.json of"),
        (gate("[/red]\\u001b", "min = 0.9", "level = 0.4"), 2, 'gate "[/red]�": no condition has level 0.4'),
    ],
)
def test_wrong_gates_are_sentences_before_anything_is_measured(
    robustmm: Cli, here: Path, text: str, code: int, sentence: str
) -> None:
    (here / "g.toml").write_text(text)
    result = robustmm(*AUDIT, "--out", "new", "--gates", "g.toml", cwd=here)
    assert (result.code, result.out) == (code, "")
    assert sentence in result.err
    assert not (here / "new").exists()


@pytest.mark.parametrize("name", ["none.toml", "runs", "a/results.json"])
def test_no_file_of_gates(robustmm: Cli, here: Path, name: str) -> None:
    result = robustmm(*AUDIT, "--gates", name, cwd=here)
    assert (result.code, result.out) == (2, "")
    assert name in result.err


def test_the_draft_says_the_whole_command(robustmm: Cli, here: Path, world_manifest: Path) -> None:
    asked = ["--data", str(world_manifest), "--suite", "suite.toml", "--split", "valid", "--limit", "20", "--seed", "3"]
    asked += ["--on-bad-input", "missing"]
    result = robustmm("gates", *asked, "-o", "g.toml", cwd=here)
    said = f"set the bounds; then: robustmm audit runs/world-001/model.onnx {shlex.join(asked)} --gates g.toml"
    assert result.err.splitlines()[-1] == said
    forget()
    again = robustmm(*shlex.split(said.partition("robustmm ")[2]), cwd=here)
    assert again.code == 0
    assert "all measured already" in again.err


def test_two_clusters_pass_no_gate(robustmm: Cli, here: Path) -> None:
    result = robustmm("gates", "--suite", "suite.toml", "--cluster", "site", "-o", "g.toml", cwd=here)
    text = (here / "g.toml").read_text()
    assert result.code == 0
    assert "[[gate]]" not in text
    assert "clean accuracy: no bound passes today (2 clusters, and an interval takes 10 or more)." in text
    assert result.err.splitlines()[-1] == "no gate passes today; the draft says what was measured, and why"


def test_a_draft_is_written_passes_and_is_never_overwritten(robustmm: Cli, here: Path) -> None:
    words = ["gates", "--suite", "suite.toml", "--by", "site"]
    result = robustmm(*words, "-o", "g.toml", "--margin", "0.05", cwd=here)
    assert (result.code, result.out) == (0, "g.toml\n")
    assert (
        "set the bounds; then: robustmm audit runs/world-001/model.onnx --suite suite.toml --gates g.toml" in result.err
    )
    text = (here / "g.toml").read_text()
    names = [table["name"] for table in tomllib.loads(text)["gate"]]
    assert names == [
        "clean accuracy", "clean calibration", "each label", "each site", "noise on series", "vector missing",
        "series missing",
    ]  # fmt: skip
    assert "# measured: 91.7 % [83.0, 96.1] under clean, 72 samples\nmin = 0.779\n" in text
    forget()
    audited = robustmm("audit", "--suite", "suite.toml", "--gates", "g.toml", cwd=here)
    assert (audited.code, audited.out.splitlines()[0].rstrip()) == (0, "PASS: all 7 gates pass")
    assert "all measured already" in audited.err
    again = robustmm(*words, "-o", "g.toml", cwd=here)
    assert (again.code, again.out) == (2, "")
    assert "error: g.toml exists already and is left as it is" in again.err
    assert "audit:" not in again.err, "before anything is measured"
    assert (here / "g.toml").read_text() == text
    forget()
    shown = robustmm(*words, "--margin", "0.05", cwd=here)
    assert (shown.code, shown.out) == (0, text.replace("g.toml", "THIS.toml"))


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["-o", "g.json"], 2, "the name of the gates should end in .toml, found g.json"),
        (["--margin", "-1"], 2, "Invalid value for '--margin'"),
        (["--suite", "none.toml"], 2, "the suite none.toml does not exist"),
        (["--by", "sit"], 3, 'has no column "sit", did you mean "site"?'),
        (["no.onnx"], 3, "the model no.onnx does not exist"),
    ],
)
def test_drafting_misused(robustmm: Cli, here: Path, words: list[str], code: int, sentence: str) -> None:
    result = robustmm("gates", "--suite", "suite.toml", *words, cwd=here)
    assert (result.code, result.out) == (code, "")
    assert sentence in result.err


def test_python_has_the_verdict(here: Path) -> None:
    (here / "g.toml").write_text(PASS + FAIL)
    found = rm.audit(
        here / "runs/world-001/model.onnx", suite=here / "suite.toml", out=here / "a", batch=64, gates=here / "g.toml"
    )
    assert found.verdict == "FAIL"
    assert [(each.name, each.verdict) for each in found.gates] == [("enough", "PASS"), ("never", "FAIL")]


def test_the_example_of_the_page_is_valid_and_judged(robustmm: Cli, here: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "gates.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^With .*`gates.toml`:\n\n```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (here / "gates.toml").write_text(example)
    result = robustmm("audit", "--suite", "quick", "--gates", "gates.toml", "--json", cwd=here)
    found = json.loads(result.out)
    assert result.code == (found["verdict"] != "PASS")
    assert [each["name"] for each in found["gates"]] == [
        "clean accuracy", "mild noise", "every class", "a third is missing"
    ]  # fmt: skip
    assert [each["condition"] for each in found["gates"]] == ["clean", "gaussian 0.2", "clean", "missing 0.3"]
    keys = set(re.findall(r"`(\w+)`", page))
    assert keys >= GateTable.model_fields.keys(), "the page names every key"
