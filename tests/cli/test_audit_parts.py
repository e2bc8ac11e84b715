"""`robustmm audit --plan`, `--only` and `--merge`, rightly used, misused and killed."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from audits import forget

from robustmm.runs import Run

Cli = Callable[..., Any]

SHORT = '[[grid]]\nkind = ["series"]\nlevel = [0.5, 1.0]\nnoise = ["gaussian"]\n'
GATES = '[[gate]]\nname = "clean"\nmetric = "accuracy"\ncondition = "clean"\nmin = 0.99\n'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, world_model: Path, world_manifest: Path) -> Path:
    """A folder with a model, a suite, gates, and plans of two audits."""
    from robustmm.api.parts import plan_audit

    folder = tmp_path_factory.mktemp("planned")
    (folder / "short.toml").write_text(SHORT)
    (folder / "gates.toml").write_text(GATES)
    shutil.copy(world_model, folder / "model.onnx")
    before = Path.cwd()
    os.chdir(folder)
    try:
        given: dict[str, Any] = {"data": world_manifest, "suite": "short.toml", "gates": "gates.toml", "batch": 64}
        forget()
        plan_audit("plan.json", "model.onnx", **given)
        plan_audit("other.json", "model.onnx", **given, seed=5)
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "here"))


def again(robustmm: Cli, *words: object, cwd: Path) -> Any:
    """As in a process of its own: nothing is opened yet."""
    forget()
    return robustmm("audit", *words, cwd=cwd)


def test_planned_made_in_parts_and_merged(robustmm: Cli, here: Path, world_manifest: Path) -> None:
    asked = ["model.onnx", "--data", world_manifest, "--suite", "short.toml", "--gates", "gates.toml", "--batch", "64"]
    planned = again(robustmm, *asked, "--plan", "p.json", cwd=here)
    assert (planned.code, planned.out) == (0, "p.json\n")
    assert "plan: 2 conditions and clean on 72 samples, 10 tasks; about " in planned.err
    assert not (here / "audits").exists(), "nothing is measured"
    whole = again(robustmm, *asked, "--out", "whole", "--sarif", "whole.sarif", cwd=here)
    assert whole.code == 1, "the gate fails"
    for k in (1, 2):
        part = again(robustmm, "--only", "p.json", "--part", f"{k}/2", "--out", k, "--workers", "1", cwd=here)
        assert (part.code, part.out) == (0, f"{k}\n")
        assert f"part {k}/2: " in part.err
        assert part.err.endswith(f"part {k}/2 is whole: {k}\n")
    merged = again(robustmm, "--merge", "1", "2", "--out", "both", "--sarif", "both.sarif", "--json", cwd=here)
    assert merged.code == 1
    assert merged.out == (here / "whole/results.json").read_text()
    for name in ("results.json", "records.parquet", "audit.json", "examples.json", "report.html"):
        assert (here / "both" / name).read_bytes() == (here / "whole" / name).read_bytes(), name
    assert (here / "both.sarif").read_bytes() == (here / "whole.sarif").read_bytes()
    assert again(robustmm, "--merge", "1", "2", "--out", "both", "--allow-inconclusive", cwd=here).out == whole.out


def test_parts_and_the_plain_command_share_the_audits_own_folder(
    robustmm: Cli, here: Path, world_manifest: Path
) -> None:
    part = again(robustmm, "--only", "plan.json", "--part", "2/2", "--workers", "1", cwd=here)
    assert part.code == 0
    assert part.out.startswith("audits/here-short-")
    asked = ["model.onnx", "--data", world_manifest, "--suite", "short.toml", "--batch", "64"]
    assert "% is measured already" in again(robustmm, *asked, cwd=here).err
    assert len(list((here / "audits").iterdir())) == 1
    merged = again(robustmm, "--merge", part.out.strip(), cwd=here)
    assert merged.code == 1, "all cells are there, whoever made them; the gate fails"


def test_more_parts_than_tasks(robustmm: Cli, here: Path) -> None:
    result = again(robustmm, "--only", "plan.json", "--part", "90/90", "--out", "a", cwd=here)
    assert (result.code, result.out) == (0, "a\n")
    assert "part 90/90 has nothing to do: the plan has fewer tasks than parts" in result.err


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--only", "plan.json", "--part", "5/4"], 2, "a part of 4 should be one of 1/4 to 4/4, found 5/4"),
        (["--only", "plan.json", "--part", "0/4"], 2, "found 0/4; parts are counted from 1"),
        (["--only", "plan.json", "--part", "x"], 2, 'a part should be written as 3/40, the third of forty, found "x"'),
        (["--only", "plan.json"], 2, "--only PLAN and --part 3/40 belong together, found one of them"),
        (["--part", "1/4"], 2, "--only PLAN and --part 3/40 belong together, found one of them"),
        (["--only", "no.json", "--part", "1/4"], 3, "the plan no.json cannot be read: No such file or directory; make"),
        (["--only", "short.toml", "--part", "1/4"], 3, "short.toml is not as audit --plan writes it; make it again"),
        (["--only", "cut.json", "--part", "1/4"], 3, "cut.json is not as audit --plan writes it; make it again"),
        (["--only", "bent.json", "--part", "1/4"], 3, "bent.json is not as audit --plan wrote it: it was damaged or"),
        (["--only", "plan.json", "--part", "1/4", "--seed", "3"], 2, "--seed is part of the plan, and cannot be given"),
        (["--only", "plan.json", "--part", "1/4", "--suite", "quick"], 2, "--suite is part of the plan, and cannot"),
        (["other.onnx", "--only", "plan.json", "--part", "1/4"], 3, "plan.json is of another model than other.onnx: "),
        (["gone.onnx", "--only", "plan.json", "--part", "1/4"], 3, "the model gone.onnx does not exist"),
        (["--only", "plan.json", "--part", "1/4", "--data", "m.csv"], 3, "plan.json is of another manifest than m.csv"),
        (["--only", "plan.json", "--part", "1/4", "--out", "theirs"], 2, "theirs holds parts of another audit, which"),
        (["--only", "plan.json", "--part", "1/2", "--plan", "new.json"], 2, "--plan and --only are steps of their own"),
        (["--plan", "new.json", "--merge", "a"], 2, "--plan and --merge are steps of their own; give one of them"),
        (["--plan", "plan.json"], 2, "plan.json exists already and is left as it is"),
        (["--plan", "no/plan.json"], 3, "no/plan.json cannot be written: No such file or directory"),
        (["--plan", "new.json", "--out", "a"], 2, "--out is no part of a plan; give it with --only or --merge"),
        (["--plan", "new.json", "--suite", "quik"], 2, '"quik" is not a suite, did you mean "quick"?'),
        (["--plan", "new.json", "--on", "ray"], 2, "--on makes all parts at once, and cannot be given with --plan"),
        (["--only", "plan.json", "--part", "1/2", "--on", "ray"], 2, "--on makes all parts at once, and cannot be"),
        (["--merge", "a", "--on", "ray"], 2, "--on makes all parts at once, and cannot be given with --merge"),
        (["--on", "slurm"], 2, "--on should be ray (this machine, or RAY_ADDRESS) or ray://HOST:PORT, found slurm"),
        (["--merge"], 2, "--merge takes the folders of the parts, found none"),
        (["--merge", "a"], 3, "1 of 2 parts are missing or not whole: 2; make them, and merge again"),
        (["--merge", "theirs", "a"], 3, "a holds parts of another audit than theirs, which differs in seed (5 and 0)"),
        (["--merge", "gone"], 3, "gone should be a folder of parts, made by audit --only: there is no plan.json in it"),
        (["--merge", "a", "--seed", "3"], 2, "--seed is part of the plan, and cannot be given with --merge"),
        (["one.onnx", "two.onnx", "--merge", "a"], 2, "audit takes one model, found 2: one.onnx, two.onnx"),
        (["one.onnx", "two.onnx"], 2, "audit takes one model, found 2: one.onnx, two.onnx; --merge takes"),
    ],
)  # fmt: skip
def test_misused(robustmm: Cli, here: Path, world_manifest: Path, words: list[str], code: int, sentence: str) -> None:
    content = (here / "plan.json").read_bytes()
    (here / "cut.json").write_bytes(content[:-200])
    (here / "bent.json").write_bytes(content.replace(b'"split": "test"', b'"split": "valid"'))
    (here / "other.onnx").write_bytes((here / "model.onnx").read_bytes() + other_tail())
    (here / "m.csv").write_text(world_manifest.read_text().replace(",south,", ",east,"))
    for name in ("vector.npy", "series.npy"):
        shutil.copy(world_manifest.parent / name, here / name)
    if "a" in words or "theirs" in words:
        again(robustmm, "--only", "plan.json", "--part", "1/2", "--out", "a", "--workers", "1", cwd=here)
        again(robustmm, "--only", "other.json", "--part", "90/90", "--out", "theirs", cwd=here)
    before = sorted(here.rglob("*"))
    given = ["model.onnx", "--data", "m.csv", *words] if words[0] == "--plan" else words
    result = again(robustmm, *given, cwd=here)
    assert (result.code, result.out) == (code, "")
    errors = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert sentence in errors[0]
    assert not (here / "new.json").exists()
    if "--merge" not in words:
        assert sorted(here.rglob("*")) == before, "nothing is made for what cannot be"


def other_tail() -> bytes:
    """A field of ONNX's ModelProto, `producer_name`, once more: another file with the same graph."""
    return bytes([2 << 3 | 2, 1]) + b"x"


