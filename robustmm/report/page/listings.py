"""The sections that are tables alone: subsets of modalities, missing rates, groups, searches, a reference, and every
condition."""

from collections.abc import Sequence

from robustmm.auditing.results.condition import ConditionResult, Group
from robustmm.auditing.results.schema import AuditResult, SearchResult
from robustmm.report.formats import interval, percent, points, signed_number
from robustmm.report.page.markup import Content, Markup, tag
from robustmm.report.page.tables import Row, badge, build_details, build_table, draw_bar
from robustmm.report.search import format_spends

SUBSETS, ROWS, CONDITIONS = 64, 20, 300
"""Subsets of the modalities, groups of a column, and conditions that the page shows at most."""


def render_missing(result: AuditResult) -> Markup | None:
    """Accuracy from subsets of the modalities, and over missing rates."""
    tables = [render_subsets(result)] if result.subsets else []
    if result.missing_rates:
        tables.append(_missing_rate_table(result))
    return tag("div", tables) if tables else None


def render_subsets(result: AuditResult) -> Markup:
    """The matrix of missing subsets: a row for each, the largest and most accurate first."""
    names = [m.name for m in result.clean.modalities]
    ranked = sorted(result.subsets, key=lambda s: (-len(s.modalities), -s.accuracy.value))
    rows: list[list[Content]] = [
        [" + ".join(s.modalities) or "none (the class prior)", draw_bar(s.accuracy.value),
         f"{percent(s.accuracy.low)} to {percent(s.accuracy.high)}", *("●" if n in s.modalities else "" for n in names)]
        for s in ranked[:SUBSETS]
    ]  # fmt: skip
    left = len(ranked) - len(rows)
    more = f"; {left} more are in results.json" if left else ""
    return build_table(
        f"Accuracy on clean inputs where only these modalities are there{more}",
        ["present", "accuracy", "95 % interval", *names], rows,
    )  # fmt: skip


def _missing_rate_table(result: AuditResult) -> Markup:
    rows: list[Row] = [
        [" and ".join(curve.modalities), percent(rate, 0), interval(accuracy)]
        for curve in result.missing_rates for rate, accuracy in zip(curve.rates, curve.accuracies, strict=True)
    ]  # fmt: skip
    return build_table("Accuracy by missing rate", ["missing", "rate", "accuracy [95 %]"], rows)


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


def render_searches(result: AuditResult) -> Markup | None:
    """What attackers by queries alone found, and errors against a reference audit."""
    parts = [_search_table(search) for search in result.searches]
    if result.reference:
        r = result.reference
        rows: list[Row] = [[name, f"{value:.2f}"] for name, value in r.by_corruption.items()]
        rows += [
            ["mean corruption error", f"{r.mean_corruption_error:.2f}"],
            ["relative", signed_number(r.relative, 2)],
        ]
        parts.append(build_table(f"Error relative to {r.model} (1: as good)", ["corruption", "error"], rows))
    return tag("div", parts) if parts else None


def _search_table(search: SearchResult) -> Markup:
    if search.attack == "mix":
        mixes: list[Row] = [
            [f"{p.budget:g}", interval(p.accuracy), interval(p.uniform_accuracy), format_spends(p.spends) or "nothing"]
            for p in search.curve
        ]
        caption = f"The worst mix of corruptions found, by budget (sum of levels), on {search.reported_samples} samples"
        return build_table(caption, ["budget", "accuracy [95 %]", "in equal levels", "spent on"], mixes, (0, 3))
    rows: list[Row] = [
        [", ".join(f"{n.modality} {n.eps:.3g} {n.unit}" for n in run.norms), str(point.queries),
         interval(point.accuracy), interval(run.noise)]
        for run in search.runs for point in run.curve
    ]  # fmt: skip
    head = ["within", "queries a sample", "accuracy [95 %]", "random signs"]
    return build_table("The Square attack, by queries", head, rows)


def render_conditions(result: AuditResult) -> Markup | None:
    """Every condition in the order of the suite."""
    rows: list[Row] = [
        [c.name, interval(c.accuracy), points(c.change.value), f"{c.adjusted_p:.3f}", c.effect, badge(c.outcome)]
        for c in result.conditions[:CONDITIONS]
    ]
    if not rows:
        return None
    left = len(result.conditions) - len(rows)
    caption = "Change in points against clean, p adjusted over all conditions (Benjamini-Hochberg)"
    caption += f"; {left} more are in results.json" if left else ""
    head = ["condition", "accuracy [95 %]", "change", "adjusted p", "effect", "outcome"]
    return build_details(f"The {len(rows)} conditions as a table", build_table(caption, head, rows, (0, 4, 5)))
