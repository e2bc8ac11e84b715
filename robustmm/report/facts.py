"""What a manifest holds, and what this machine has, as rich tables."""

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.text import Text

from robustmm.catalogue.result import DoctorResult
from robustmm.data.check import ManifestFacts
from robustmm.report.bars import bar, safe_text
from robustmm.report.tables import grid, percent

MAX_ROWS = 20
"""Rows listed of anything there may be thousands of; the JSON has them all."""


def render_manifest(facts: ManifestFacts) -> Group:
    parts: list[RenderableType] = [
        Text(f"{facts.manifest}: {facts.samples} samples"),
        split_table(facts),
        modality_table(facts),
    ]
    if facts.metadata:
        parts.append(Text(f"metadata columns: {', '.join(facts.metadata)}", style="dim"))
    listed = [f"{d.modality}: {', '.join(d.ids[:6])} ({', '.join(sorted(set(d.splits)))})" for d in facts.duplicates]
    parts += titled_list("same content in two splits", listed, "yellow")
    parts += titled_list("warnings", facts.warnings, "yellow")
    parts += titled_list("cells that cannot be read", facts.bad, "red")
    if not facts.bad and not facts.warnings and not facts.duplicates:
        parts.append(
            Text("nothing to object to: every cell can be read, no content is shared between splits", style="green")
        )
    return Group(*parts)


def split_table(facts: ManifestFacts) -> RenderableType:
    """Classes down, splits across; past SHOWN classes only their number and extremes."""
    names = list(facts.splits)
    labels = list(next(iter(facts.splits.values())))
    table = grid("Samples per class and split", "class", *map(escape, names))
    for label in labels[:MAX_ROWS]:
        table.add_row(safe_text(label), *(str(facts.splits[s][label]) for s in names))
    if len(labels) > MAX_ROWS:
        table.add_row(f"… {len(labels) - MAX_ROWS} more", *("" for _ in names))
    table.add_section()
    table.add_row("all", *(str(sum(facts.splits[s].values())) for s in names))
    return table


def modality_table(facts: ManifestFacts) -> RenderableType:
    table = grid("Modalities", "name", "kind", "missing", "", "own sizes", "constant", left=(0, 1, 3, 4))
    for m in facts.modalities:
        rate = max(m.missing.values(), default=0.0)
        every = list(m.sizes)
        sizes = every[0] if len(every) == 1 else f"{every[0]} … {every[-1]}" if every else ""
        rates = ", ".join(f"{s} {percent(r, 0)}" for s, r in m.missing.items()) if rate else "none"
        table.add_row(m.name, m.kind, Text(rates), bar(rate, 6), sizes, str(m.constant))
    return table


def titled_list(title: str, lines: list[str], colour: str) -> list[RenderableType]:
    """A titled list, cut at SHOWN."""
    if not lines:
        return []
    more = [f"… {len(lines) - MAX_ROWS} more"] if len(lines) > MAX_ROWS else []
    return [
        Text(f"{title} ({len(lines)})", style=f"bold {colour}"),
        *(Text(f"  {x}") for x in [*lines[:MAX_ROWS], *more]),
    ]


def render_machine(result: DoctorResult) -> Group:
    table = grid("This machine", "what", "found", left=(0, 1))
    for name, value in result.found.items():
        table.add_row(name, Text(value))
    missing = [f"{name}: {value}" for name, value in result.missing.items()]
    return Group(table, *titled_list("missing, and how to get it", missing, "yellow"))
