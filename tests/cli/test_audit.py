"""`robustmm audit`, rightly used and misused, stopped and killed."""

import errno
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from audits import SUITE, forget

from robustmm.auditing.results import effects
from robustmm.auditing.store import Store
from robustmm.runs import Run

Cli = Callable[..., Any]

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "audit.schema.json"
SHORT = '[[grid]]\nkind = ["series"]\nlevel = [0.5, 1.0]\nnoise = ["gaussian"]\n'
QUICK = ["--suite", "short.toml", "--batch", "64"]


@pytest.fixture
def here(tmp_path: Path, world: Run) -> Path:
    """A folder with runs/world-001 in it, exported, and two suites."""
    forget()
    shutil.copytree(world.folder, tmp_path / "runs" / "world-001")
    (tmp_path / "suite.toml").write_text(SUITE)
    (tmp_path / "short.toml").write_text(SHORT)
    return tmp_path


@pytest.fixture
def model(here: Path) -> Path:
    return here / "runs" / "world-001" / "model.onnx"


def again(robustmm: Cli, *words: object, cwd: Path) -> Any:
    """As in a process of its own: nothing is opened yet."""
    forget()
    return robustmm("audit", *words, cwd=cwd)


def kept(folder: Path) -> dict[Path, int]:
    """Every file below, and when it was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_the_report_and_what_is_kept(robustmm: Cli, here: Path, world_manifest: Path) -> None:
    result = robustmm("audit", "--suite", "suite.toml", "--share", "0.6", "--full", cwd=here)
    assert result.code == 0
    (folder,) = (here / "audits").iterdir()
    assert folder.name.startswith("world-001-suite-")
    assert {path.name for path in folder.iterdir()} == {
        "audit.json", "cells", "examples.json", "records.parquet", "report.html", "results.json"
    }  # fmt: skip
    where = f"audits/{folder.name}"
    lines = result.err.splitlines()
    assert lines[0] == "model: runs/world-001/model.onnx (the newest exported)"
    assert lines[1] == f"data: split test of {world_manifest} (what the model was trained on)"
    assert lines[2].startswith("audit: 8 conditions and clean on 72 samples; per sample 36 decodings and encodings ")
    assert re.search(r"; about \d+ (s|min) with \d+ workers?$", lines[2])
    assert lines[-1] == f"results: {where}/results.json, records: {where}/records.parquet, report: {where}/report.html"
    shown = " ".join(result.out.split())
    for words in (
        "runs/world-001/model.onnx (cal+mce), suite suite",
        "72 samples of split test of",
        "Clean accuracy is 91.7 % [83.0, 96.1].",
        "Breaking levels: series",
        "Other conditions",
        "Missing inputs missing accuracy, mean missing rates % accuracy",
        "Modality contributions (exact Shapley, baseline: masked)",
        "Groups clean lowest group n accuracy accuracy under",
        "noise floor of 3 clean runs: 0.0 % of answers change",
    ):
        assert words in shown
    found = json.loads((folder / "results.json").read_text())
    assert found["suite"] == "suite"
    assert found["retention_threshold"] == 0.6


def test_the_json_is_the_files_and_obeys_its_schema(robustmm: Cli, here: Path) -> None:
    result = robustmm("audit", *QUICK, "--out", "a", "--json", "--by", "site", "--seed", "3", cwd=here)
    assert result.code == 0
    assert result.out == (here / "a/results.json").read_text()
    found = json.loads(result.out)
    jsonschema.validate(found, json.loads(SCHEMA.read_text()))
    assert (found["seed"], found["samples"], found["model"]) == (3, 72, "runs/world-001/model.onnx")
    assert {g["column"] for g in found["clean"]["groups"]} == {"label", "site"}


def test_intervals_are_over_the_clusters_of_a_column(robustmm: Cli, here: Path, embedded: list[str]) -> None:
    free = json.loads(again(robustmm, *QUICK, "--out", "a", "--json", cwd=here).out)
    calls = len(embedded)
    found = json.loads(again(robustmm, *QUICK, "--out", "a", "--json", "--cluster", "site", cwd=here).out)
    jsonschema.validate(found, json.loads(SCHEMA.read_text()))
    assert len(embedded) == calls, "another reading of the same cells"
    assert free["clusters"] is None
    assert (found["clusters"]["column"], found["clusters"]["number"]) == ("site", 2)
    assert found["clean"]["accuracy"]["value"] == free["clean"]["accuracy"]["value"]
    assert found["clean"]["accuracy"]["high"] > free["clean"]["accuracy"]["high"], "Student's quantile of one"
    assert {c["outcome"] for c in found["conditions"]} == {"undecided"}, "two clusters decide nothing"
    again_free = again(robustmm, *QUICK, "--out", "a", "--json", cwd=here).out
    assert json.loads(again_free) == free


def test_a_finished_audit_is_only_printed(robustmm: Cli, here: Path, embedded: list[str]) -> None:
    first = again(robustmm, *QUICK, "--out", "a", cwd=here)
    before, calls = kept(here / "a/cells"), len(embedded)
    assert calls
    second = again(robustmm, *QUICK, "--out", "a", cwd=here)
    assert len(embedded) == calls
    assert kept(here / "a/cells") == before
    assert second.out == first.out
    assert "audit: 3 conditions, all measured already, in a" in second.err
    assert "measured already" not in first.err


def test_fresh_measures_again(robustmm: Cli, here: Path, embedded: list[str]) -> None:
    again(robustmm, *QUICK, "--out", "a", cwd=here)
    before, calls = kept(here / "a"), len(embedded)
    content = {path: path.read_bytes() for path in before}
    result = again(robustmm, *QUICK, "--out", "a", "--fresh", cwd=here)
    assert "measured already" not in result.err
    assert len(embedded) == 2 * calls
    after = kept(here / "a")
    assert after.keys() == before.keys()
    assert all(after[path] > before[path] for path in before)
    assert {path: path.read_bytes() for path in after} == content


def test_fresh_on_nothing_and_a_part_that_is_measured(robustmm: Cli, here: Path) -> None:
    words = [*QUICK, "--out", "new", "--share", "0"]  # of which nothing fails: no cells of bisected levels
    assert again(robustmm, *words, "--fresh", cwd=here).code == 0
    cells = sorted((here / "new/cells").rglob("*.cell"))
    for path in cells[:3]:
        path.unlink()
    assert "; 67% is measured already" in again(robustmm, *words, cwd=here).err


def test_options_reach_the_audit(robustmm: Cli, here: Path) -> None:
    words = ["--split", "valid", "--limit", "20", "--baseline", "mean", "--share", "0.5", "--threads", "1", "--json"]
    result = again(robustmm, *QUICK, *words, cwd=here)
    found = json.loads(result.out)
    assert [found[key] for key in ("split", "samples", "baseline", "retention_threshold")] == ["valid", 20, "mean", 0.5]
    plain = json.loads(again(robustmm, *QUICK, *words[:4], "--json", cwd=here).out)
    assert plain["baseline"] == "masked"
    assert plain["clean"]["accuracy"] == found["clean"]["accuracy"]
    assert plain["clean"]["modalities"] != found["clean"]["modalities"]
    assert len(list((here / "audits").iterdir())) == 2, "another question is another folder"


def test_the_same_question_has_the_same_folder(robustmm: Cli, here: Path, model: Path) -> None:
    for words in ([], ["--share", "0.3"], ["--by", "site"], ["--batch", "3"], [model]):
        assert again(robustmm, *QUICK, *words, cwd=here).code == 0
    assert len(list((here / "audits").iterdir())) == 1
    for words in (["--seed", "1"], ["--limit", "9"], ["--suite", "suite.toml"]):
        assert again(robustmm, *QUICK, *words, cwd=here).code == 0
    assert len(list((here / "audits").iterdir())) == 4
    inside = again(robustmm, "model.onnx", "--suite", here / "short.toml", "--limit", "9", cwd=model.parent)
    assert inside.code == 0
    assert [p.name.rpartition("-")[0] for p in (model.parent / "audits").iterdir()] == ["world-001-short"]


def test_a_reference(robustmm: Cli, here: Path) -> None:
    again(robustmm, *QUICK, "--out", "a", cwd=here)
    result = again(robustmm, *QUICK, "--out", "b", "--reference", "a/results.json", cwd=here)
    assert result.code == 0
    assert "Error     1.00 of that of runs/world-001/model.onnx" in result.out
    assert (
        "mean corruption error"
        in again(robustmm, *QUICK, "--out", "b", "--reference", "a/results.json", "--full", cwd=here).out
    )
    found = json.loads((here / "b/results.json").read_text())["reference"]
    assert found["mean_corruption_error"] == 1
    assert found["model"] == "runs/world-001/model.onnx"
    wrong = again(robustmm, *QUICK, "--out", "b", "--reference", "a/results.json", "--limit", "50", cwd=here)
    assert (wrong.code, wrong.out) == (3, "")
    assert "was measured on other samples" in wrong.err


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--suite", "deploment"], 2, '"deploment" is not a suite, did you mean "deployment"?'),
        (["--suite", "none.toml"], 2, "the suite none.toml does not exist"),
        (["--suite", "[/red].toml"], 2, "the suite [/red].toml does not exist"),
        (["--suite", "wrong.toml"], 2, 'wrong.toml:4: "gausian" is not a corruption, did you mean "gaussian"?'),
        (["--suite", "text.toml"], 2, "none of the suite's conditions serves features, series"),
        (["--suite", "latin.toml"], 2, "latin.toml is not UTF-8 text"),
        (["no.onnx"], 3, "the model no.onnx does not exist"),
        (["--runs", "no"], 2, "there should be an exported model in no/, found none; make one with: robustmm export"),
        (["short.toml"], 3, "short.toml is not a readable ONNX model"),
        (["--data", "no.csv"], 3, "the manifest no.csv does not exist"),
        (["--limit", "0"], 2, "Invalid value for '--limit'"),
        (["--share", "2"], 2, "Invalid value for '--share'"),
        (["--share", "-1"], 2, "Invalid value for '--share'"),
        (["--share", "nan"], 2, "Invalid value for '--share'"),
        (["--by", "sit"], 3, 'has no column "sit", did you mean "site"?'),
        (["--cluster", "sit"], 3, 'has no column "sit", did you mean "site"?'),
        (["--cluster", "split"], 3, 'has one "split" only, expected at least 2 clusters'),
        (["--by", "[/red]"], 3, 'has no column "[/red]"'),
        (["--workers", "0"], 2, "Invalid value for '--workers'"),
        (["--threads", "0"], 2, "Invalid value for '--threads'"),
        (["--batch", "0"], 2, "Invalid value for '--batch'"),
        (["--seed", "-1"], 2, "Invalid value for '--seed'"),
        (["--split", "tset"], 3, 'no rows in split "tset", did you mean "test"?'),
        (["--baseline", "meen"], 2, "Invalid value for '--baseline'"),
        (["--provider", "cdua"], 2, '"cdua" is not a provider, did you mean "cuda"?'),
        (["--on-bad-input", "skip"], 2, "'skip' is not one of 'error', 'missing'"),
        (["--reference", "none.json"], 3, "none.json should be the results.json of an audit"),
        (["--reference", "list.json"], 3, "list.json has no format, expected 4"),
        (["--reference", "runs"], 3, "runs should be the results.json of an audit"),
        (["--out", "short.toml"], 3, "short.toml cannot be the folder of an audit: Not a directory"),
        (["--out", "short.toml", "--fresh"], 3, "short.toml cannot be the folder of an audit: Not a directory"),
        (["--out", "short.toml/deep"], 3, "short.toml/deep cannot be the folder of an audit: Not a directory"),
        (["--describe", "none.toml"], 2, "none.toml"),
    ],
)
def test_misused(robustmm: Cli, here: Path, words: list[str], code: int, sentence: str) -> None:
    (here / "wrong.toml").write_text('[[grid]]\nlevel = [0.5]\n# a remark\nnoise = ["gausian"]\n')
    (here / "text.toml").write_text('[[grid]]\nlevel = [0.5]\nnoise = ["keyboard"]\n')
    (here / "latin.toml").write_bytes(b"# \xff\n" + SHORT.encode())
    (here / "list.json").write_text("[1]")
    result = again(robustmm, *QUICK, *words, cwd=here)
    assert (result.code, result.out) == (code, "")
    (error,) = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert sentence in error
    if code == 2 or words[0] in ("--reference", "--by", "--cluster"):
        assert not (here / "audits").exists(), "nothing is measured for a question that cannot be answered"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_cannot_be_written(robustmm: Cli, here: Path) -> None:
    (here / "locked").mkdir(mode=0o555)
    result = again(robustmm, *QUICK, "--out", "locked", cwd=here)
    assert (result.code, result.out) == (3, "")
    assert "Permission denied" in result.err


def test_a_finished_audit_is_read_where_nothing_can_be_written(
    robustmm: Cli, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = again(robustmm, *QUICK, "--out", "a", cwd=here)
    opened = Path.open

    def read_only(path: Path, mode: str = "r", *more: Any, **options: Any) -> Any:
        if set(mode) & set("wax+"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return opened(path, mode, *more, **options)

    monkeypatch.setattr(Path, "open", read_only)
    assert again(robustmm, *QUICK, "--out", "a", cwd=here)[:2] == (0, whole.out)
    (here / "a" / "results.json").unlink()
    result = again(robustmm, *QUICK, "--out", "a", cwd=here)
    assert (result.code, result.out) == (3, "")
    assert result.err.endswith("the same command continues\n")
    assert "error: a cannot be written: Read-only file system; " in result.err


@pytest.mark.skipif(os.name != "posix", reason="limits of a process are POSIX's")
@pytest.mark.parametrize("size", [40, 5000, 15_000])
def test_a_full_disk_is_a_sentence_and_leaves_nothing_half(robustmm: Cli, here: Path, size: int) -> None:
    """No file may grow beyond `size` bytes: the floor's, then a cell's, then the table's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        result = again(robustmm, *QUICK, "--out", "a", cwd=here)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert (result.code, result.out) == (3, "")
    (error,) = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert error.startswith("error: a cannot be written: File too large; ")
    assert " cannot be written: File too large; " in error
    assert error.endswith("the same command continues")
    assert ".part" not in error
    assert not list((here / "a").rglob("*.part"))
    assert not (here / "a/results.json").exists()
    assert again(robustmm, *QUICK, "--out", "a", cwd=here).code == 0


