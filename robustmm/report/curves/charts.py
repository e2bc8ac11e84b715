"""Curves by epoch as Vega-Lite specifications. What strangers named is data only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robustmm.errors import printable
from robustmm.report.page.charts import Spec, finite

POINTS = 5_000
"""Points of all curves of a page at most, so that it stays below 2 MB."""
EPOCHS = 300
"""Epochs of a curve that are drawn at most."""
MARKED = 60
"""Epochs up to which each has a mark of its own."""


@dataclass(frozen=True)
class Curve:
    """A value by epoch, with a band where it is a mean. Curves of one `panel` share axes, those of one `series` a
    colour."""

    series: str
    value: NDArray[np.float64]
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None
    panel: str = ""


def choose_epochs(count: int, curves: int, kept: int = 1) -> NDArray[np.int64]:
    """The epochs that are drawn, ascending: all, or as many as a page has room for, evenly; the first, the last and
    the kept one are among them."""
    most = max(20, min(EPOCHS, POINTS // max(1, curves)))
    return np.unique([*np.linspace(1, count, min(count, most)).round().astype(np.int64), kept])


def draw_curves(
    curves: Sequence[Curve],
    epochs: NDArray[np.int64],
    title: str,
    *,
    form: str,
    kept: int | None = None,
    top: float = 0,
) -> Spec:
    """Lines by epoch, in panels where curves have such; `form` is the d3 format of their values. A `top` above 0 is the
    end of the axis, which begins at 0; else each panel has an axis of its own."""
    rows = [
        {
            "panel": printable(curve.panel), "order": order, "series": printable(curve.series), "epoch": int(epoch),
            "value": finite(float(curve.value[epoch - 1])),
        }
        | ({} if curve.low is None or curve.high is None else {
            "low": finite(float(curve.low[epoch - 1])), "high": finite(float(curve.high[epoch - 1]))})
        for order, curve in enumerate(curves) for epoch in epochs if epoch <= len(curve.value)
    ]  # fmt: skip
    banded = any(curve.low is not None for curve in curves)
    drawn = _layers(_encode(rows, title, form, top, banded), banded, kept, len(epochs) <= MARKED)
    if not any(curve.panel for curve in curves):
        return {"data": {"values": rows}, "height": 240, "layer": drawn}
    panel = {
        "field": "panel", "type": "nominal", "sort": {"field": "order", "op": "min"},
        "header": {"title": None, "labelLimit": 250, "labelAnchor": "start"},
    }  # fmt: skip
    return {
        "data": {"values": rows}, "facet": panel, "spacing": {"row": 18, "column": 24},
        "spec": {"height": 110, "layer": drawn},
        "resolve": {"axis": {"x": "independent", "y": "independent"}, "scale": {} if top else {"y": "independent"}},
    }  # fmt: skip


def _encode(rows: Sequence[Spec], title: str, form: str, top: float, banded: bool) -> Spec:
    scale = {"domain": [0, top]} if top else {"zero": False}
    names = list(dict.fromkeys(row["series"] for row in rows))
    ends = [{"field": "low", "title": "lowest seed", "format": form},
            {"field": "high", "title": "highest seed", "format": form}]  # fmt: skip
    return {
        "x": {"field": "epoch", "type": "quantitative", "scale": {"nice": False, "zero": False},
              "axis": {"title": "epoch", "format": "d", "tickMinStep": 1, "tickCount": 6}},
        "y": {"field": "value", "type": "quantitative", "scale": scale,
              "axis": {"title": title, "format": form.replace(".1%", ".0%"), "tickCount": 5}},
        "color": {"field": "series", "type": "nominal", "sort": names,
                  "legend": {"title": None, "labelLimit": 220} if len(names) > 1 else None},
        "tooltip": [
            {"field": "panel", "title": "of"}, {"field": "series", "title": "curve"},
            {"field": "epoch", "title": "epoch"}, {"field": "value", "title": "value", "format": form},
            *(ends if banded else [])],
    }  # fmt: skip


def _layers(shown: Spec, banded: bool, kept: int | None, marked: bool) -> list[Spec]:
    line = {k: shown[k] for k in ("x", "y", "color")}
    layers: list[Spec] = []
    if banded:
        band = line | {"y": shown["y"] | {"field": "low"}, "y2": {"field": "high"}}
        layers.append({"mark": {"type": "area", "opacity": 0.2}, "encoding": band})
    if kept is not None:
        at = {"x": {"field": "kept", "type": "quantitative"}}
        rule = {"type": "rule", "strokeDash": [4, 3]}
        layers.append({"data": {"values": [{"kept": kept}]}, "mark": rule, "encoding": at})
    layers.append({"mark": {"type": "line"}, "encoding": line})
    point = {"type": "point", "filled": True, "size": 30, "opacity": 1 if marked else 0}
    return [*layers, {"mark": point, "encoding": shown}]
