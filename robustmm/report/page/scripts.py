"""The page's scripts and style, and the policy by which a browser runs these and asks nobody for anything."""

import base64
import hashlib
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import platformdirs

from robustmm.auditing.store import read_cell, write_cell
from robustmm.errors import DataError
from robustmm.report.page.markup import Markup, embed_json, tag


@cache
def read_asset(name: str) -> str:
    return (files("robustmm.report.page") / name).read_text(encoding="utf-8")


@cache
def chart_library() -> str:
    """Vega, Vega-Lite and vega-embed as one script without a request, about 0.9 MB; `vegaEmbed` is their door. It takes
    more than a second to make, and is kept in the user's cache where that can be written."""
    import vl_convert

    path = platformdirs.user_cache_path("robustmm") / f"charts-{version('vl-convert-python')}.js"
    text = read_cell(path, bytes.decode)
    if text is None:
        text = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
        with suppress(DataError):
            write_cell(path, text.encode())
    if "</script" in text.lower() or "<!--" in text:
        raise AssertionError("the chart library would end its own script element")
    return text


def security_policy(*scripts: str) -> str:
    """A Content-Security-Policy: these scripts alone run, nothing is evaluated, nothing is loaded or sent."""
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def assemble_page(title: str, body: Markup, charts: dict[str, Any]) -> bytes:
    """The whole file, UTF-8. `charts` are Vega-Lite specifications by the id of the element that they are drawn in;
    without any there are no scripts."""
    scripts = [chart_library(), read_asset("page.js")] if charts else []
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=security_policy(*scripts)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Markup(read_asset("style.css"))),
    ]
    data = [tag("script", embed_json(charts), type="application/json", id="charts")] if charts else []
    run = [tag("script", Markup(text)) for text in scripts]
    page = tag("html", tag("head", head), tag("body", body, data, run), lang="en")
    return f"<!doctype html>\n{page}\n".encode("utf-8", "backslashreplace")
