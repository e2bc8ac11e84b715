"""Charts as Vega-Lite specifications. What strangers named is data only: field names and expressions are ours."""

from collections.abc import Sequence
from typing import Any

from robustmm.auditing.results.condition import ConditionResult
from robustmm.auditing.results.schema import AuditResult, BreakingLevel
from robustmm.errors import printable

Spec = dict[str, Any]

FIRST = 12
"""Degradation curves that are drawn before the reader asks for more."""
PANELS = 48
"""Degradation curves at most; the first to fail come first."""
BARS = 24
"""Conditions at most whose contributions are drawn."""
LEVEL = {"field": "level", "type": "quantitative", "scale": {"domain": [0, 1]}}
PERCENT = {"format": ".0%", "title": None, "tickCount": 5}
OUTCOMES = ["holds", "undecided", "fails"]


def describe_sweep(b: BreakingLevel) -> str:
    return printable(f"{b.noise} on {' and '.join(b.modalities)}")


def degradation_chart(result: AuditResult, sweeps: Sequence[BreakingLevel]) -> Spec:
    """A panel for each corruption: accuracy by level with its interval, and what has to be kept."""
    keep = result.retention_threshold * result.clean.accuracy.value
    rows = []
    for order, b in enumerate(sweeps[:PANELS]):
        shared = {
            "panel": describe_sweep(b), "order": order, "noise": printable(b.noise), "fate": b.outcome, "keep": keep,
            "first": "yes" if order < FIRST else "no",
            "on": printable(" and ".join(b.modalities)),
        }  # fmt: skip
        clean = result.clean.accuracy
        rows.append(shared | _ends(clean.value, clean.low, clean.high) | {"level": 0, "outcome": "holds"})
        rows += [
            shared | _ends(p.accuracy.value, p.accuracy.low, p.accuracy.high) | {"level": p.level, "outcome": p.outcome}
            for p in b.points
        ]
    x = LEVEL | {"axis": {"title": "level", "tickCount": 5}}
    y = {"field": "value", "type": "quantitative", "scale": {"domain": [0, 1]}, "axis": PERCENT}
    return {
        "data": {"values": rows},
        "facet": {
            "field": "panel", "type": "nominal", "sort": {"field": "order", "op": "min"},
            "header": {"title": None, "labelLimit": 250, "labelAnchor": "start"},
        },
        "spacing": {"row": 18, "column": 24},
        "spec": {
            "height": 110,
            "layer": [
                {"mark": {"type": "area", "opacity": 0.3}, "encoding": {
                    "x": x, "y": y | {"field": "low"}, "y2": {"field": "high"}}},
                {"mark": {"type": "rule", "strokeDash": [4, 3]}, "encoding": {
                    "y": {"field": "keep", "type": "quantitative", "aggregate": "min"}}},
                {"mark": {"type": "line"}, "encoding": {"x": x, "y": y}},
                {"mark": {"type": "point", "filled": True, "size": 55, "opacity": 1}, "encoding": {
                    "x": x, "y": y, **outcome_marks(), "tooltip": [
                        {"field": "noise", "title": "corruption"}, {"field": "on", "title": "on"},
                        {"field": "level", "title": "level", "format": ".3~f"},
                        {"field": "value", "title": "accuracy", "format": ".1%"},
                        {"field": "low", "title": "95 % from", "format": ".1%"},
                        {"field": "high", "title": "95 % to", "format": ".1%"},
                        {"field": "outcome", "title": "outcome"}]}},
            ],
        },
        "resolve": {"axis": {"x": "independent", "y": "independent"}},
    }  # fmt: skip


def outcome_marks(words: Sequence[str] = OUTCOMES) -> Spec:
    """An outcome has a colour and a shape of its own; `words` are what holds, is undecided and fails."""
    shared = {"field": "outcome", "type": "nominal", "legend": {"title": None}}
    return {
        "color": shared | {"scale": {"domain": words, "range": ["var(--good)", "var(--unsure)", "var(--bad)"]}},
        "shape": shared | {"scale": {"domain": words, "range": ["circle", "diamond", "square"]}},
    }


def _ends(value: float, low: float, high: float) -> dict[str, float | None]:
    return {k: finite(v) for k, v in (("value", value), ("low", low), ("high", high))}


