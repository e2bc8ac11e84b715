"""The charts of a page as one picture, SVG, for papers and slides: light colours, no script, no request."""

import re
from collections.abc import Mapping
from typing import Any

from robustmm.errors import printable
from robustmm.report.page.charts import Spec
from robustmm.report.page.scripts import read_asset

WIDTH, PANEL, COLUMNS = 640, 190, 3
"""Pixels of a chart and of a panel, and panels in a row."""


def render_svg(title: str, said: str, charts: Mapping[str, tuple[str, Spec]]) -> bytes:
    """Charts below each other, each below its heading. Same charts, same bytes."""
    import vl_convert

    placed = [
        _place(spec) | {"title": {"text": printable(heading), "anchor": "start"}} for heading, spec in charts.values()
    ]
    whole = {
        "title": {"text": printable(title), "subtitle": printable(said), "anchor": "start", "fontSize": 15,
                  "offset": 14},
        "vconcat": placed, "spacing": 28, "padding": 16, "config": THEME,
        "resolve": {"scale": {"color": "independent"}},
    }  # fmt: skip
    text: str = vl_convert.vegalite_to_svg(_replace_colours(whole, read_colours()), allowed_base_urls=[])
    return text.encode("utf-8", "backslashreplace")


def read_colours() -> dict[str, str]:
    """The style sheet's light colours by their variable, `var(--ink)`."""
    light = read_asset("style.css").partition("}")[0]
    return {f"var({name})": value for name, value in re.findall(r"(--[\w-]+):(#[0-9a-f]+)", light)}


def _place(spec: Spec) -> Spec:
    """A chart with its size; on a page it has that of the window."""
    if "facet" in spec:
        return spec | {"columns": COLUMNS, "spec": spec["spec"] | {"width": PANEL}}
    return spec | {"width": WIDTH}


def _replace_colours(value: Any, colours: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {k: v if k == "values" else _replace_colours(v, colours) for k, v in value.items()}
    if isinstance(value, list):
        return [_replace_colours(v, colours) for v in value]
    return colours.get(value, value) if isinstance(value, str) else value


SOFT, LINE, INK = "var(--soft)", "var(--line)", "var(--ink)"
THEME: Spec = {
    "background": "#ffffff", "font": "sans-serif", "view": {"stroke": LINE},
    "range": {"category": [f"var(--series-{n})" for n in range(10)]},
    "axis": {"labelColor": SOFT, "titleColor": SOFT, "gridColor": LINE, "domainColor": LINE, "tickColor": LINE,
             "titleFontWeight": "normal", "gridOpacity": 0.6},
    "legend": {"labelColor": INK, "orient": "top", "symbolOpacity": 1},
    "header": {"labelColor": INK, "labelFontSize": 11, "labelFontWeight": 600},
    "title": {"color": INK, "subtitleColor": SOFT}, "rule": {"color": SOFT},
}  # fmt: skip
