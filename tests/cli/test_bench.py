"""`robustmm bench`, rightly used and misused; stopped, killed, and continued by the same command."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
import worlds
from rich.console import Console

from robustmm.bench.worker import Cell
from robustmm.config.toml import to_toml
from robustmm.metrics.paired import BenchResult, CellResult
from robustmm.report.live import bench as progress
from robustmm.runs import Run

Cli = Callable[..., Any]

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "bench.schema.json"
SUITE = """
[[condition]]
name = "clean"
[[condition]]
name = "100 % [bold]noise[/bold]"
noise = [{ name = "gaussian", level = 0.5 }]
"""


def recipe(folder: Path, manifest: Path, epochs: int = 1) -> Path:
    content = worlds.tables(manifest)
    content["train"] = {"epochs": epochs, "batch": 16}
    (folder / "tiny.toml").write_text(to_toml(content), encoding="utf-8")
    (folder / "suite.toml").write_text(SUITE)
    (folder / "wrong.toml").write_text(SUITE.replace("0.5 }", '0.5, on = ["vectr"] }'))
    return folder / "tiny.toml"


@pytest.fixture
def here(tmp_path: Path, world_manifest: Path) -> Path:
    return recipe(tmp_path, world_manifest).parent


def test_a_bench_from_nothing_to_files(robustmm: Cli, here: Path, world_manifest: Path) -> None:
    words = ["tiny.toml", "--methods", "joint, dropout", "--seeds", "2", "--suite", "suite.toml", "--missing", "0.25"]
    made = robustmm("bench", *words, "--workers", "2", "--json", cwd=here)
    assert made.code == 0
    found = json.loads(made.out)
    jsonschema.validate(found, json.loads(SCHEMA.read_text()))
    assert found["columns"] == ["clean", "100 % [bold]noise[/bold]", "only vector", "only series", "mean over subsets"]
    assert (found["recipe"], found["manifest"], found["baseline"]) == ("tiny", str(world_manifest), "joint")
    assert [(c["method"], c["seed"]) for c in found["cells"]] == [
        ("joint", 0), ("joint", 1), ("dropout", 0), ("dropout", 1),
    ]  # fmt: skip
    assert "4 trainings in bench/tiny, 2 at once" in made.err
    before = made.err[: made.err.index("seed 0: done")]
    for part in ("threads: 1 (", "what is trained", "adamw", "0.001", "warm-up", "steps", "batches of 16, schedule"):
        assert part in before, "told before anything is trained"
    assert sorted(line for line in made.err.splitlines() if line.endswith(": done")) == [
        "dropout, seed 0: done", "dropout, seed 1: done", "joint, seed 0: done", "joint, seed 1: done",
    ]  # fmt: skip
    assert {Run(p.parent).read_facts()["recipe"]["data"]["missing"]["vector"] for p in here.rglob("run.json")} == {0.25}

    files = ["--csv", "a.csv", "--markdown", "a.md", "--latex", "a.tex"]
    again = robustmm("bench", *words, "--workers", "2", *files, cwd=here)
    assert again.code == 0
    assert again.err.count(": done before\n") == 4
    shown = " ".join(again.out.split())
    for part in (
        "test accuracy, %",
        "points over joint 100 %",
        "Two seeds: no usable interval and no p-value",
        "cost",
        "100 %",
        "2 seeds, 72 test samples",
    ):
        assert part in shown
    assert (here / "a.csv").read_text().count("\n") == 1 + 4 * 5
    assert (here / "a.md").read_text().startswith(r"| method | clean | 100 % \[bold\]noise")
    assert r"100 \% {[}bold]noise" in (here / "a.tex").read_text()

    other = robustmm("bench", *words, "--workers", "2", "--baseline", "dropout", "--json", cwd=here)
    assert json.loads(other.out)["baseline"] == "dropout"
    assert other.err.count(": done before\n") == 4


def test_a_single_seed_and_a_baseline_that_was_not_named(robustmm: Cli, here: Path) -> None:
    result = robustmm("bench", "tiny.toml", "--methods", "dropout", "--baseline", "joint", "--seeds", "1", cwd=here)
    assert result.code == 0
    assert result.err.startswith("joint is trained as well: it is the baseline\n")
    assert "One seed: no usable interval and no p-value; three give them." in result.out
    assert "points over" not in result.out


def test_a_tuned_bench_tells_what_it_tries_and_what_it_chose(robustmm: Cli, here: Path) -> None:
    words = ["tiny.toml", "--methods", "joint+unimodal", "--baseline", "joint+unimodal", "--seeds", "1", "--tune"]
    words += ["--select", "worst-subset", "--set", "train.optimiser=sgd", "--set", "train.learning_rate=0.05"]
    made = robustmm("bench", *words, "--threads", "1", "--json", cwd=here)
    assert made.code == 0
    found = json.loads(made.out)
    jsonschema.validate(found, json.loads(SCHEMA.read_text()))
    search = found["search"]
    assert (search["select"], search["rungs"], search["seed"]) == ("worst-subset", [1], 1_000_000)
    assert [t["setting"]["unimodal.gamma"] for t in search["trials"]] == [1.0, 4.0]
    assert [t["kept"] for t in search["trials"]].count(True) == 1
    chosen = search["chosen"]["joint+unimodal"]["unimodal.gamma"]
    recipes = [json.loads(path.read_text())["recipe"] for path in here.rglob("run.json")]
    (facts,) = [one for one in recipes if one["train"]["seed"] == 0]
    assert (facts["method"]["unimodal"]["gamma"], facts["train"]["select"]) == (chosen, "worst-subset")
    for part in ("what is tried first, on valid, by worst subset", "unimodal.gamma 1 4", "threads: 1 (as asked for)"):
        assert part in made.err[: made.err.index("1 epoch: done")]
    again = robustmm("bench", *words, "--threads", "1", "--markdown", "a.md", cwd=here)
    assert again.err.count(": done before\n") == 3
    shown = " ".join(again.out.split())
    assert "chosen on valid by worst subset" in shown
    assert "in 2 trainings of 1 epoch" in shown
    assert "† not fitted: joint+unimodal in 1 of 1 seed" in shown
    assert "†" in (here / "a.md").read_text()
    page = robustmm("report", "bench/tiny", cwd=here)
    assert page.code == 0
    assert "Chosen on valid by worst subset" in (here / "bench" / "tiny" / "report.html").read_text()
    (here / "bench" / "tiny" / "search.json").write_text("{")
    assert robustmm("report", "bench/tiny", cwd=here).code == 3


def parent(pid: int) -> int | None:
    """Of a process that still runs: one that has ended keeps its number until it is asked how."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[1])


