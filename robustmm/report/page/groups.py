"""Groups of samples: a table for each column, the worst group first."""

from collections.abc import Sequence

from robustmm.auditing.results.condition import ConditionResult, Group
from robustmm.auditing.results.schema import AuditResult
from robustmm.report.formats import interval, percent
from robustmm.report.page.markup import Content, Markup, tag
from robustmm.report.page.tables import build_table

ROWS = 20
"""Groups of a column that the page shows at most."""


def render_groups(result: AuditResult) -> Markup | None:
    """A table for the label and one for each column that the audit was asked to group by."""
    columns = list(dict.fromkeys(group.column for group in result.clean.groups))
    return tag("div", [_column_table(result, column) for column in columns]) if columns else None


def _column_table(result: AuditResult, column: str) -> Markup:
    found = [(group, lowest_of(result.conditions, k)) for k, group in enumerate(result.clean.groups)
             if group.column == column]  # fmt: skip
    found.sort(key=lambda each: (min(each[0].accuracy.value, each[1][0]), each[0].value))
    rows: list[list[Content]] = [
        [group.value or "(empty)", str(group.samples), interval(group.accuracy), percent(lowest), name]
        for group, (lowest, name) in found[:ROWS]
    ]
    left = len(found) - len(rows)
    caption = f"By {column}, the worst first" + (f"; {left} more are in results.json" if left else "")
    return build_table(caption, [column, "samples", "clean accuracy [95 %]", "lowest accuracy", "under"], rows, (0, 4))


def lowest_of(conditions: Sequence[ConditionResult], k: int) -> tuple[float, str]:
    """The lowest accuracy of the group with number `k`, and its condition; NaN where there are no conditions."""
    every: list[tuple[Group, str]] = [(c.groups[k], c.name) for c in conditions]
    return min(((g.accuracy.value, name) for g, name in every), default=(float("nan"), "–"))
