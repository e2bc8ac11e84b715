"""HTML that cannot be broken by what it shows: every word that is not markup of ours is escaped."""

import html
import json
from collections.abc import Iterable
from typing import Any

from robustmm.errors import printable


class Markup(str):
    """HTML of ours, which is not escaped again."""


Content = str | Markup | None | Iterable[Any]


def tag(name: str, /, *content: Content, **attributes: str | bool | None) -> Markup:
    """An element; a `_` in an attribute's name is a `-`, one at its end is dropped (`class_`, `for_`)."""
    said = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in ("img", "meta", "input", "col"):
        return Markup(f"<{name}{said}>")
    return Markup(f"<{name}{said}>{join(content)}</{name}>")


def join(content: Iterable[Content]) -> Markup:
    """Content in order: markup as it is, words escaped, nothing for None."""
    parts = []
    for each in content:
        if isinstance(each, Markup):
            parts.append(each)
        elif isinstance(each, str):
            parts.append(escape(each))
        elif each is not None:
            parts.append(join(each))
    return Markup("".join(parts))


def escape(words: str) -> Markup:
    """Words as text or as an attribute's value; control characters and lone surrogates are shown as codes."""
    return Markup(html.escape(printable(words)).encode("utf-8", "backslashreplace").decode())


def embed_json(value: Any) -> Markup:
    """JSON for a script element: nothing in it can end the element or begin another. Raises ValueError for NaN."""
    return Markup(json.dumps(value, allow_nan=False).translate(HARMLESS))  # pure ASCII


HARMLESS = {ord(c): f"\\u{ord(c):04x}" for c in "<>&"}


def _attribute(name: str, value: str | bool | None) -> str:
    if value is None or value is False:
        return ""
    key = name.rstrip("_").replace("_", "-")
    return f" {key}" if value is True else f' {key}="{escape(value)}"'
