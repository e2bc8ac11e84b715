"""Charts of a comparison as Vega-Lite specifications. What strangers named is data only."""

from collections.abc import Sequence

from robustmm.comparing.result import ConditionDifference
from robustmm.errors import printable
from robustmm.evaluation.attack_result import Estimate
from robustmm.report.comparison.sentences import WORDS
from robustmm.report.page.charts import OUTCOMES, Spec, finite, outcome_marks

FIRST = 24
"""Conditions that are drawn before the reader asks for more; those that decide come first."""
DRAWN = 300
"""Conditions that are drawn at most."""
COMPARED = 12
"""Conditions whose contributions are drawn."""
CONDITION = {
    "field": "panel", "type": "nominal", "sort": {"field": "order", "op": "min"},
    "axis": {"title": None, "labelLimit": 230, "labelPadding": 6, "domain": False, "ticks": False},
}  # fmt: skip


def difference_chart(ranked: Sequence[ConditionDifference], letter: str, margin: float) -> Spec:
    """A row for each condition: the difference of accuracy in points with its interval, and the margin."""
    rows = [
        {
            "panel": printable(c.condition), "order": order, "outcome": WORDS[c.outcome], "effect": c.effect,
            "on": printable(" and ".join(c.modalities)), "first": "yes" if order < FIRST else "no",
            "reference": finite(c.reference.value), "accuracy": finite(c.accuracy.value), "p": finite(c.adjusted_p),
        } | in_points(c.difference)
        for order, c in enumerate(ranked[:DRAWN])
    ]  # fmt: skip
    x = {"field": "value", "type": "quantitative", "axis": {"title": f"{letter} - A, points"}}
    marks = outcome_marks([WORDS[o] for o in OUTCOMES])
    tooltip = [
        {"field": "panel", "title": "condition"}, {"field": "value", "title": f"{letter} - A", "format": "+.1f"},
        {"field": "low", "title": "95 % from", "format": "+.1f"},
        {"field": "high", "title": "95 % to", "format": "+.1f"},
        {"field": "reference", "title": "accuracy of A", "format": ".1%"},
        {"field": "accuracy", "title": f"accuracy of {letter}", "format": ".1%"},
        {"field": "p", "title": "adjusted p", "format": ".3f"}, {"field": "effect", "title": "effect"},
        {"field": "outcome", "title": "outcome"},
    ]  # fmt: skip
    return {
        "data": {"values": rows}, "usermeta": {"step": 20}, "layer": [
            _upright(0.0, []), _upright(-100 * margin, [4, 3]),
            {"mark": {"type": "rule", "strokeWidth": 2}, "encoding": {
                "y": CONDITION, "x": x | {"field": "low"}, "x2": {"field": "high"}, "color": marks["color"]}},
            {"mark": {"type": "point", "filled": True, "size": 60, "opacity": 1}, "encoding": {
                "y": CONDITION, "x": x, **marks, "tooltip": tooltip}},
        ],
    }  # fmt: skip


def contribution_chart(ranked: Sequence[ConditionDifference], letter: str) -> Spec:
    """Two bars for each condition, the reference's above: Shapley values of accuracy, stacked by modality."""
    rows = [
        {"panel": printable(c.condition), "order": order, "audit": name, "modality": printable(m.modality)}
        | in_points(e)
        for order, c in enumerate(ranked[:COMPARED]) for m in c.contributions
        for name, e in (("A", m.reference), (letter, m.value))
    ]  # fmt: skip
    names = ["A", letter]
    legend = {"title": None}
    return {
        "data": {"values": rows}, "usermeta": {"step": 30}, "mark": {"type": "bar"},
        "encoding": {
            "y": CONDITION, "yOffset": {"field": "audit", "type": "nominal", "sort": names},
            "x": {"field": "value", "type": "quantitative", "axis": {"title": "points of accuracy above the prior"}},
            "color": {"field": "modality", "type": "nominal", "legend": legend,
                      "sort": list(dict.fromkeys(row["modality"] for row in rows))},
            "opacity": {"field": "audit", "type": "ordinal", "legend": legend,
                        "scale": {"domain": names, "range": [0.5, 1]}},
            "tooltip": [
                {"field": "panel", "title": "condition"}, {"field": "audit", "title": "audit"},
                {"field": "modality", "title": "modality"},
                {"field": "value", "title": "Shapley points", "format": "+.1f"},
                {"field": "low", "title": "95 % from", "format": "+.1f"},
                {"field": "high", "title": "95 % to", "format": "+.1f"}],
        },
    }  # fmt: skip


def in_points(e: Estimate) -> dict[str, float | None]:
    return {name: finite(100 * end) for name, end in (("value", e.value), ("low", e.low), ("high", e.high))}


def _upright(at: float, dash: list[int]) -> Spec:
    """A line across all conditions, at a value of its own."""
    mark = {"type": "rule", "strokeWidth": 1, "strokeDash": dash, "color": "var(--soft)"}
    return {"data": {"values": [{"at": at}]}, "mark": mark, "encoding": {"x": {"field": "at", "type": "quantitative"}}}
