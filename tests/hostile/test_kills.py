"""A few kills of what needs no workers, and what a kill must not do."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hostile.fork import Ended
from hostile.kills import NOTHING, SIGNALS, compare, judge, resume_training

ROOT = Path(__file__).parents[2]
TOLD = "error: stopped; every whole epoch is kept, continue with: robustmm train --resume 'runs/a b'"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0])
def test_what_was_killed_goes_on_to_the_same_result(tmp_path: Path, seed: int) -> None:
    """As a user of the benchmark sees it; in a process of its own, since forks of this one would lose threads."""
    words = ["--kills", "4", "--seed", str(seed), "--only", "train", "--only", "audit, workers 1"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "kills.py"), *words, "--keep", str(tmp_path / "kept")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    total = done.stdout.splitlines()[-2].strip("│ ").split("│")
    assert [int(cell) for cell in total[-3:]][::2] == [4, 0]
    assert not (tmp_path / "kept").exists()


def ended(code: int, err: str = "", left: int = 0) -> Ended:
    return Ended(code, 1.0, 0, "", err, left)


def test_a_wrong_end_is_a_fault() -> None:
    told = "4 of 9 cells of 3 conditions are measured, and kept in a; the same command continues"
    right = ended(5, f"error: PARTIAL: interrupted; {told}\n")
    assert judge(right, signal.SIGTERM, in_time=True) == []
    assert judge(ended(5, NOTHING), signal.SIGINT, in_time=True) == []
    assert judge(ended(-9), signal.SIGKILL, in_time=True) == []
    assert judge(ended(0), signal.SIGKILL, in_time=False) == []
    assert judge(ended(0), signal.SIGTERM, in_time=True) == ["SIGTERM: exit code 0"]
    assert judge(ended(-15), signal.SIGTERM, in_time=True) == ["SIGTERM: exit code -15"]
    assert judge(ended(5, "error: oh"), signal.SIGHUP, in_time=True) == ["no word of how to continue: error: oh"]
    wrong = judge(ended(70, "Traceback (most recent call last)", left=2), signal.SIGINT, in_time=True)
    assert wrong == ["SIGINT: exit code 70", "2 processes left", "a traceback"]


def test_training_continues_as_it_was_told(tmp_path: Path) -> None:
    words = ("train", "world.toml")
    assert resume_training(words, tmp_path, ended(5, TOLD)) == ("train", "--resume", "runs/a b")
    assert resume_training(words, tmp_path, ended(5, NOTHING)) == words
    assert resume_training(words, tmp_path, ended(-9)) == words
    (tmp_path / "runs/a").mkdir(parents=True)
    (tmp_path / "runs/a/run.json").write_text('{"finished": false}')
    assert resume_training(words, tmp_path, ended(-9)) == ("train", "--resume")
    (tmp_path / "runs/a/run.json").write_text('{"finished": true}')
    assert resume_training(words, tmp_path, ended(-9)) == ()


def test_what_differs_and_what_is_left_is_a_fault(tmp_path: Path) -> None:
    from hostile.kills import build_commands

    command = build_commands(tmp_path, tmp_path / "data")["audit, workers 1"]
    whole: dict[str, object] = {"results.json": b"{}", "records.parquet": b"PAR1"}
    assert compare(command, tmp_path, whole)[0].startswith("no result: ")
    (tmp_path / "a").mkdir()
    for name, content in (("results.json", b"{ }"), ("records.parquet", b"PAR1"), (".results.json.1f.part", b"{")):
        (tmp_path / "a" / name).write_bytes(content)
    assert compare(command, tmp_path, whole) == ["results.json differs", "a/.results.json.1f.part is left"]


def test_every_signal_that_ends_work_is_sent() -> None:
    assert {random.Random(0).choice(SIGNALS) for _ in range(9)} <= set(SIGNALS)
    assert {number.name for number in SIGNALS} == {"SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"}
