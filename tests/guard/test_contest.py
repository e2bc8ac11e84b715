"""`benchmarks/guard.py`: the guard against its rivals, on a small model; and what the contest does in arrays."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from robustmm.guard.graph.decision import write_memory
from robustmm.guard.graph.operators import Operators, build_model
from robustmm.guard.reliability import list_subsets
from robustmm.runs import Run
from robustmm.runtime.runner import Runner

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def beside_the_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_the_contest_on_a_small_model(world: Run, tmp_path: Path) -> None:
    """As a user runs it; and again, when nothing is left to do."""
    words = [f"{world.model}={world.read_facts()['manifest']}", "--cache", str(tmp_path / "kept"), "--level", "1"]
    words += ["--most", "1", "--json", str(tmp_path / "cells.json")]
    said = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, str(BENCHMARKS / "guard.py"), *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        said.append(done.stdout)
    assert said[0] == said[1]
    assert "| ours with memory |" in said[0]
    (told,) = json.loads((tmp_path / "cells.json").read_text())
    assert len(told["cells"]) == told["single"]["cells"] + told["double"]["cells"]
    assert {cell["faults"][0]["name"] for cell in told["cells"]} >= {"gaussian", "mismatch"}
    assert told["clean"]["plain"]["cost"] == 0
    assert told["clean"]["ours"]["cost"] < 5
    for part in ("single", "double"):
        rules = told[part]["rules"]
        assert rules["plain"]["headroom"] == 0
        assert rules["best"]["headroom"] == 1
        assert rules["best"]["accuracy"] >= max(found["accuracy"] for found in rules.values()) - 0.05
        assert len(rules) == (16 if part == "single" else 15)
    for cell in told["cells"]:
        assert cell["accuracy"]["best"] >= cell["accuracy"]["plain"]


def test_memory_is_that_of_the_graph() -> None:
    from contest.cells import remember

    rng = np.random.default_rng(0)
    odds, kept = rng.normal(size=(30, 2)).astype(np.float32), rng.random((30, 2)) < 0.7
    ops = Operators("", 18)
    given = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, 2]) for n in ("odds", "memory")]
    given.append(helper.make_tensor_value_info("kept", TensorProto.BOOL, [None, 2]))
    runner = Runner(build_model(ops, given, [write_memory(ops, "odds", "kept"), "memory.next"]))
    memory, found = np.zeros((1, 2), np.float32), []
    for own, here in zip(odds, kept, strict=True):
        decided, memory = runner.run({"odds": own[None], "kept": here[None], "memory": memory})
        found.append(decided[0])
    np.testing.assert_allclose(remember(odds.astype(float), kept), found, atol=1e-5)


def test_what_is_dropped() -> None:
    from contest.dropping import drop, find_subset

    scores = np.array([[1.0, 5.0, 3.0], [4.0, 5.0, 3.0], [4.0, 5.0, 9.0], [0.0, 0.0, 0.0]])
    present = np.array([[True] * 3, [True] * 3, [True, True, False], [True] * 3])
    dropped = drop(scores, present, 2.0)
    expected = [[False, True, True], [True, True, False], [False, True, False], [False] * 3]
    assert dropped.tolist() == expected
    assert (~list_subsets(3)[find_subset(dropped)]).tolist() == expected


def test_the_lowest_threshold_that_keeps_the_budget() -> None:
    from contest.dropping import find_lowest

    n = 1000
    scores = np.stack([np.arange(n) / n, np.zeros(n)], 1)
    right = np.ones((n, 4))
    right[:, 1] = np.arange(n) < n * 0.8  # without the first modality the 200 strangest are wrong
    lowest = find_lowest(scores, np.ones((n, 2), bool), right, 0.05)
    assert 0.94 < lowest < 0.96
    assert find_lowest(scores, np.ones((n, 2), bool), np.ones((n, 4)), 0.0) < 0.01


def test_a_fault_is_paired_with_one_of_its_level() -> None:
    from contest.models import pair_faults

    from robustmm.guard.examples import Fault

    a = [Fault("x", "f", name, level) for name in "pqr" for level in (0.2, 1.0)]
    b = [Fault("y", "g", "s", 0.2), Fault("y", "g", "s", 1.0)]
    pairs = list(pair_faults(a, b))
    assert len(pairs) == 6
    assert all(one.level == two.level for one, two in pairs)
    assert list(pair_faults(a, [Fault("y", "mismatch", "mismatch", 0.5)])) == []
