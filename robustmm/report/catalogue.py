"""What can be named, and what a name means, as rich tables."""

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from rich.console import Group, RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from robustmm.catalogue.result import (
    CorruptionDetails,
    CorruptionEntry,
    CorruptionKind,
    Details,
    Entry,
    LevelTable,
    ListResult,
    RecipeDetails,
    RegisteredKind,
    SuiteCost,
    SuiteDetails,
)
from robustmm.data.preparing.benchmark import Benchmark
from robustmm.report.formats import grid


def render_list(result: ListResult) -> Group:
    """A table for each sort that was listed."""
    parts: list[RenderableType] = []
    for title, shelf in (("Recipes", result.recipes), ("Suites", result.suites)):
        if shelf is not None:
            parts.append(shelf_table(title, shelf))
    if result.corruptions is not None:
        parts.append(corruption_table(result.corruptions))
    for sort in ("augmentations", "methods", "fusions", "encoders"):
        entries = getattr(result, sort)
        if entries is not None:
            parts.append(registered_table(sort, entries))
        elif sort in result.needs_torch:
            parts.append(Text(f"{sort}: need torch: pip install 'robustmm[train]'", style="dim"))
    return Group(*parts)


def shelf_table(title: str, entries: list[Entry]) -> Table:
    table = grid(title, "name", "what", left=(0, 1))
    for entry in entries:
        table.add_row(entry.name, Text(entry.summary))
    return table


def registered_table(sort: str, entries: list[Entry]) -> Table:
    table = grid(sort.capitalize(), "name", "on", "what", left=(0, 1, 2))
    table.columns[1].header = "on" if sort in ("encoders", "augmentations") else ""
    before = ""
    for entry in entries:
        table.add_row("" if entry.name == before else entry.name, ", ".join(entry.kinds), Text(entry.summary))
        before = entry.name
    return table


def corruption_table(entries: list[CorruptionEntry]) -> Table:
    title = "Corruptions at levels 0.2, 0.4, 0.6, 0.8 and 1"
    table = grid(title, "name", "on", "value, unit and source", left=range(3))
    before = ""
    for entry in entries:
        values = "  ".join(f"{value:.4g}" for value in entry.strengths)
        said = Text.assemble((values, "bold"), f"  {entry.unit}\n", (entry.source, "dim"))
        table.add_row("" if entry.name == before else entry.name, "\n".join(entry.kinds), said)
        before = entry.name
    return table


def render_details(result: Details) -> Group:
    """Everything known under a name."""
    if isinstance(result, RecipeDetails):
        return Group(Text(result.path, style="dim"), Syntax(result.text, "toml", background_color="default"))
    if isinstance(result, SuiteDetails):
        return render_suite(result)
    if isinstance(result, CorruptionDetails):
        return Group(*(part for kind in result.kinds for part in corruption_parts(result.name, kind)))
    return Group(*(part for kind in result.kinds for part in registered_parts(result.name, result.sort, kind)))


def render_suite(result: SuiteDetails) -> Group:
    """A suite's text, how many conditions it makes, and what they cost on a model."""
    text = Text(result.path, style="dim"), Syntax(result.text, "toml", background_color="default")
    if result.cost is not None:
        return Group(*text, cost_sentences(result.cost))
    table = grid("Conditions it makes on a model with one modality of", "kinds", "conditions")
    for kinds, count in result.conditions.items():
        table.add_row(kinds, str(count))
    return Group(*text, table, Text("what they cost: robustmm show SUITE --model FILE", style="dim"))


def cost_sentences(cost: SuiteCost) -> Text:
    each = ", ".join(f"{n} of {name}" for name, n in cost.encodings.items())
    return Text(
        f"{cost.conditions} conditions on {cost.model} ({', '.join(cost.modalities)})\n"
        f"encodings per sample, clean included: {each}\n"
        f"decodings per sample, contributions included: {cost.decodings}\n"
        f"{cost.samples} samples: about {timedelta(seconds=math.ceil(cost.seconds))} (h:mm:ss) here, timed on a few of "
        "them"
    )


def corruption_parts(name: str, kind: CorruptionKind) -> list[RenderableType]:
    """A corruption on one kind: its levels, what it does, where its table comes from, and its options."""
    said = f"{' '.join(kind.summary.split())}\nsource: {kind.source}\n"
    said += "".join(f"option {key}, default {value!r}\n" for key, value in kind.options.items())
    where = f"whole samples ({', '.join(kind.serves)})" if kind.kind == "samples" else kind.kind
    return [*(level_table(f"{name} on {where}", table) for table in kind.tables), Text(said, style="dim")]


def level_table(title: str, found: LevelTable) -> Table:
    scale = f", {found.scale} px" if found.scale else ""
    table = grid(f"{title}{scale}", "level", *found.units, left=())
    for level, values in zip(found.levels, found.strengths, strict=True):
        table.add_row(f"{level:g}", *(f"{value:.4g}" for value in values))
    return table


def registered_parts(name: str, sort: str, found: RegisteredKind) -> list[RenderableType]:
    title = Text(f"{name} ({found.kind or sort})", style="bold")
    return [title, Text(f"{found.description}\n"), options_table(found.options)]


def options_table(options: Mapping[str, Any]) -> RenderableType:
    if not options:
        return Text("no options", style="dim")
    table = grid("Options", "key", "default", left=(0, 1))
    for key, value in options.items():
        table.add_row(key, Text(repr(value)))
    return table


def render_benchmarks(found: Mapping[str, type[Benchmark]]) -> Table:
    """The benchmarks that can be prepared, a row each."""
    table = grid("Benchmarks: robustmm data prepare NAME RAW OUT", "name", "what", left=(0, 1))
    for name, one in found.items():
        rows = {who: ", ".join(f"{s} {n:,}".strip() for s, n in counts.items()) for who, counts in one.sizes.items()}
        sizes = (f"rows ({who}): {told}" for who, told in rows.items())
        lines = (f"raw files: {one.origin}", f"split: {one.rule}", *([one.lists] if one.lists else []), *sizes)
        table.add_row(name, Text.assemble((f"{one.title}: {', '.join(one.inputs)}\n", "bold"), "\n".join(lines) + "\n"))
    return table
