"""The sections that draw: degradation curves, contributions, calibration."""

from collections.abc import Mapping, Sequence

from robustmm.auditing.results.condition import ConditionResult
from robustmm.auditing.results.schema import AuditResult, BreakingLevel
from robustmm.errors import printable
from robustmm.report.formats import interval, percent, points
from robustmm.report.page import charts
from robustmm.report.page.charts import Spec, describe_sweep
from robustmm.report.page.markup import Content, Markup, tag
from robustmm.report.page.tables import badge, build_details, build_table
from robustmm.report.sentences import prior_name
from robustmm.report.summary.findings import rank_dropped


def chart_figure(name: str, said: str, *below: Content) -> Markup:
    """The place of a chart; `said` is what a screen reader tells of it, the numbers stand below it."""
    place = tag("div", tag("div", id=name), class_="chart", role="img", aria_label=said)
    return tag("figure", place, tag("noscript", tag("p", "Charts need scripts; the tables hold the same.")), below)


Offer = tuple[str, Sequence[tuple[str, str]]]
"""A filter: its label, and what it offers as (`field=value`, words)."""


def build_filters(chart: str, offered: Mapping[str, Offer]) -> Markup:
    """Filters of a chart by name, and how many of its panels they leave. A row is left where its field is the value."""
    controls = [
        tag("label", label, tag("select", [tag("option", v, value=k) for k, v in options], data_filters=chart,
                                id=f"{chart}-{name}"))
        for name, (label, options) in offered.items()
    ]  # fmt: skip
    count = tag("span", id=f"{chart}-count", class_="soft", role="status")
    return tag("div", controls, count, class_="filters")


def render_curves(result: AuditResult, sweeps: Sequence[BreakingLevel], specs: dict[str, Spec]) -> Markup | None:
    if not sweeps:
        return None
    specs["curves"] = charts.degradation_chart(result, sweeps)
    shown = sweeps[: charts.PANELS]
    hint = (
        "Accuracy by level, with 95 % intervals; dashed: the accuracy that has to be kept. Point at a level for its "
        "numbers."
    )
    rows: list[list[Content]] = [
        [describe_sweep(b), f"{p.level:.3g}", interval(p.accuracy), badge(p.outcome)] for b in shown for p in b.points
    ]
    table = build_table("Accuracy by level", ["corruption", "level", "accuracy [95 %]", "outcome"], rows, (0, 3))
    left = len(sweeps) - len(shown)
    return tag(
        "div", tag("p", hint, class_="soft"), _filters(shown),
        tag("p", f"{left} more corruptions are in results.json alone.") if left else None,
        chart_figure("curves", f"Accuracy by level for {len(shown)} corruptions; the table below has the numbers.",
                     build_details("The curves as a table", table)),
    )  # fmt: skip


def _filters(shown: Sequence[BreakingLevel]) -> Markup:
    names = {
        "on": ("Modality", [printable(" and ".join(b.modalities)) for b in shown]),
        "noise": ("Corruption", [printable(b.noise) for b in shown]),
    }
    few = [("first=yes", f"first {charts.FIRST} to fail")] if len(shown) > charts.FIRST else []
    offered: dict[str, Offer] = {"show": ("Show", [*few, ("", "all"), ("fate=fails", "those that fail")])}
    for field, (label, values) in names.items():
        offered[field] = (label, [("", "all"), *((f"{field}={v}", v) for v in sorted(set(values)))])
    return build_filters("curves", offered)