def test_ctrl_c_keeps_what_was_made(robustmm: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = again(robustmm, *QUICK, "--out", "whole", cwd=here)
    plain, left = Store.put, [4]

    def put(self: Store, key: str, records: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        plain(self, key, records)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "put", put)
        result = again(robustmm, *QUICK, "--out", "a", cwd=here)
    assert (result.code, result.out) == (5, "")
    told = "4 of 9 cells of 3 conditions are measured, and kept in a; the same command continues"
    assert result.err.endswith(f"error: PARTIAL: interrupted; {told}\n")
    result = again(robustmm, *QUICK, "--out", "a", cwd=here)
    assert (result.code, result.out) == (0, whole.out)
    assert "; 44% is measured already" in result.err
    assert (here / "a/results.json").read_bytes() == (here / "whole/results.json").read_bytes()


def test_ctrl_c_before_anything_is_asked(robustmm: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("robustmm.auditing.prepare.estimate_cost", stopped)
    assert again(robustmm, *QUICK, cwd=here).code == 5


def test_hostile_words_are_shown_as_they_are(robustmm: Cli, here: Path, world_manifest: Path) -> None:
    """In a column of the manifest, in names of conditions, in the names of files."""
    shutil.copytree(world_manifest.parent, here / "[red]data é 🎈")
    path = here / "[red]data é 🎈" / "manifest.csv"
    text = path.read_text().replace(",north,", ",[/red]é 🎈 \x1b[31m,").replace(",site,", ",[bold],")
    path.write_text(text)
    name = "[/red] é 🎈 \\u001b[31m " + "w" * 120
    (here / "[b] é.toml").write_text(f'[[condition]]\nname = "{name}"\nnoise = [{{name = "blank", level = 1}}]\n')
    words = ["--suite", "[b] é.toml", "--data", path, "--by", "[bold]", "--out", "[/a] é", "--full"]
    result = again(robustmm, *words, cwd=here)
    assert result.code == 0
    assert "\x1b" not in result.out
    shown = "".join(result.out.split())
    for said in ("[/red]é🎈�[31m" + "w" * 20, "[bold]:[/red]é🎈�[31m", "suite[b]é"):
        assert said in shown
    assert result.out.count("w") > 240, "a long name is folded, in the headline and in the tables"
    found = json.loads((here / "[/a] é/results.json").read_text())
    assert found["conditions"][0]["name"] == "[/red] é 🎈 \x1b[31m " + "w" * 120
    assert again(robustmm, *words, cwd=here).out == result.out


def test_one_sample_and_one_class(robustmm: Cli, here: Path) -> None:
    """Too few for almost any number: every table stands, what there is not is a dash."""
    result = again(robustmm, "--suite", "suite.toml", "--limit", "1", "--full", cwd=here)
    assert result.code == 0
    assert "1 samples of split test" in result.out


def started(*words: str, cwd: Path, code: str = "") -> subprocess.Popen[str]:
    """A process of its own, and of a group of its own, as a terminal would have it; `code` runs first."""
    program = f"import sys; from robustmm.cli import main\n{code}\nif __name__ == '__main__':\n    main()"
    script = cwd / "command.py"
    script.write_text(program)
    return subprocess.Popen(
        [sys.executable, str(script), "audit", *words], cwd=cwd, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, told = process.communicate(timeout=240)
    return process.returncode, told


def wait_for(folder: Path, cells: int, process: subprocess.Popen[str]) -> None:
    """Until that many cells are there, or the process has ended."""
    while process.poll() is None and len(list(folder.glob("cells/*/*.cell"))) < cells:
        time.sleep(0.002)


WORDS = ("--suite", "suite.toml", "--out", "a", "--share", "0.6", "--batch", "64", "--workers")


@pytest.fixture
def undisturbed(robustmm: Cli, here: Path) -> bytes:
    assert again(robustmm, *WORDS[:2], "--out", "whole", *WORDS[4:6], cwd=here).code == 0
    return (here / "whole/results.json").read_bytes()


@pytest.mark.slow
def test_killed_at_random_moments_it_goes_on(here: Path, undisturbed: bytes) -> None:
    """SIGKILL, to the process and to all it started, some cells further each time; then the same command."""
    rng, kept = random.Random(2), 0
    for _ in range(3):
        process = started(*WORDS, "2", cwd=here)
        wait_for(here / "a", kept + rng.randint(1, 4), process)
        time.sleep(0.02 * rng.random())
        os.killpg(process.pid, signal.SIGKILL)
        assert ended(process)[0] == -signal.SIGKILL
        now = len(list((here / "a").glob("cells/*/*.cell")))
        assert now > kept, "what was made before is kept"
        kept = now
    assert not (here / "a/results.json").exists()
    assert ended(started(*WORDS, "2", cwd=here))[0] == 0
    assert (here / "a/results.json").read_bytes() == undisturbed
    assert not list((here / "a").rglob("*.part")), "what the killed left half written is swept"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "number", "send"),
    [
        ("2", signal.SIGINT, os.killpg),
        ("2", signal.SIGTERM, os.kill),
        ("1", signal.SIGHUP, os.kill),
    ],
)
def test_stopped_by_a_terminal_or_a_scheduler(
    here: Path, undisturbed: bytes, workers: str, number: signal.Signals, send: Callable[[int, int], None]
) -> None:
    """Whether every process of the group hears it or the parent alone: one of them answers, in a sentence."""
    process = started(*WORDS, workers, cwd=here)
    wait_for(here / "a", 5, process)
    send(process.pid, number)
    code, told = ended(process)
    assert code == 5
    assert "Traceback" not in told
    assert told.splitlines()[-1].startswith("error: PARTIAL: interrupted; ")
    assert told.endswith(" of 9 conditions are measured, and kept in a; the same command continues\n")
    assert ended(started(*WORDS, workers, cwd=here))[0] == 0
    assert (here / "a/results.json").read_bytes() == undisturbed


@pytest.mark.slow
def test_two_audits_at_once_in_one_folder(here: Path, undisturbed: bytes) -> None:
    running = [started(*WORDS, workers, cwd=here) for workers in ("1", "2", "1")]
    assert [ended(process)[0] for process in running] == [0, 0, 0]
    assert (here / "a/results.json").read_bytes() == undisturbed
    assert not list((here / "a").rglob("*.part"))


def test_every_option_has_help(robustmm: Cli, here: Path) -> None:
    shown = " ".join(robustmm("audit", "--help", cwd=here).out.split())
    options: Sequence[str] = ("--suite", "--workers", "--fresh", "--by", "--baseline", "--share", "--reference")
    assert all(option in shown for option in options)
    assert effects.MIN_GROUP_SAMPLES == 10
