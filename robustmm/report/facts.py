"""What a manifest holds, and what this machine has, as rich tables."""

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from robustmm.catalogue.result import DoctorResult
from robustmm.data.check import ManifestFacts
from robustmm.data.faults.findings import Finding, Row, Severity
from robustmm.data.storage.cache import CacheResult
from robustmm.data.storage.choice import format_bytes
from robustmm.errors import printable
from robustmm.report.bars import bar, safe_text
from robustmm.report.formats import grid, percent

MAX_ROWS = 20
"""Classes listed of which there may be thousands; the JSON has them all."""
MAX_CELLS = 6
"""Rows listed of a finding; the JSON has more."""
COLOURS: dict[Severity, str] = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def render_manifest(facts: ManifestFacts) -> Group:
    parts: list[RenderableType] = [
        safe_text(f"{facts.manifest}: {facts.samples} samples"),
        split_table(facts),
        modality_table(facts),
    ]
    if facts.metadata:
        parts.append(Text(printable(f"metadata columns: {', '.join(facts.metadata)}"), style="dim"))
    if facts.findings:
        parts.append(finding_table(facts.findings))
    if all(found.severity == "note" for found in facts.findings):
        parts.append(
            Text("nothing to object to: every cell can be read, no content is shared between splits", style="green")
        )
    return Group(*parts)


def finding_table(findings: list[Finding]) -> Table:
    """Each finding with its first rows, and what follows for a training and for an audit."""
    table = Table(title=Text(f"Findings ({len(findings)})"), title_justify="left", title_style="bold",
                  box=box.SIMPLE_HEAD, pad_edge=False)  # fmt: skip
    table.add_column("what", max_width=20, overflow="fold")
    table.add_column("found, and what follows", overflow="fold")
    for found in findings:
        what = Text.assemble((found.severity, COLOURS[found.severity]), "\n", printable(found.about))
        parts: list[RenderableType] = [
            Text(printable(found.sentence), style="bold" if found.severity == "error" else ""),
            *(Padding(name_row(row), (0, 0, 0, 2)) for row in found.rows[:MAX_CELLS]),
        ]
        if found.count > MAX_CELLS:
            parts.append(Text(f"  … {found.count - MAX_CELLS} more", style="dim"))
        follows = (
            f"training and audit: {found.audit}"
            if found.training == found.audit
            else f"training: {found.training}\naudit: {found.audit}"
        )
        parts.append(Text(follows, style="dim"))
        table.add_row(what, Group(*parts))
        table.add_section()
    return table


def name_row(row: Row) -> Text:
    """`line 9, s7: x.npy does not exist`."""
    return safe_text(f"line {row.line}, {row.id}{': ' if row.detail else ''}{row.detail}")


def split_table(facts: ManifestFacts) -> RenderableType:
    """Classes down, splits across; past MAX_ROWS classes only their number."""
    names = list(facts.splits)
    labels = list(next(iter(facts.splits.values())))
    table = grid("Samples per class and split", "class", *(escape(printable(name)) for name in names))
    for label in labels[:MAX_ROWS]:
        table.add_row(safe_text(label), *(str(facts.splits[s][label]) for s in names))
    if len(labels) > MAX_ROWS:
        table.add_row(f"… {len(labels) - MAX_ROWS} more", *("" for _ in names))
    table.add_section()
    table.add_row("all", *(str(sum(facts.splits[s].values())) for s in names))
    return table


def modality_table(facts: ManifestFacts) -> RenderableType:
    table = grid("Modalities", "name", "kind", "missing", "", "own sizes", left=(0, 1, 3, 4))
    for m in facts.modalities:
        rate = max(m.missing.values(), default=0.0)
        every = list(m.sizes)
        sizes = every[0] if len(every) == 1 else f"{every[0]} … {every[-1]}" if every else ""
        rates = ", ".join(f"{s} {percent(r)}" for s, r in m.missing.items() if r) or "none"
        table.add_row(m.name, m.kind, safe_text(rates), bar(rate, 6), sizes)
    return table


def titled_list(title: str, lines: list[str], colour: str) -> list[RenderableType]:
    """A titled list, cut at MAX_ROWS."""
    if not lines:
        return []
    more = [f"… {len(lines) - MAX_ROWS} more"] if len(lines) > MAX_ROWS else []
    return [
        Text(f"{title} ({len(lines)})", style=f"bold {colour}"),
        *(Text(f"  {x}") for x in [*lines[:MAX_ROWS], *more]),
    ]


def render_cache(result: CacheResult) -> RenderableType:
    if not result.sets:
        return safe_text(f"nothing is cached in {result.folder}")
    table = grid("Decoded data", "manifest", "modality", "samples", "size", "used (UTC)", left=(0, 1))
    for each in result.sets:
        named = each.manifest or "(files that are no shards)"
        size, used = format_bytes(each.bytes), each.used
        table.add_row(safe_text(named), safe_text(each.modality), f"{each.samples:,}", size, used)
    whole = format_bytes(sum(each.bytes for each in result.sets))
    return Group(table, safe_text(f"{whole} in {result.folder}"))


def render_machine(result: DoctorResult) -> Group:
    table = grid("This machine", "what", "found", left=(0, 1))
    for name, value in result.found.items():
        table.add_row(name, Text(value))
    missing = [f"{name}: {value}" for name, value in result.missing.items()]
    return Group(table, *titled_list("missing, and how to get it", missing, "yellow"))
