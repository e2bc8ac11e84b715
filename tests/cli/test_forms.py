"""`robustmm report` writes a finished audit in the forms that other tools read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from evidence_world import run_audit, write_world

from robustmm.runs import Run

Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forms")
    write_world(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_audit()
    return folder


def test_every_form_of_a_finished_audit(here: Path, robustmm: Cli, tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("s.md", "j.xml", "s.sarif", "bom.json", "README.md")}
    options = ("--markdown", "--junit", "--sarif", "--bom", "--card")
    words = [word for pair in zip(options, files.values(), strict=True) for word in pair]
    done = robustmm("report", "a", *words, cwd=here)
    assert done.code == 0, done.err
    assert done.out.split() == ["a/report.html", *map(str, files.values())]
    assert "robustmm" in files["s.md"].read_text()
    assert ElementTree.fromstring(files["j.xml"].read_bytes()).tag == "testsuites"
    assert json.loads(files["s.sarif"].read_text())["version"] == "2.1.0"
    assert json.loads(files["bom.json"].read_text())["specVersion"] == "1.6"
    assert files["README.md"].read_text().startswith("---\nlibrary_name: ")


def test_forms_misused(here: Path, robustmm: Cli, tmp_path: Path, world: Run) -> None:
    done = robustmm("report", ".", "--bom", tmp_path / "bom.json", cwd=here)
    assert (done.code, "has no results.json" in done.err) == (2, True)
    done = robustmm("report", "a", "--bom", tmp_path / "no" / "bom.json", cwd=here)
    assert (done.code, "cannot be written" in done.err) == (3, True)
    done = robustmm("report", world.folder, "--junit", tmp_path / "j.xml", cwd=here)
    assert (done.code, "--junit is a form of an audit's result" in done.err) == (2, True)
    content = json.loads((here / "a" / "results.json").read_text())
    changed = tmp_path / "changed"
    changed.mkdir()
    (changed / "results.json").write_text(json.dumps(content))
    done = robustmm("report", changed, "--card", tmp_path / "c.md", cwd=here)
    assert (done.code, "is not as an audit writes it" in done.err) == (3, True)
    assert not list(tmp_path.glob("*.*"))