def children(pid: int) -> list[int]:
    """Processes that `pid` started and that still run, but for the one that cleans up after multiprocessing."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if "spawn_main" in path.read_text() and parent(int(path.parent.name)) == pid:
                found.append(int(path.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads /proc")
def test_stopped_then_killed_then_finished_by_the_same_command(
    robustmm: Cli, tmp_path: Path, world_manifest: Path
) -> None:
    recipe(tmp_path, world_manifest, epochs=120)  # enough to be stopped twice on a busy machine
    words = ["bench", "tiny.toml", "--methods", "joint", "--seeds", "1", "--workers", "1", "--json"]
    epochs = 0

    def until_an_epoch(process: "subprocess.Popen[str]") -> None:
        """Waits for one more whole epoch than there was."""
        nonlocal epochs
        deadline, before = time.monotonic() + 120, epochs
        while epochs <= before:
            assert process.poll() is None, "it ended before it could be stopped"
            assert time.monotonic() < deadline
            logs = list((tmp_path / "bench" / "tiny" / "runs").glob("*/*/log.csv"))
            epochs = len(logs[0].read_text().splitlines()) - 1 if logs else 0
            time.sleep(0.01)

    for how in (signal.SIGINT, signal.SIGKILL):
        with subprocess.Popen(
            [sys.executable, "-m", "robustmm", *words],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        ) as process:  # fmt: skip
            until_an_epoch(process)
            workers = children(process.pid)
            assert len(workers) == 1
            if how == signal.SIGINT:
                os.killpg(process.pid, how)  # as a terminal does: to everyone in it
            else:
                process.kill()
            out, err = process.communicate(timeout=60)
        assert out == ""
        assert "Traceback" not in err
        if how == signal.SIGINT:
            assert process.returncode == 5
            assert err.splitlines()[-1] == (
                "error: stopped with 0 of 1 trainings done; every whole epoch is kept in bench/tiny, "
                "the same command continues with the rest"
            )
        deadline = time.monotonic() + 20
        while any(parent(pid) is not None for pid in workers):
            assert time.monotonic() < deadline, "a worker outlives its bench"
            time.sleep(0.05)
    finished = robustmm(*words, cwd=tmp_path)
    assert finished.code == 0
    whole = robustmm(*words, "--out", "whole", cwd=tmp_path)
    one, other = (json.loads(result.out)["cells"][0] for result in (finished, whole))
    for key in ("accuracy", "nll", "macro_f1", "valid_accuracy", "kept_epoch"):
        assert one[key] == other[key]
    assert len(list((tmp_path / "bench" / "tiny" / "runs").glob("*/*/run.json"))) == 1, "one run, three times continued"


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["no.toml"], 2, "the recipe no.toml does not exist"),
        (["tiny.toml", "--methods", "joint,jont"], 2, 'jont: "jont" is not a method, did you mean "joint"?'),
        (["tiny.toml", "--methods", "joint,joint"], 2, "--methods names joint twice"),
        (["tiny.toml", "--methods", " ,"], 2, "--methods should name at least one method, found none"),
        (["tiny.toml", "--baseline", "jont"], 2, 'jont: "jont" is not a method, did you mean "joint"?'),
        (["tiny.toml", "--seeds", "0"], 2, "Invalid value for '--seeds'"),
        (["tiny.toml", "--workers", "0"], 2, "Invalid value for '--workers'"),
        (["tiny.toml", "--suite", "no"], 2, '"no" is not a suite'),
        (["tiny.toml", "--suite", "wrong.toml"], 2, 'there is no modality "vectr", did you mean "vector"?'),
        (["tiny.toml", "--missing", "vectr=0.5"], 2, 'there is no modality "vectr", did you mean "vector"?'),
        (["tiny.toml", "--set", "train.seed=3"], 2, "--set train.seed has no say here: a bench has --seeds"),
        (["tiny.toml", "--set", "method.name=cal"], 2, "--set method.name has no say here: a bench has --methods"),
        (["tiny.toml", "--set", "train.epoch=3"], 2, '"epoch" is not a key here, did you mean "epochs"?'),
        (["tiny.toml", "--methods", "unimodal", "--set", "model.fusion=gated"], 2, "unimodal: unimodal alone never"),
        (["tiny.toml", "--data", "no.csv"], 3, "the manifest no.csv does not exist"),
        (["tiny.toml", "--csv", "no/where.csv"], 3, "no/where.csv cannot be written: No such file or directory"),
        (["tiny.toml", "--markdown", "tiny.toml/a.md"], 3, "tiny.toml/a.md cannot be written: Not a directory"),
        (["tiny.toml", "--latex", "."], 3, ". cannot be written: Is a directory"),
        (["tiny.toml", "--out", "tiny.toml"], 3, "tiny.toml cannot be the folder of a bench: Not a directory"),
        (["tiny.toml", "--margin", "0"], 2, "Invalid value for '--margin'"),
        (["tiny.toml", "--select", "best"], 2, "Invalid value for '--select'"),
        (["tiny.toml", "--threads", "0"], 2, "Invalid value for '--threads'"),
        (["tiny.toml", "--limit", "3"], 2, "No such option: --limit"),
    ],
)
def test_misuse(robustmm: Cli, here: Path, words: list[str], code: int, sentence: str) -> None:
    result = robustmm("bench", *words, cwd=here)
    assert (result.code, result.out) == (code, "")
    assert sentence in result.err
    assert not (here / "bench").exists(), "nothing was begun"


def test_every_refused_method_is_named_at_once(robustmm: Cli, here: Path) -> None:
    result = robustmm("bench", "tiny.toml", "--methods", "jont,cal+mc,joint", cwd=here)
    assert result.code == 2
    assert [line.split(":")[1] for line in result.err.splitlines() if line.startswith("error")] == [" jont", " cal+mc"]


def test_the_board_counts_epochs_into_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "notes", Console(file=io.StringIO(), force_terminal=True))
    board = progress.BenchProgress(4)
    whole = board.bar.tasks[0]
    a, b, c = (Cell("[red]cal+mce", seed, {}, str(seed)) for seed in range(3))
    board.event(a, "kept", None)
    assert whole.completed == 1
    assert whole.speed is None, "what was done before says nothing of the speed"
    board.event(b, "started", None)
    board.event(c, "started", None)
    board.event(b, "begin", ("teacher vector", 4, 0))
    board.event(b, "epoch", (4, 0.5))
    assert whole.completed == 1, "teachers are no part of the training"
    board.event(b, "begin", ("training", 4, 1))
    assert whole.completed == 1.25
    board.event(b, "epoch", (2, 0.123))
    assert whole.completed == 1.5
    line = next(task for task in board.bar.tasks if "seed 1" in task.description)
    assert line.description == "[red]cal+mce, seed 1: training, valid 12.3%"
    assert (line.completed, line.total) == (2, 4)
    with board.show_live():
        pass
    board.event(b, "ended", True)
    assert whole.completed == 2
    assert len(board.bar.tasks) == 2


def test_schemas_hold_the_result() -> None:
    assert BenchResult.model_json_schema(mode="serialization")["properties"].keys() >= {"cells", "methods", "columns"}
    assert CellResult.model_fields["accuracy"].annotation == dict[str, float]
    assert SimpleNamespace(**json.loads(SCHEMA.read_text())).title == "BenchResult"
