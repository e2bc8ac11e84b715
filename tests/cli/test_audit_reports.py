"""`robustmm audit` for CI: one screen, Markdown, JUnit and SARIF, whatever the end."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from audits import forget

from robustmm.auditing.store import Store
from robustmm.report.summary.screen import LINES
from robustmm.runs import Run

Cli = Callable[..., Any]
SUITE = '[[grid]]\nkind = ["series"]\nlevel = [0.5, 1.0]\nnoise = ["gaussian"]\n'
GATES = """
[[gate]]
name = "clean"
metric = "accuracy"
condition = "clean"
min = 0.5

[[gate]]
name = "perfect"
metric = "accuracy"
condition = "*"
min = 1.0
"""
AUDIT = ["audit", "--suite", "short.toml", "--batch", "64", "--out", "a"]
REPORTS = ["--markdown", "r/a.md", "--junit", "r/a.xml", "--sarif", "r/a.sarif"]


@pytest.fixture
def here(tmp_path: Path, world: Run) -> Path:
    forget()
    shutil.copytree(world.folder, tmp_path / "runs" / "world-001")
    (tmp_path / "short.toml").write_text(SUITE)
    (tmp_path / "g.toml").write_text(GATES)
    (tmp_path / "r").mkdir()
    return tmp_path


def test_the_screen_and_everything(robustmm: Cli, here: Path) -> None:
    screen = robustmm(*AUDIT, cwd=here).out.splitlines()
    assert screen[0].startswith("No gates: ")
    assert len(screen) <= LINES
    assert "Groups" not in screen
    full = robustmm(*AUDIT, "--full", cwd=here).out
    assert "Breaking levels: series" in full
    assert "noise floor of 3 clean runs" in full


def test_a_failed_gate_leaves_every_report_whole(robustmm: Cli, here: Path) -> None:
    result = robustmm(*AUDIT, "--gates", "g.toml", *REPORTS, cwd=here)
    assert result.code == 1
    assert result.out.startswith("FAIL: 1 of 2 gates fails")
    assert (here / "r/a.md").read_text().startswith("## ❌ FAIL: 1 of 2 gates fails\n")
    (suite,) = ET.parse(here / "r/a.xml").getroot()
    assert [(case.attrib["name"], [child.tag for child in case]) for case in suite.findall("testcase")] == [
        ("perfect", ["failure"]), ("clean", []),
    ]  # fmt: skip
    (run,) = json.loads((here / "r/a.sarif").read_text())["runs"]
    where = run["results"][0]["locations"][0]["physicalLocation"]
    assert where == {"artifactLocation": {"uri": "g.toml"}, "region": {"startLine": 8}}
    before = {path: path.read_bytes() for path in (here / "r").iterdir()}
    assert robustmm(*AUDIT, "--gates", "g.toml", *REPORTS, "--json", cwd=here).code == 1
    assert {path: path.read_bytes() for path in (here / "r").iterdir()} == before, "the same bytes"


def test_without_gates_the_reports_say_so(robustmm: Cli, here: Path) -> None:
    assert robustmm(*AUDIT, *REPORTS, cwd=here).code == 0
    assert (here / "r/a.md").read_text().startswith("## No gates: ")
    (suite,) = ET.parse(here / "r/a.xml").getroot()
    assert (suite.attrib["tests"], suite.attrib["skipped"]) == ("1", "1")
    assert json.loads((here / "r/a.sarif").read_text())["runs"][0]["results"] == []


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--markdown", "no/a.md"], 3, "no/a.md cannot be written: No such file or directory"),
        (["--junit", "r"], 3, "r cannot be written: Is a directory"),
        (["--sarif", "short.toml/x"], 3, "short.toml/x cannot be written: Not a directory"),
        (["--markdown", "/dev/null"], 3, "/dev/null should be a file, found a device"),
        (["--junit", "r/x", "--sarif", "r/../r/x"], 2, "should name files of their own, found one twice"),
    ],
)
def test_a_place_that_cannot_be_written_is_told_first(
    robustmm: Cli, here: Path, words: list[str], code: int, sentence: str
) -> None:
    result = robustmm(*AUDIT, *words, cwd=here)
    assert (result.code, result.out) == (code, "")
    assert sentence in result.err
    assert not (here / "a").exists(), "nothing is measured"
    assert list((here / "r").iterdir()) == []


def test_an_interrupted_audit_reports_partial(robustmm: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each of the files, whatever stood there; and no results are left, be they another question's."""
    assert robustmm(*AUDIT, *REPORTS, "--gates", "g.toml", cwd=here).code == 1
    forget()
    plain, left = Store.put, [4]

    def put(self: Store, key: str, records: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        plain(self, key, records)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "put", put)
        result = robustmm(*AUDIT, *REPORTS, "--seed", "1", cwd=here)
    told = "PARTIAL: interrupted; 4 of 9 cells of 3 conditions are measured, and kept in a; the same command continues"
    assert (result.code, result.out) == (5, "")
    assert result.err.endswith(f"error: {told}\n")
    assert (here / "r/a.md").read_text() == f"## ⚠️ {told}\n"
    (suite,) = ET.parse(here / "r/a.xml").getroot()
    assert [case[0].tag for case in suite] == ["error"]
    (run,) = json.loads((here / "r/a.sarif").read_text())["runs"]
    assert run["invocations"][0]["executionSuccessful"] is False
    assert {path.name for path in (here / "a").iterdir()} == {"cells"}
    forget()
    assert robustmm(*AUDIT, *REPORTS, "--seed", "1", cwd=here).code == 0
    assert (here / "a/results.json").is_file()
    assert (here / "r/a.md").read_text().startswith("## No gates")


def test_interrupted_before_anything_is_measured(robustmm: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("robustmm.auditing.prepare.estimate_cost", stopped)
    assert robustmm(*AUDIT, *REPORTS, cwd=here).code == 5
    assert (here / "r/a.md").read_text() == "## ⚠️ PARTIAL: interrupted before anything was measured\n"


def test_a_stop_while_a_finished_audit_is_read_leaves_its_results(
    robustmm: Cli, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert robustmm(*AUDIT, cwd=here).code == 0
    before = (here / "a/results.json").read_bytes()

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("robustmm.auditing.run.classify_effects", stopped)
    assert robustmm(*AUDIT, cwd=here).code == 5
    assert (here / "a/results.json").read_bytes() == before
    forget()
    assert robustmm(*AUDIT, "--share", "0.5", cwd=here).code == 5
    assert not (here / "a/results.json").exists(), "another question: its results are not there"