def render_contributions(result: AuditResult, specs: dict[str, Spec]) -> Markup:
    some = charts.contribution_conditions(result)
    specs["contributions"] = charts.contribution_chart(some)
    how = "exact" if result.exact else "from sampled orders"
    hint = (
        f"Shapley values of accuracy ({how}; baseline: {result.baseline}): what each modality adds, in points above "
        f"the {prior_name(result.prior)}. Corruptions at their highest level; the lowest accuracy first, below clean."
    )
    rows: list[list[Content]] = [
        [c.name, m.name, *(_points(e.value, e.low, e.high) for e in (m.shapley_accuracy, m.leave_one_out)),
         percent(m.shapley_accuracy_share.value, 0), interval(m.unimodal_accuracy)]
        for c in some[: charts.BARS] for m in c.modalities
    ]  # fmt: skip
    head = ["condition", "modality", "Shapley points [95 %]", "lost without it", "share", "accuracy alone [95 %]"]
    left = len(some) - charts.BARS
    return tag(
        "div", tag("p", hint, class_="soft"),
        chart_figure("contributions", "Stacked bars: contribution of each modality by condition; see the table below.",
                     build_details("The bars as a table", build_table("Contributions", head, rows, (0, 1)))),
        tag("p", f"{left} more have no bar here; results.json has them.", class_="soft") if left > 0 else None,
        _spoils_table(result), _needed_table(result), _dropped_table(result),
    )  # fmt: skip


def _spoils_table(result: AuditResult) -> Markup | None:
    """How often each modality spoils an answer, clean and where it does so most."""
    rows: list[list[Content]] = []
    for i, m in enumerate(result.clean.modalities):
        every = [(c.modalities[i].spoils.value, c.name) for c in result.conditions]
        most = max((e for e in every if e[0] == e[0]), default=None)
        rows.append(
            [m.name, interval(m.spoils), percent(most[0]) if most else "–", most[1] if most else "–"]
        )  # fmt: skip
    if len(rows) < 2:
        return None
    caption = "How often a modality spoils the answer: right without it, wrong with it"
    return build_table(caption, ["modality", "clean [95 %]", "at most", "under"], rows, (0, 3))


def _needed_table(result: AuditResult) -> Markup | None:
    rows: list[list[Content]] = [
        [" and ".join(i.modalities), interval(i.needed), _points(i.value.value, i.value.low, i.value.high)]
        for i in result.clean.interactions
    ]
    if not rows:
        return None
    caption = "How often two are needed: right together, wrong from either alone. Interaction above 0: they complement"
    caption += " each other; below: they say the same."
    return build_table(caption, ["modalities", "needed, clean [95 %]", "Shapley interaction, points"], rows)


def _dropped_table(result: AuditResult) -> Markup | None:
    rows: list[list[Content]] = [list(each) for each in rank_dropped(result)]
    if not rows:
        return None
    caption = "How often the model's guard drops a modality of the samples that have it"
    return build_table(caption, ["modality", "clean [95 %]", "where it is corrupted, mean"], rows)


def _points(value: float, low: float, high: float) -> str:
    return points(value) if value != value or low != low else f"{points(value)} [{points(low)}, {points(high)}]"


def render_calibration(result: AuditResult, specs: dict[str, Spec]) -> Markup:
    """Reliability of clean and of the condition of the largest calibration error."""
    worst = max(result.conditions, key=lambda c: c.ece, default=None)
    some: list[ConditionResult] = [result.clean, *([worst] if worst else [])]
    rows: list[list[Content]] = [
        [c.name, f"{100 * c.ece:.1f}", f"{c.nll.value:.3f}", f"{c.brier:.3f}", f"{c.aurc:.3f}"] for c in some
    ]
    head = ["condition", "ECE, points", "log-loss, nats", "Brier score", "area under risk-coverage"]
    numbers = build_table("Calibration, clean and in the condition of the largest error", head, rows)
    if not any(c.calibration for c in some):
        return numbers
    specs["calibration"] = charts.calibration_chart(some)
    bins: list[list[Content]] = [
        [c.name, percent(b.confidence), percent(b.accuracy), percent(b.share)] for c in some for b in c.calibration
    ]
    table = build_table("Samples of like confidence", ["condition", "mean confidence", "accuracy", "share"], bins)
    hint = "Below the dashed diagonal the model is surer than it is right."
    said = "Reliability diagram: accuracy by confidence, clean and in the worst condition; see the table below."
    return tag(
        "div", tag("p", hint, class_="soft"),
        chart_figure("calibration", said, build_details("The diagram as a table", table)), numbers,
    )  # fmt: skip
