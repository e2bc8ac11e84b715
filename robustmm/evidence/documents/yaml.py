"""YAML whose every scalar is JSON, which is YAML too: no name of a stranger's is taken for more than text."""

import json
import re
from collections.abc import Iterator
from typing import Any

from robustmm.errors import escape_unprintable


def to_yaml(table: dict[str, Any]) -> str:
    return "".join(f"{line}\n" for line in _block(table))


def _block(value: Any) -> Iterator[str]:
    """The lines of a mapping or a list, without indentation of their own."""
    entries = [(f"{key}:", one) for key, one in value.items()] if isinstance(value, dict) else [("-", v) for v in value]
    for head, one in entries:
        if isinstance(one, (dict, list)) and one:
            lines = [f"  {line}" for line in _block(one)]
            if head == "-":
                lines[0] = f"- {lines[0].lstrip()}"
            else:
                yield head
            yield from lines
        else:
            yield f"{head} {to_scalar(one)}"


def to_scalar(value: Any) -> str:
    """A scalar as JSON. What YAML forbids or takes for the end of a line is escaped; half a character of a name that is
    no text has no escape in YAML, and is replaced."""
    text = escape_unprintable(json.dumps(value, ensure_ascii=False))
    return re.sub("[\ud800-\udfff]", "\ufffd", text)
