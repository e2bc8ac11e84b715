"""What an audit's gates say: the verdict in a line, a table of the gates, and why some do not pass."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from robustmm.auditing.gates.judge import ORDER
from robustmm.auditing.gates.wording import format_amount
from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.results.verdict import GateResult, Verdict
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


def gate_table(gates: Sequence[GateResult]) -> Table:
    """A gate a row, the worst first."""
    table = grid("Gates", "", "gate", "value", "bound", "decided by", left=(0, 1, 4))
    for gate in sorted(gates, key=lambda gate: ORDER.index(gate.verdict)):
        where = f"{gate.condition} ({gate.part})" if gate.part else gate.condition
        bound = format_amount(gate.metric, gate.required, gate.bound)
        table.add_row(
            Text(SHORT[gate.verdict], style=STYLES[gate.verdict]), safe_text(gate.name), _format_value(gate),
            f"{'≥' if gate.required == 'min' else '≤'} {bound}".replace("points", "pt"), safe_text(where),
        )  # fmt: skip
    return table


def reasons_text(gates: Sequence[GateResult]) -> Text:
    """Why gates do not pass, a paragraph each."""
    said = Text()
    for gate in sorted(gates, key=lambda gate: ORDER.index(gate.verdict)):
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
