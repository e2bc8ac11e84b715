"""What an audit's gates say: the verdict in a line, then a table of the gates."""

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.results.verdict import GateResult, Verdict
from robustmm.report.bars import safe_text
from robustmm.report.formats import grid, number

STYLES: dict[Verdict, str] = {"PASS": "bold green", "FAIL": "bold red", "INCONCLUSIVE": "bold yellow"}
SHORT: dict[Verdict, str] = {"PASS": "PASS", "FAIL": "FAIL", "INCONCLUSIVE": "?"}


def render_gates(result: AuditResult) -> list[RenderableType]:
    """The verdict and the table of the gates; nothing where there are none."""
    if result.verdict is None:
        return []
    return [Text(verdict_line(result.gates), style=STYLES[result.verdict]), gate_table(result.gates)]


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
    """A gate a row, the worst first; below what does not pass, why."""
    table = grid("Gates", "", "gate", "value [interval]", "bound", "decided by", left=(0, 1, 4))
    for gate in sorted(gates, key=lambda gate: ("FAIL", "INCONCLUSIVE", "PASS").index(gate.verdict)):
        where = gate.condition + (f" ({gate.part})" if gate.part else "")
        table.add_row(
            Text(SHORT[gate.verdict], style=STYLES[gate.verdict]), gate_name(gate), _format_value(gate),
            number(gate.bound), safe_text(where),
        )  # fmt: skip
    return table


def gate_name(gate: GateResult) -> Text:
    """The gate's name, what it asks for, and why it does not pass."""
    name = Text(safe_text(gate.name).plain)
    name.append(f"\n{safe_text(gate.requirement).plain}", style="dim")
    if gate.verdict != "PASS":
        name.append(f"\n{safe_text(gate.reason).plain}", style=STYLES[gate.verdict].removeprefix("bold "))
    return name


def _format_value(gate: GateResult) -> str:
    value = gate.value
    if gate.judged_on == "point" or value.low != value.low:
        return number(value.value)
    return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"
