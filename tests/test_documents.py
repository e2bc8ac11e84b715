"""Every command in the README, in CONTRIBUTING and on three pages more runs, in order, as it is written there."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(?:^`(?P<name>[\w.-]+)`:\n\n)?^```(?P<kind>\w+)\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)
DOCUMENTS = [
    ["README.md", "docs/compare.md", "docs/guard.md"], ["CONTRIBUTING.md"], ["docs/security.md"], ["docs/data.md"],
]  # fmt: skip
BEGINNING = 2
"""Documents that stand together begin with these many commands alike, a training and its export."""
MAKE = ("make ", "pip ")  # these make an environment; CI and test_walls.py run them


def blocks(document: str) -> list[tuple[str, str, str]]:
    """(kind, file name, body) of every fenced block."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return [(m["kind"], m["name"] or "", m["body"]) for m in BLOCK.finditer(text)]


def commands(body: str) -> list[tuple[str, list[str]]]:
    """(command, lines of output shown) of a console block."""
    found: list[tuple[str, list[str]]] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            found.append((line.removeprefix("$ "), []))
        elif found and line.strip():
            found[-1][1].append(line.strip())
    return found


def test_the_first_lines_are_among_the_commands_that_run() -> None:
    """The README begins with five lines on a model of one's own; further down they run on one that it makes."""
    lines = re.findall(r"^    (robustmm .*)$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    run = [command for kind, _, body in blocks("README.md") if kind == "console" for command, _ in commands(body)]
    assert len(lines) == 5
    assert all(line.replace("model", "theirs") in run for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("documents", DOCUMENTS, ids=" ".join)
def test_every_command_runs_and_prints_what_is_shown(documents: list[str], tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "80"}
    begun: dict[tuple[str, ...], tuple[Path, str]] = {}
    for document in documents:
        folder, ran = tmp_path / document.replace("/", "-"), list[str]()
        folder.mkdir()
        for kind, name, body in blocks(document):
            if kind in ("python", "toml") and name:
                (folder / name).write_text(body, encoding="utf-8")
            for command, shown in commands(body) if kind == "console" else ():
                if command.startswith(MAKE):
                    continue
                ran.append(command)
                if tuple(ran) in begun:  # as another document began: once is enough
                    start, printed = begun[tuple(ran)]
                    shutil.copytree(start, folder, dirs_exist_ok=True)
                else:
                    printed = run_command(command, folder, environment)
                    if len(ran) <= BEGINNING:
                        start = Path(shutil.copytree(folder, tmp_path / "begun" / str(len(begun))))
                        begun[tuple(ran)] = start, printed
                for line in shown:  # what has no number in it must stand in the real output, word for word
                    if not re.search(r"[\d│─…]", line):
                        assert " ".join(line.split()) in " ".join(printed.split()), f"{command} does not print: {line}"
        assert len(ran) >= (4 if document.startswith("docs/") else 8)


def run_command(command: str, folder: Path, environment: dict[str, str]) -> str:
    """What it prints; it ends as the document says."""
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    expected = int(m[1]) if (m := re.search(r"# exit (\d+)$", command)) else 0
    assert done.returncode == expected, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_the_documents_name_cal_as_a_reconstruction() -> None:
    for path in (ROOT / "README.md", ROOT / "docs" / "design.md", ROOT / "robustmm" / "methods" / "balance" / "cal.py"):
        text = path.read_text(encoding="utf-8")
        assert "CAL" in text
        assert "reconstruction" in text, path


def test_links_lead_somewhere() -> None:
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path} links to {target}"


def load_script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_the_schemas_are_those_of_the_code() -> None:
    """To renew them: python scripts/write_schemas.py."""
    script = load_script("write_schemas")
    folder = ROOT / "docs" / "schemas"
    assert {path.name for path in folder.iterdir()} == {f"{name}.schema.json" for name in script.SCHEMAS}
    for name in script.SCHEMAS:
        assert (folder / f"{name}.schema.json").read_text(encoding="utf-8") == script.text(name), name


def test_the_page_of_corruptions_is_what_the_registry_says() -> None:
    """To renew it and its sheets: python scripts/write_corruptions.py."""
    script = load_script("write_corruptions")
    page = (ROOT / "docs" / "corruptions.md").read_text(encoding="utf-8")
    assert page == script.text()
    sheets = re.findall(r"\((corruptions/[\w-]+\.jpg)\)", page)
    assert len(sheets) > 5
    assert all((ROOT / "docs" / sheet).is_file() for sheet in sheets)
