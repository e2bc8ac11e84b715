"""The summary fits one screen: no line over the width, at most LINES lines, and what is left out is counted."""

from io import StringIO
from typing import Any

import pytest
from audits import outcome, result
from gated import HOSTILE, audit, gate, threshold
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.results.verdict import GateResult
from robustmm.report.live.console import Door
from robustmm.report.summary.findings import NO_GATES
from robustmm.report.summary.screen import LINES, ROWS, Summary

GATES = {
    "none": (),
    "one": (gate("PASS"),),
    "some": (gate("PASS"), gate("FAIL"), gate("INCONCLUSIVE")),
    "many": tuple(gate(v, f"{v} {k}") for k in range(30) for v in ("PASS", "INCONCLUSIVE", "FAIL")),
}  # fmt: skip


def shown(found: AuditResult, width: int = 80) -> list[str]:
    text = StringIO()
    Console(file=text, width=width, color_system=None, highlight=False).print(Summary(found))
    return text.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("name", ["n", HOSTILE], ids=["plain", "hostile"])
@pytest.mark.parametrize("gates", GATES.values(), ids=GATES)
@pytest.mark.parametrize("conditions", [0, 1, 40, 200])
@pytest.mark.parametrize("modalities", [1, 2, 10])
def test_it_fits_one_screen(
    width: int, name: str, gates: tuple[GateResult, ...], conditions: int, modalities: int
) -> None:
    some = tuple(g.model_copy(update={"name": name, "condition": name, "part": name}) for g in gates)
    lines = shown(audit(conditions, modalities, name, some), width)
    assert max(map(len, lines)) <= width
    assert len(lines) <= LINES
    assert "\x1b" not in "".join(lines)
    assert any(line.startswith("Clean ") for line in lines)
    assert any(line.startswith("modality ") for line in lines)


@given(
    st.integers(40, 140), st.integers(0, 60), st.integers(1, 10), st.text(min_size=1, max_size=300),
    st.lists(st.sampled_from(["PASS", "FAIL", "INCONCLUSIVE"]), max_size=12), st.lists(st.text(), max_size=6),
)  # fmt: skip
def test_whatever_the_words(
    width: int, conditions: int, modalities: int, name: str, verdicts: list[Any], notes: list[str]
) -> None:
    found = audit(conditions, modalities, name, tuple(gate(v, name) for v in verdicts), notes=notes)
    text = StringIO()
    Door(file=text, width=width, color_system=None, highlight=False).print(Summary(found))
    lines = text.getvalue().split("\n")
    assert len(lines) - 1 <= LINES + 2 * (width < 80)
    assert all(console_width(line) <= width for line in lines)


def console_width(line: str) -> int:
    from rich.cells import cell_len

    return cell_len(line)


def test_the_first_line_is_the_verdict_or_says_that_there_is_none() -> None:
    assert shown(audit())[0] == NO_GATES
    assert shown(audit(gates=GATES["one"]))[0] == "PASS: the gate passes"
    assert shown(audit(gates=GATES["some"]))[0] == "FAIL: 1 of 3 gates fails, 1 is inconclusive"
    assert shown(audit(gates=(gate("INCONCLUSIVE"),)))[0].startswith("INCONCLUSIVE: 1 of 1")


def test_gates_that_do_not_pass_come_first_and_the_rest_are_counted() -> None:
    lines = shown(audit(gates=GATES["some"]))
    rows = [line.split()[:2] for line in lines if "≥ 90 %" in line]
    assert rows == [["FAIL", "fail"], ["?", "inconclusive"], ["PASS", "pass"]]
    assert not any("more:" in line and "pass" in line for line in lines)
    mixed = tuple(gate("PASS", f"p{k}") for k in range(4)) + tuple(gate("FAIL", f"f{k}") for k in range(7))
    lines = shown(audit(gates=mixed))
    assert [line.split()[1] for line in lines if "≥ 90 %" in line] == ["f0", "f1", "f2", "f3", "f4"]
    assert "and 6 more: 2 fail, 4 pass" in lines


def test_the_most_fragile_corruptions_come_first_and_the_rest_are_counted() -> None:
    some = [threshold("strong", "holds"), threshold("open", "undecided", 0.3), threshold("late", "fails", 0.8),
            threshold("early", "fails", 0.2), *(threshold(f"h{k}", "holds") for k in range(20))]  # fmt: skip
    lines = shown(result(outcome(), breaking_levels=some))
    at = next(k for k, line in enumerate(lines) if line.startswith("corruption "))
    assert lines[at].split() == ["corruption", "on", "holds", "to", "fails", "from", "that", "is"]
    assert [" ".join(line.split()) for line in lines[at + 1 : at + 5]] == [
        "early a 0.1 0.2 12.5 dB signal-to-noise ratio",
        "late a 0.7 0.8 12.5 dB signal-to-noise ratio",
        "open a 0.3 ? undecided: takes about 1,234 samples",
        "strong a 1 none holds at every level",
    ]
    assert lines[at + ROWS + 1] == f"and {24 - ROWS} more: {24 - ROWS} hold"


def test_without_levels_the_worst_conditions_are_shown() -> None:
    lines = shown(result(outcome(), [outcome("rain", 70, outcome="undecided"), outcome("sun", 30, outcome="fails")]))
    at = next(k for k, line in enumerate(lines) if line.startswith("condition "))
    assert [" ".join(line.split()) for line in lines[at + 1 : at + 3]] == [
        "sun 30.0 % [21.9, 39.6] -50.0 fails",
        "rain 70.0 % [60.4, 78.1] -10.0 undecided",
    ]
    assert not any("condition " in line for line in shown(result(outcome())))


def test_notes_are_told_as_far_as_a_few_lines_hold_them() -> None:
    assert "one" in shown(audit(notes=["one", "two"]))[2]
    assert not any("more notes" in line for line in shown(audit(notes=["one", "two", "three", "four"])))
    lines = shown(audit(notes=["word " * 40, "two", "three"]))
    assert lines[5] == "… more notes: --full"
    assert "two" not in lines


def test_of_many_modalities_those_of_the_largest_share_are_shown() -> None:
    lines = shown(audit(modalities=10))
    assert "and 5 more" in lines
    assert [line.split()[0] for line in lines if line.endswith("10.0 % [0.0, 20.0]")] == ["n0", "n1", "n2", "n3", "n4"]
    assert "Both needed, neither right alone: 20.0 % n0 and n1, 19.0 % n0 and n2" in lines


def test_colours_say_no_more_than_words() -> None:
    """A screen without colours has the same text."""
    text = StringIO()
    Console(file=text, width=80, force_terminal=True, color_system="standard", highlight=False).print(Summary(audit()))
    coloured = text.getvalue()
    assert "\x1b[" in coloured
    import re

    assert re.sub(r"\x1b\[[\d;]*m", "", coloured).splitlines() == shown(audit())