def finite(value: float) -> float | None:
    """The value, or None where there is none: JSON has no NaN."""
    return value if abs(value) < float("inf") else None


def contribution_conditions(result: AuditResult) -> list[ConditionResult]:
    """Clean, and of every corruption the highest level, and conditions of other sorts; the lowest accuracies first."""
    last = {b.points[-1].condition or next((p.condition for p in b.points[::-1] if p.condition), "")
            for b in result.breaking_levels}  # fmt: skip
    swept = {p.condition for b in result.breaking_levels for p in b.points}
    some = [c for c in result.conditions if c.name in last or c.name not in swept]
    return [result.clean, *sorted(some, key=lambda c: (c.accuracy.value, c.name))]


def contribution_chart(some: Sequence[ConditionResult]) -> Spec:
    """A bar for each condition: Shapley values of accuracy in points, stacked by modality."""
    rows = [
        {
            "condition": printable(c.name), "order": order, "modality": printable(m.name),
            "value": finite(100 * m.shapley_accuracy.value), "accuracy": finite(c.accuracy.value),
            "low": finite(100 * m.shapley_accuracy.low), "high": finite(100 * m.shapley_accuracy.high),
        }
        for order, c in enumerate(some[:BARS]) for m in c.modalities
    ]  # fmt: skip
    return {
        "data": {"values": rows}, "height": 22 * min(len(some), BARS), "mark": {"type": "bar", "height": 15},
        "encoding": {
            "y": {"field": "condition", "type": "nominal", "sort": {"field": "order", "op": "min"},
                  "axis": {"title": None, "labelLimit": 190, "domain": False, "ticks": False}},
            "x": {"field": "value", "type": "quantitative", "axis": {"title": "points of accuracy above the prior"}},
            "color": {"field": "modality", "type": "nominal", "legend": {"title": None},
                      "sort": list(dict.fromkeys(row["modality"] for row in rows))},
            "tooltip": [
                {"field": "condition", "title": "condition"}, {"field": "modality", "title": "modality"},
                {"field": "value", "title": "Shapley points", "format": "+.1f"},
                {"field": "low", "title": "95 % from", "format": "+.1f"},
                {"field": "high", "title": "95 % to", "format": "+.1f"},
                {"field": "accuracy", "title": "accuracy", "format": ".1%"}],
        },
    }  # fmt: skip


def calibration_chart(some: Sequence[ConditionResult]) -> Spec:
    """A reliability diagram: accuracy by confidence; the diagonal is a model that knows what it knows."""
    rows = [
        {
            "condition": printable(c.name), "confidence": finite(b.confidence), "accuracy": finite(b.accuracy),
            "share": finite(b.share), "order": order,
        }
        for order, c in enumerate(some) for b in c.calibration
    ]  # fmt: skip
    unit = {"type": "quantitative", "scale": {"domain": [0, 1]}}
    x = unit | {"field": "confidence", "axis": {"format": ".0%", "title": "confidence"}}
    y = unit | {"field": "accuracy", "axis": {"format": ".0%", "title": "accuracy"}}
    names = list(dict.fromkeys(row["condition"] for row in rows))
    shown = {
        "x": x, "y": y,
        "color": {"field": "condition", "type": "nominal", "sort": names, "legend": {"title": None, "columns": 1,
                                                                                   "labelLimit": 280}},
        "tooltip": [
            {"field": "condition", "title": "condition"},
            {"field": "confidence", "title": "mean confidence", "format": ".1%"},
            {"field": "accuracy", "title": "accuracy", "format": ".1%"},
            {"field": "share", "title": "share of samples", "format": ".1%"}],
    }  # fmt: skip
    return {
        "data": {"values": rows}, "width": 460, "height": 280,
        "layer": [
            {"data": {"values": [{"at": 0}, {"at": 1}]}, "mark": {"type": "line", "strokeDash": [4, 3],
             "strokeWidth": 1, "color": "var(--soft)"}, "encoding": {
                 "x": unit | {"field": "at"}, "y": unit | {"field": "at"}}},
            {"mark": {"type": "line"}, "encoding": {k: shown[k] for k in ("x", "y", "color")}},
            {"mark": {"type": "point", "filled": True, "opacity": 1}, "encoding": shown | {
                "size": {"field": "share", "type": "quantitative", "legend": None, "scale": {"range": [30, 200]}}}},
        ],
    }  # fmt: skip
