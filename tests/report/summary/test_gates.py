"""The verdict is the first line, and the table of gates fits 80 columns."""

from io import StringIO

import pytest
from audits import estimate, outcome, result
from rich.console import Console, Group

from robustmm.auditing.results.verdict import GateResult, Verdict
from robustmm.evaluation.attack_result import Estimate
from robustmm.report.summary.gates import render_gates, verdict_line

HOSTILE = "\x1b[31m[/red][bold]x\n"


def gate(verdict: Verdict, **more: object) -> GateResult:
    fields: dict[str, object] = {
        "name": verdict.lower(), "metric": "accuracy", "required": "min", "requirement": "accuracy at least 90 %",
        "verdict": verdict, "judged_on": "interval", "condition": "rain", "part": "", "value": estimate(0.8),
        "bound": 0.9, "baseline_sha256": "", "samples": 100, "samples_to_decide": float("nan"), "reason": "so it is",
    }  # fmt: skip
    return GateResult.model_validate(fields | more)


def shown(verdict: Verdict | None, *gates: GateResult) -> str:
    text = StringIO()
    found = result(outcome(), verdict=verdict, gates=list(gates))
    Console(file=text, width=80, color_system=None, highlight=False).print(Group(*render_gates(found)))
    return text.getvalue()


@pytest.mark.parametrize(
    ("verdicts", "line"),
    [
        (["PASS"], "PASS: the gate passes"),
        (["PASS", "PASS"], "PASS: all 2 gates pass"),
        (["FAIL"], "FAIL: 1 of 1 gate fails"),
        (["FAIL", "FAIL", "PASS"], "FAIL: 2 of 3 gates fail"),
        (["FAIL", "FAIL", "INCONCLUSIVE"], "FAIL: 2 of 3 gates fail, 1 is inconclusive"),
        (["FAIL", "INCONCLUSIVE", "INCONCLUSIVE"], "FAIL: 1 of 3 gates fails, 2 are inconclusive"),
        (["PASS", "INCONCLUSIVE"], "INCONCLUSIVE: 1 of 2 gates is inconclusive, none fails"),
        (["INCONCLUSIVE", "INCONCLUSIVE"], "INCONCLUSIVE: 2 of 2 gates are inconclusive, none fails"),
    ],
)
def test_the_verdict_is_a_line(verdicts: list[Verdict], line: str) -> None:
    assert verdict_line([gate(verdict) for verdict in verdicts]) == line


def test_the_verdict_comes_first_and_the_worst_gate_next() -> None:
    lines = shown("FAIL", gate("PASS"), gate("INCONCLUSIVE"), gate("FAIL")).splitlines()
    assert lines[0].rstrip() == "FAIL: 1 of 3 gates fails, 1 is inconclusive"
    rows = [line.split()[:2] for line in lines if "≥ 90 %" in line]
    assert rows == [["FAIL", "fail"], ["?", "inconclusive"], ["PASS", "pass"]]
    text = " ".join(" ".join(lines).split())
    assert "80.0 % [70.0, 90.0] ≥ 90 % rain" in text
    assert "FAIL fail: accuracy at least 90 %; so it is. INCONCLUSIVE inconclusive: accuracy at least 90 %" in text
    assert "pass: accuracy" not in text


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"metric": "nll", "required": "max"}, "0.800 [0.700, 0.900] ≤ 0.9"),
        ({"metric": "ece", "required": "max", "judged_on": "point"}, "0.800 ≤ 0.9"),
        ({"metric": "drop", "required": "max"}, "80.0 pt [70.0, 90.0] ≤ 90 pt"),
        ({"required": "max_drop"}, "80.0 pt [70.0, 90.0] ≤ 90 pt"),
        ({"required": "baseline", "bound": 0.005}, "80.0 pt [70.0, 90.0] ≤ 0.5 pt"),
        ({"metric": "nll", "required": "max_relative_drop"}, "80.0 % [70.0, 90.0] ≤ 90 %"),
        ({"value": Estimate(value=float("nan"), low=float("nan"), high=float("nan"))}, "– ≥ 90 %"),
        ({"part": "site: north"}, "≥ 90 % rain (site: north)"),
    ],
)
def test_values_in_their_units(more: dict[str, object], words: str) -> None:
    assert words in " ".join(shown("FAIL", gate("FAIL", **more)).split())


def test_without_gates_there_is_nothing() -> None:
    assert render_gates(result(outcome())) == []


def test_long_and_hostile_names_fit() -> None:
    text = shown("FAIL", gate("FAIL", name=HOSTILE * 9, condition=HOSTILE * 9, part=HOSTILE, reason=HOSTILE))
    assert "\x1b" not in text
    assert "[/red]" in text
    assert all(len(line) <= 80 for line in text.splitlines())
