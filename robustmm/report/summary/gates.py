"""What an audit's gates say: the verdict in a line, a table of the gates, and why some do not pass."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from robustmm.auditing.gates.wording import format_amount
from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.results.verdict import WORST_FIRST, GateResult, Verdict
from robustmm.report.bars import safe_text
from robustmm.report.formats import grid

STYLES: dict[Verdict, str] = {"PASS": "bold green", "FAIL": "bold red", "INCONCLUSIVE": "bold yellow"}
SHORT: dict[Verdict, str] = {"PASS": "PASS", "FAIL": "FAIL", "INCONCLUSIVE": "?"}


def render_gates(result: AuditResult) -> list[RenderableType]:
    """The verdict, the table of the gates and the reasons; nothing where there are none."""
    if result.verdict is None:
        return []
    line = Text(verdict_line(result.gates), style=STYLES[result.verdict])
    return [line, gate_table(result.gates), reasons_text(result.gates)]


def verdict_line(gates: Sequence[GateResult]) -> str:
    """`FAIL: 2 of 7 gates fail, 1 is inconclusive`."""
    fail, open_ = (sum(gate.verdict == verdict for gate in gates) for verdict in ("FAIL", "INCONCLUSIVE"))
    all_ = f"{len(gates)} gate{'s' * (len(gates) != 1)}"
    undecided = f"{open_} {'is' if open_ == 1 else 'are'} inconclusive"
    if fail:
        said = f"{fail} of {all_} fail{'s' * (fail == 1)}" + (f", {undecided}" if open_ else "")
        return f"FAIL: {said}"
    if open_:
        return f"INCONCLUSIVE: {open_} of {all_} {'is' if open_ == 1 else 'are'} inconclusive, none fails"
    return f"PASS: {'the gate passes' if len(gates) == 1 else f'all {len(gates)} gates pass'}"


class GateRow(NamedTuple):
    """A gate in words, a stranger's as they are."""

    verdict: Verdict
    name: str
    value: str
    bound: str
    where: str


def rank_gates(gates: Sequence[GateResult]) -> list[GateResult]:
    """The worst first."""
    return sorted(gates, key=lambda gate: WORST_FIRST.index(gate.verdict))


def gate_rows(gates: Sequence[GateResult]) -> list[GateRow]:
    """A gate a row, the worst first."""
    return [
        GateRow(
            gate.verdict, gate.name, _format_value(gate), _format_bound(gate),
            f"{gate.condition} ({gate.part})" if gate.part else gate.condition,
        )
        for gate in rank_gates(gates)
    ]  # fmt: skip


def gate_table(gates: Sequence[GateResult]) -> Table:
    table = grid("Gates", "", "gate", "value", "bound", "decided by", left=(0, 1, 4))
    for row in gate_rows(gates):
        verdict = Text(SHORT[row.verdict], style=STYLES[row.verdict])
        table.add_row(verdict, safe_text(row.name), row.value, row.bound, safe_text(row.where))
    return table


def reasons_text(gates: Sequence[GateResult]) -> Text:
    """Why gates do not pass, a paragraph each."""
    said = Text()
    for gate in rank_gates(gates):
        if gate.verdict != "PASS":
            said.append(f"{gate.verdict} ", style=STYLES[gate.verdict])
            said.append(f"{safe_text(f'{gate.name}: {gate.requirement}; {gate.reason}').plain}.\n")
    return said


def _format_value(gate: GateResult) -> str:
    value, low, high = (format_amount(gate.metric, gate.required, x, 1) for x in dict(gate.value).values())
    if gate.value.value != gate.value.value:
        return "–"
    if gate.judged_on == "interval" and gate.value.low == gate.value.low:
        value += f" [{low.partition(' ')[0]}, {high.partition(' ')[0]}]"
    return value.replace("points", "pt")


def _format_bound(gate: GateResult) -> str:
    bound = format_amount(gate.metric, gate.required, gate.bound)
    return f"{'≥' if gate.required == 'min' else '≤'} {bound}".replace("points", "pt")