KILLED = """
import os, signal, sys
from robustmm.auditing.store import Store
from robustmm.cli import main
plain = Store.put
def put(self, key, records):
    plain(self, key, records)
    os.kill(os.getpid(), signal.SIGKILL)
Store.put = put
main()
"""
"""A command that is killed after its first cell."""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows ends processes otherwise")
def test_a_killed_part_is_named_and_retried(robustmm: Cli, here: Path, world_manifest: Path) -> None:
    """The merge says which part it was, and its command makes it whole."""
    words = ["audit", "--only", "plan.json", "--part", "2/2", "--out", "b", "--workers", "1"]
    done = subprocess.run([sys.executable, "-c", KILLED, *words], cwd=here, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert len(list(here.glob("b/cells/*/*.cell"))) == 1
    assert again(robustmm, *words[1:4], "1/2", "--out", "a", "--workers", "1", cwd=here).code == 0
    lacking = again(robustmm, "--merge", "a", "b", "--out", "c", cwd=here)
    assert lacking.code == 3
    first, second = [line for line in lacking.err.splitlines() if line.startswith("error: ")]
    assert first == "error: 1 of 2 parts are missing or not whole: 2; make them, and merge again"
    command = second.partition("tasks: robustmm audit ")[2].split()
    assert command == ["--only", "a/plan.json", "--part", "2/2", "--out", "a"]
    assert not (here / "c" / "results.json").exists()
    assert again(robustmm, *command, "--workers", "1", cwd=here).code == 0
    merged = again(robustmm, "--merge", "a", "b", "--out", "c", "--json", cwd=here)
    assert merged.code == 1, "the gate fails"
    asked = ["model.onnx", "--data", world_manifest, "--suite", "short.toml", "--gates", "gates.toml", "--batch", "64"]
    assert again(robustmm, *asked, "--json", cwd=here).out == merged.out


PAGE = (Path(__file__).parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")


def test_the_commands_of_the_page_run(robustmm: Cli, tmp_path: Path, world: Run, world_manifest: Path) -> None:
    """Those of the console, then the part that a node of Slurm makes, and the one that a pod does."""
    shutil.copytree(world.folder, tmp_path / "runs" / "digits-001")
    lines = re.findall(r"^\$ robustmm (.*)$", PAGE, re.MULTILINE)
    assert len(lines) == 5
    for line in lines:
        forget()
        assert robustmm(*line.split(), cwd=tmp_path).code == 0, line
    assert (tmp_path / "merged" / "report.html").is_file()
    (batch,) = re.findall(r"^srun robustmm (.*)$", PAGE, re.MULTILINE)
    words = shlex.split(batch.replace("$SLURM_ARRAY_TASK_ID", "40"))
    forget()
    assert robustmm(*words, cwd=tmp_path).code == 0
    (document,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    job = yaml.safe_load(document)["spec"]
    assert (job["completionMode"], job["completions"]) == ("Indexed", 40)
    (pod,) = job["template"]["spec"]["containers"]
    environment = {"JOB_COMPLETION_INDEX": "39", "PATH": os.environ["PATH"]}
    script = pod["args"][0].replace("robustmm", "printf '%s\\n'", 1)
    said = subprocess.run([*pod["command"], script], env=environment, check=True, capture_output=True, text=True)
    words = said.stdout.splitlines()
    assert words[words.index("--part") + 1] == "40/40"
    files = {"/in/model.onnx": world.model, "/in/data": world_manifest}
    here = files | {"/in/plan.json": "plan.json", "/out/parts": "out"}
    forget()
    result = robustmm(*(here.get(word, word) for word in words), cwd=tmp_path)
    assert (result.code, result.out) == (0, "out\n")
