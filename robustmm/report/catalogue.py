"""What can be named, listed and shown: from the registries and the shelf, so that it cannot be out of date."""

import inspect
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from rich.console import Group, RenderableType
from rich.syntax import Syntax
from rich.text import Text

from robustmm import corruptions, shelf
from robustmm.errors import UsageError, known
from robustmm.registry import Registry
from robustmm.report.tables import grid

SEVERITIES = (0.2, 0.4, 0.6, 0.8, 1.0)
TRAINED = ("methods", "fusions", "encoders")
"""Sorts that live above the wall: listing them needs torch."""


def listed(sort: str, alone: bool) -> RenderableType:
    """A table of one sort of names."""
    if sort == "corruptions":
        return corruption_table()
    if sort in ("recipes", "suites"):
        kind = "models" if sort == "recipes" else "attacks"
        table = grid(sort.capitalize(), "name", "what", left=(0, 1))
        for name in shelf.names(kind):
            table.add_row(name, Text(comment(shelf.text(shelf.find(kind, name)))))
        return table
    if find_spec("torch") is None:
        if alone:
            raise UsageError(f"listing {sort} needs torch: pip install 'robustmm[train]'")
        return Text(f"{sort}: need torch: pip install 'robustmm[train]'", style="dim")
    table = grid(sort.capitalize(), "name", "on", "what", left=(0, 1, 2))
    table.columns[1].header = "on" if sort == "encoders" else ""
    for name, entry in registry(sort).items():
        for i, (kind, made) in enumerate(by_kind(entry).items()):
            table.add_row("" if i else name, kind, Text((inspect.getdoc(made) or "").partition("\n")[0]))
    return table


def registry(sort: str) -> dict[str, Any]:
    """The objects registered under a sort that needs torch."""
    from robustmm.encoders import ENCODERS
    from robustmm.fusion import FUSIONS
    from robustmm.methods import METHODS

    every: dict[str, Registry[Any]] = {"methods": METHODS, "fusions": FUSIONS, "encoders": ENCODERS}
    return {name: every[sort][name] for name in every[sort]}


def by_kind(entry: Any) -> dict[str, Any]:
    """An encoder is one constructor per kind; anything else is itself, on no kind in particular."""
    return dict(entry) if isinstance(entry, Mapping) else {"": entry}


def corruption_table() -> RenderableType:
    table = grid(
        "Corruptions at levels 0.2, 0.4, 0.6, 0.8 and 1", "name", "on", "physical value", "unit", left=(0, 1, 2, 3)
    )
    for name in corruptions.names():
        for i, kind in enumerate(corruptions.kinds(name)):
            c = corruptions.corruption_for(name, kind)
            table.add_row(name if i == 0 else "", kind, "  ".join(f"{c.strength(v):.4g}" for v in SEVERITIES), c.unit)
    return table


def shown(name: str) -> RenderableType:
    """Everything known under a name."""
    if name.endswith(".toml") or any(name in shelf.names(kind) for kind in shelf.KINDS):
        path = shelf.find_any(name)
        return Group(Text(str(path), style="dim"), Syntax(shelf.text(path), "toml", background_color="default"))
    if name in corruptions.names():
        return Group(*(one_corruption(name, kind) for kind in corruptions.kinds(name)))
    every = {*corruptions.names(), *(n for kind in shelf.KINDS for n in shelf.names(kind))}
    if find_spec("torch") is not None:
        for sort in TRAINED:
            entries = registry(sort)
            every |= set(entries)
            if name in entries:
                return Group(*(one_entry(name, kind or sort, made) for kind, made in by_kind(entries[name]).items()))
    raise UsageError(f'nothing is called "{name}"{known(name, every)}')


def one_entry(name: str, what: str, entry: Any) -> RenderableType:
    return Group(Text(f"{name} ({what})", style="bold"), Text(f"{inspect.getdoc(entry) or ''}\n"), options(entry))


def one_corruption(name: str, kind: str) -> RenderableType:
    c = corruptions.corruption_for(name, kind)
    table = grid(f"{name} on {kind}", "level", c.unit, left=())
    for level in SEVERITIES:
        table.add_row(f"{level:g}", f"{c.strength(level):.4g}")
    return Group(table, Text(f"{c.doc.strip()}\nsource: {c.source}\n", style="dim"))


def options(entry: Any) -> RenderableType:
    """The keywords a recipe may set, with their defaults."""
    parameters = [p for p in inspect.signature(entry).parameters.values() if p.default is not p.empty]
    if not parameters:
        return Text("no options", style="dim")
    table = grid("Options", "key", "default", left=(0, 1))
    for p in parameters:
        table.add_row(p.name, Text(repr(p.default)))
    return table


def comment(toml: str) -> str:
    """The first comment of a file: what it is."""
    return next((line.lstrip("# ").rstrip() for line in toml.splitlines() if line.startswith("#")), "")
