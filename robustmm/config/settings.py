"""`--set KEY=VALUE` laid over the tables of a recipe."""

import tomllib
from typing import Any

from robustmm.errors import UsageError


def apply_setting(content: dict[str, Any], setting: str) -> None:
    """Sets `train.epochs=3` in the content; the value is TOML, or a bare string."""
    key, separator, given = setting.partition("=")
    parts = key.strip().split(".")
    if not separator or not all(parts):
        raise UsageError(f'--set should be KEY=VALUE with a dotted key such as train.epochs=3, found "{setting}"')
    try:
        value = tomllib.loads(f"value = {given}")["value"]
    except (ValueError, RecursionError):
        value = given.strip()
    for part in parts[:-1]:
        entry = content.get(part, {})
        if isinstance(entry, str) and part in ("encoder", "fusion"):  # a bare name becomes its table
            entry = {"name": entry}
        if isinstance(entry, (int, float)) and parts[0] == "augment":  # and a bare probability its own
            entry = {"probability": entry}
        if not isinstance(entry, dict):
            raise UsageError(f'--set {setting}: "{part}" is not a table')
        content[part] = dict(entry)
        content = content[part]
    content[parts[-1]] = value
