"""The examples for CI: they are YAML, and their commands run, on a tiny model, as a runner would run them."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from robustmm.runs import Run

CI = Path(__file__).parents[1] / "docs" / "ci"
SUITE = '[[grid]]\nkind = ["series"]\nlevel = [0.5, 1.0]\nnoise = ["gaussian"]\n'
GATE = '[[gate]]\nname = "clean"\nmetric = "accuracy"\ncondition = "clean"\nmin = {}\n'


def read(name: str) -> dict[Any, Any]:
    found = yaml.safe_load((CI / name).read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def action_steps() -> Iterator[dict[str, Any]]:
    yield from read("action.yml")["runs"]["steps"]


def scripts(name: str) -> list[str]:
    """The shell scripts of an example, in order."""
    if name == "action.yml":
        return [step["run"] for step in action_steps() if "run" in step]
    job = read(name)["audit"]
    return [*job["script"], *job["after_script"]]


@pytest.fixture
def repository(tmp_path: Path, world: Run, world_manifest: Path) -> Path:
    """A repository with a model, data, gates and a suite, under the names of the examples."""
    shutil.copy(world.model, tmp_path / "model.onnx")
    shutil.copytree(world_manifest.parent, tmp_path / "data")
    (tmp_path / "suite.toml").write_text(SUITE)
    return tmp_path


def run_as_ci(script: str, repository: Path) -> int:
    """With the shell that GitHub gives to `bash`; the variables are the examples' own, but for a small suite."""
    variables = read("gitlab.yml")["audit"]["variables"] | {"SUITE": "suite.toml"}
    home = {"GITHUB_STEP_SUMMARY": str(repository / "summary.md"), "COLUMNS": "80"}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script], cwd=repository, capture_output=True,
        text=True, check=False, env={**os.environ, **variables, **home, "PATH": path},
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode


@pytest.mark.parametrize("name", ["action.yml", "gitlab.yml"])
@pytest.mark.parametrize(("bound", "code"), [(0.5, 0), (1.0, 1)])
def test_the_commands_run_and_fail_on_a_gate(repository: Path, name: str, bound: float, code: int) -> None:
    (repository / "gates.toml").write_text(GATE.format(bound))
    audits = [script for script in scripts(name) if script.startswith("robustmm")]
    assert len(audits) == 1
    assert run_as_ci(audits[0], repository) == code
    summary = (repository / "audit.md").read_text()
    assert summary.startswith("## ✅ PASS" if code == 0 else "## ❌ FAIL")
    (suite,) = ET.parse(repository / "audit.xml").getroot()
    assert suite.attrib["failures"] == str(code)
    assert (repository / "audit.sarif").is_file()
    assert (repository / "audit/results.json").is_file()
    for script in scripts(name):
        if script.startswith("cat") or "curl" in script:  # no merge request, no comment
            assert run_as_ci(script, repository) == 0
    if name == "action.yml":
        assert (repository / "summary.md").read_text() == summary


def test_nothing_is_pasted_into_a_script() -> None:
    """Expressions reach the shell as variables alone: a branch or a path may hold a command."""
    for step in action_steps():
        assert "${{" not in step.get("run", "")
    assert all("${{" not in script for script in scripts("gitlab.yml"))


def test_reports_are_shown_also_where_a_gate_fails() -> None:
    after = [step for step in action_steps() if step.get("name") not in ("Install", "Audit") and "if" in step]
    assert len(after) == 4
    assert all("always()" in step["if"] for step in after)
    job = read("gitlab.yml")["audit"]
    assert job["artifacts"]["when"] == "always"
    assert job["artifacts"]["reports"]["junit"] in job["artifacts"]["paths"]


def test_the_workflow_calls_the_action_with_what_it_asks_for() -> None:
    workflow, inputs = read("github.yml"), read("action.yml")["inputs"]
    (call,) = [s for s in workflow["jobs"]["audit"]["steps"] if s["uses"].startswith("./")]
    assert set(call["with"]) <= set(inputs)
    assert {name for name, one in inputs.items() if one.get("required")} <= set(call["with"])
    used = {m for step in action_steps() for v in step.get("env", {}).values() for m in re.findall(r"inputs\.(\w+)", v)}
    assert used == set(inputs)


def test_the_page_names_the_files_and_options() -> None:
    page = (CI.parent / "ci.md").read_text(encoding="utf-8")
    for path in CI.iterdir():
        assert f"(ci/{path.name})" in page
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page):
        assert (CI.parent / target).exists()
    for option in re.findall(r"--[a-z]+", scripts("action.yml")[1]):
        assert option in page or option == "--suite"
