"""A verification as a rich table that fits 80 columns, the verdict first."""

from rich.console import Group
from rich.panel import Panel
from rich.text import Text

from robustmm.evidence.result import VerifyResult
from robustmm.report.bars import safe_text
from robustmm.report.formats import grid

STYLES = {"OK": "green", "WRONG": "bold red", "NOT CHECKED": "yellow"}
BORDERS = {"VERIFIED": "green", "WRONG": "red", "INCOMPLETE": "yellow"}


def render_verification(result: VerifyResult) -> Group:
    table = grid("Checks", "check", "", "what was found", left=(0, 2))
    for check in result.checks:
        table.add_row(safe_text(check.name), Text(check.status, style=STYLES[check.status]), safe_text(check.reason))
    panel = Panel(safe_text(headline(result)), border_style=BORDERS[result.verdict], expand=True)
    return Group(panel, table)


def headline(result: VerifyResult) -> str:
    """The verdict as sentences."""
    wrong, left = ([c.name for c in result.checks if c.status == s] for s in ("WRONG", "NOT CHECKED"))
    said = {
        "VERIFIED": f"VERIFIED: all {len(result.checks)} checks hold.",
        "WRONG": f"WRONG: {', '.join(wrong)}.",
        "INCOMPLETE": f"INCOMPLETE: nothing is wrong, {len(left)} of {len(result.checks)} checks could not be made.",
    }[result.verdict]
    if result.audit_verdict and result.verdict == "VERIFIED":
        said += f" The audit's own verdict is {result.audit_verdict}."
    if result.signed_by:
        said += f" Signed {result.issued} by key {result.signed_by[:12]}…."
    elif not any(check.name == "signature" for check in result.checks):
        said += " It is not signed: the folder proves that it is of one piece, not who made it."
    return said
