"""What can be named, listed and shown: from the registries and the shelf, so that it cannot be out of date."""

import inspect
import math
from collections.abc import Iterable, Mapping
from datetime import timedelta
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.syntax import Syntax
from rich.text import Text

from robustmm import corruptions
from robustmm.conditions.suite import Suite, is_suite, load
from robustmm.config import shelf
from robustmm.config.registry import Registry
from robustmm.corruptions import pairs
from robustmm.errors import UsageError, known
from robustmm.modalities import Audio, Features, Image, Modality, Series, Video
from robustmm.modalities import Text as Text_
from robustmm.report.tables import grid

if TYPE_CHECKING:
    from robustmm.evaluation.cost import Cost

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
    from robustmm.methods import METHODS
    from robustmm.model.encoders import ENCODERS
    from robustmm.model.fusion import FUSIONS

    every: dict[str, Registry[Any]] = {"methods": METHODS, "fusions": FUSIONS, "encoders": ENCODERS}
    return {name: every[sort][name] for name in every[sort]}


def by_kind(entry: Any) -> dict[str, Any]:
    """An encoder is one constructor per kind; anything else is itself, on no kind in particular."""
    return dict(entry) if isinstance(entry, Mapping) else {"": entry}


def corruption_table(kind: str = "") -> RenderableType:
    """Every corruption (of one kind only, when given), kinds that share their levels on one line."""
    if kind and kind not in corruptions.KINDS:
        raise UsageError(f'"{kind}" is not a kind{known(kind, corruptions.KINDS)}')
    table = grid(
        "Corruptions at levels 0.2, 0.4, 0.6, 0.8 and 1", "name", "on", "value, unit and source", left=range(3)
    )
    for name in corruptions.names():
        shared: dict[tuple[str, str, str], list[str]] = {}
        for one in corruptions.kinds(name):
            if kind in ("", one):
                c = corruptions.corruption_for(name, one)
                values = "  ".join(f"{c.strength(level):.4g}" for level in SEVERITIES)
                shared.setdefault((values, c.unit, c.source), []).append(one)
        for i, ((values, unit, source), on) in enumerate(shared.items()):
            table.add_row("" if i else name, "\n".join(on), physical(values, unit, source))
    for name in pairs.names() if not kind else ():
        p = pairs.pair(name)
        values = "  ".join(f"{p.strength(level):.4g}" for level in SEVERITIES)
        table.add_row(name, "samples", physical(values, p.unit, p.source))
    return table


def physical(values: str, unit: str, source: str) -> Text:
    return Text.assemble((values, "bold"), f"  {unit}\n", (source, "dim"))


def shown(name: str) -> RenderableType:
    """Everything known under a name."""
    if name.endswith(".toml") or any(name in shelf.names(kind) for kind in shelf.KINDS):
        path = shelf.find_any(name)
        if is_suite(path):
            return suite(path, load(path))
        return Group(Text(str(path), style="dim"), Syntax(shelf.text(path), "toml", background_color="default"))
    if pairs.is_pair(name):
        return one_pair(pairs.pair(name))
    if corruptions.canonical(name) in corruptions.names():
        return Group(*(one_corruption(name, kind) for kind in corruptions.kinds(name)))
    every = {*corruptions.names(), *pairs.names(), *(n for kind in shelf.KINDS for n in shelf.names(kind))}
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
    tables = {"": c} | ({f", {scale} px": c.having(scale=scale) for scale in corruptions.SCALES} if c.small else {})
    tables = {where: one for where, one in tables.items() if where or not c.small}
    parts: list[RenderableType] = []
    for where, one in tables.items():
        table = grid(f"{c.name} on {kind}{where}", "level", *c.units, left=())
        for level in SEVERITIES:
            value = corruptions.strength(level, one.table, one.zero)
            table.add_row(f"{level:g}", *(f"{v:.4g}" for v in (value if isinstance(value, tuple) else (value,))))
        parts.append(table)
    return Group(*parts, explained(c.doc, c.source, c.options()))


def one_pair(pair: pairs.Pair) -> RenderableType:
    table = grid(f"{pair.name} on whole samples ({', '.join(pair.kinds)})", "level", pair.unit, left=())
    for level in SEVERITIES:
        table.add_row(f"{level:g}", f"{pair.strength(level):.4g}")
    return Group(table, explained(pair.doc, pair.source, pair.options()))


def explained(doc: str, source: str, given: Mapping[str, Any]) -> Text:
    """What a corruption does, where its table comes from, and the options it has (--set NAME.OPTION=VALUE)."""
    said = f"{' '.join(doc.split())}\nsource: {source}\n"
    said += "".join(f"option {key}, default {value!r}\n" for key, value in given.items())
    return Text(said, style="dim")


def suite(path: Path, found: Suite, where: str = "", price: "Cost | None" = None) -> RenderableType:
    """A suite's text, how many conditions it makes, and what they cost on a model."""
    text: list[RenderableType] = [
        Text(str(path), style="dim"),
        Syntax(shelf.text(path), "toml", background_color="default"),
    ]
    if price is None:
        counts = {", ".join(kinds): count(found, kinds) for kinds in (tuple(STAND_INS), *((k,) for k in STAND_INS))}
        table = grid("Conditions it makes on a model with one modality of", "kinds", "conditions")
        for kinds, made in counts.items():
            table.add_row(kinds, str(made))
        return Group(*text, table, Text("what they cost: robustmm show SUITE --model FILE", style="dim"))
    each = ", ".join(f"{n} of {name}" for name, n in price.encodings.items())
    seconds = timedelta(seconds=math.ceil(price.seconds))
    said = (
        f"{price.conditions} conditions on {where}\nencodings per sample, clean included: {each}\n"
        f"decodings per sample, contributions included: {price.decodings}\n"
        f"{price.samples} samples: about {seconds} (h:mm:ss) here, timed on a few of them"
    )
    return Group(*text, Text(said))


STAND_INS: dict[str, Modality] = {
    "image": Image(name="image", size=(224, 224, 3)),
    "video": Video(name="video", frames=8, size=(112, 112, 3)),
    "audio": Audio(name="audio", rate=16_000, seconds=1),
    "text": Text_(name="text"),
    "series": Series(name="series", steps=100, channels=3),
    "features": Features(name="features", length=100),
}
"""A modality of each kind, to count with."""


def count(found: Suite, kinds: Iterable[str]) -> int:
    try:
        return len(found.conditions([STAND_INS[kind] for kind in kinds]))
    except UsageError:  # it serves none of them
        return 0


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
    """The comment that a file begins with: what it is."""
    lines = takewhile(lambda line: line.startswith("#"), toml.splitlines())
    return " ".join(line.lstrip("# ").rstrip() for line in lines)
