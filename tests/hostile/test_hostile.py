"""Some hostile inputs from all campaigns, and proof that the judge finds what it should.

Thousands: `python benchmarks/hostile.py --inputs 10000 --seed 0`.
"""

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hostile.campaigns import CAMPAIGNS
from hostile.fork import MEMORY, SECONDS, Ended
from hostile.judge import Case, find_faults
from hostile.mutations import damage, replace_leaf

WELL = Ended(0, 0.1, 2**28, "result\n", "data: here\n", 0)
INPUTS = 4
"""Of each campaign."""


def test_no_input_makes_a_command_fail(tmp_path: Path) -> None:
    """In a process of its own: this one has run onnxruntime, whose threads no fork survives."""
    script = Path(__file__).parents[2] / "benchmarks" / "hostile.py"
    words = ["--inputs", str(INPUTS * len(CAMPAIGNS)), "--seed", "7", "--reproducers", tmp_path]
    done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True)
    told = "\n".join(path.read_text() for path in tmp_path.glob("*/FAULT.txt"))
    assert done.returncode == 0, done.stderr + told
    assert re.search(rf"│ all +│ {INPUTS * len(CAMPAIGNS)} +│ 0 +│", done.stdout), done.stdout


@pytest.mark.parametrize(
    ("ended", "fault"),
    [
        (WELL._replace(code=70), "exit code 70, expected 0 or 2 or 3"),
        (WELL._replace(code=-11), "signal 11"),
        (WELL._replace(code=-9, seconds=SECONDS + 1), f"more than {SECONDS} s"),
        (WELL._replace(peak=MEMORY + 2**30), "5.0 GiB"),
        (WELL._replace(left=2), "2 processes left"),
        (WELL._replace(err="Traceback (most recent call last):\n"), "a traceback"),
        (WELL._replace(code=2, err="no\n"), "no sentence"),
        (WELL._replace(out="a\x1b[2J\n"), "U+001B on stdout"),
        (WELL._replace(err="a\u202eb\n"), "U+202E on stderr"),
    ],
)
def test_the_judge_finds_each_fault(ended: Ended, fault: str, tmp_path: Path) -> None:
    assert find_faults(Case([]), WELL, tmp_path) == []
    assert find_faults(Case([]), ended, tmp_path) == [fault]


def test_another_result_is_a_fault_where_the_command_ended_well(tmp_path: Path) -> None:
    case = Case([], differs=lambda ended, folder: ended.out != "result\n")
    assert find_faults(case, WELL, tmp_path) == []
    assert find_faults(case, WELL._replace(out="other\n"), tmp_path) == ["another result without a word"]
    refused = WELL._replace(code=3, out="", err="error: damaged\n")
    assert find_faults(case, refused, tmp_path) == []


def test_a_terminal_that_is_gone_reads_no_sentence(tmp_path: Path) -> None:
    silent = WELL._replace(code=3, out="", err="")
    assert find_faults(Case([]), silent, tmp_path) == ["no sentence"]
    assert find_faults(Case([], streams=("open", "open", "closed")), silent, tmp_path) == []


def test_the_same_seed_makes_the_same_damage() -> None:
    content, tree = bytes(range(256)) * 9, {"a": [1, 2.5, {"b": "c"}], "d": {"e": None}}
    made = [(damage(content, random.Random(i)), replace_leaf(tree, random.Random(i))) for i in range(200)]
    again = [(damage(content, random.Random(i)), replace_leaf(tree, random.Random(i))) for i in range(200)]
    assert repr(made) == repr(again)
    assert sum(found != content for found, _ in made) > 150
    assert sum(repr(found) != repr(tree) for _, found in made) > 180
    assert tree == {"a": [1, 2.5, {"b": "c"}], "d": {"e": None}}, "the tree itself stays"
