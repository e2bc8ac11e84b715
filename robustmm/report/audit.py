"""An audit as rich tables that fit 80 columns."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from robustmm.auditing.result import AuditResult, BreakingLevel, ConditionResult
from robustmm.report import search
from robustmm.report.bars import COLOURS, safe_text
from robustmm.report.tables import grid, interval, number, percent, points, signed_number

COLUMNS = 5
"""Levels that a table shows; of more, some in between are left to results.json."""
STYLES = {"loss": "red", "gain": "green", "none": "dim"}


def render_audit(result: AuditResult) -> Group:
    parts: list[RenderableType] = [heading(result), headline(result)]
    if result.envelope:
        parts.append(breaking_level_tables(result))
    others = other_conditions(result)
    if others:
        parts.append(condition_table(result, others))
    if result.rates:
        parts.append(missing_rate_table(result))
    parts += [contribution_table(result), group_table(result)]
    parts += [search.render_mix(s) if s.attack == "mix" else search.render_square(s) for s in result.searches]
    if result.reference:
        parts.append(reference_table(result))
    return Group(*parts, footer(result))


def heading(result: AuditResult) -> Text:
    said = f"{result.samples} samples of split {result.split} of {result.manifest}, seed {result.seed}"
    which = (safe_text(result.model).plain, "bold")
    return Text.assemble(which, safe_text(f" ({result.method}), suite {result.suite}"), "\n", safe_text(said), "\n")


def headline(result: AuditResult) -> Panel:
    """What holds and what breaks, in a few sentences."""
    lost = [c for c in result.conditions if c.effect == "loss"]
    said = [
        f"Clean accuracy is {interval(result.clean.accuracy)}.",
        f"{len(lost)} of {len(result.conditions)} conditions certainly cost accuracy.",
    ]
    if lost:
        worst = min(lost, key=lambda c: c.accuracy.value)
        said.append(f"Worst: {worst.name}, {interval(worst.accuracy)}.")
    if result.envelope:
        said.append(f"Under corruption it keeps {percent(result.retention, 0)} of its clean accuracy on average.")
    decided = [b for b in result.envelope if not b.undecided]
    broken = [b for b in decided if b.breaks == b.breaks]
    if decided:
        said.append(f"{len(decided) - len(broken)} of {len(decided)} corruptions hold at every level.")
    if broken:
        first = min(broken, key=lambda b: b.breaks)
        said.append(
            f"The first to break is {first.noise} on {' and '.join(first.modalities)}, at level {first.breaks:.3g} "
            f"({first.unit}: {first.strength:.3g})."
        )
    if len(decided) < len(result.envelope):
        said.append(f"{result.samples} samples are too few to say where it breaks.")
    beaten = [c for c in (result.clean, *result.conditions) if c.best_single and c.best_single.better]
    if beaten:
        one = max(beaten, key=lambda c: -c.best_single.change.value if c.best_single else 0.0)
        assert one.best_single
        said.append(
            f"Under {len(beaten)} of {1 + len(result.conditions)} conditions the fusion is certainly worse than its "
            f"best modality alone, most under {one.name} ({one.best_single.modality} alone: "
            f"{percent(one.best_single.accuracy)})."
        )
    return Panel(safe_text(" ".join(said)), border_style="red" if lost else "green", expand=True)


def breaking_level_tables(result: AuditResult) -> Group:
    """A table per modality, a row per corruption: accuracy by level, and where it breaks in the physics' unit."""
    on: dict[tuple[str, ...], list[BreakingLevel]] = {}
    for b in result.envelope:
        on.setdefault(tuple(b.modalities), []).append(b)
    legend = (
        f"Accuracy by level; the lowest level tried whose lower bound is below {percent(result.share, 0)} of "
        "clean accuracy, and the physical strength there."
    )
    tables = (breaking_level_table(safe_text(", ".join(names)).plain, some, result) for names, some in on.items())
    return Group(*tables, Text(legend, style="dim"))


def breaking_level_table(title: str, some: Sequence[BreakingLevel], result: AuditResult) -> Table:
    shown = table_levels(some)
    headings = [f"{level:g}" for level in shown]
    table = grid(f"Where it breaks: {title}", "corruption", *headings, "breaks", "at", left=(0, len(shown) + 2))
    for b in sorted(some, key=lambda b: b.breaks if b.breaks == b.breaks else 2):
        accuracies = {p.level: p.accuracy.value for p in b.points}
        broken = b.breaks == b.breaks
        table.add_row(
            safe_text(b.noise),
            *(accuracy_text(accuracies[x], result) if x in accuracies else "" for x in shown),
            f"{b.breaks:.2f}" if broken else "?" if b.undecided else "holds",
            Text(f"{b.strength:.3g} {b.unit}" if broken else "", style="dim"),
        )
    return table


def table_levels(some: Sequence[BreakingLevel]) -> list[float]:
    """The suite's levels, or some of them where they are many."""
    found = sorted({p.level for b in some for p in b.points if p.condition})
    return sorted(found[:: -max(1, -(-len(found) // COLUMNS))])


def accuracy_text(accuracy: float, result: AuditResult) -> Text:
    style = "red" if accuracy < result.share * result.clean.accuracy.value else ""
    return Text(f"{100 * accuracy:.1f}", style=style)


def other_conditions(result: AuditResult) -> list[ConditionResult]:
    """Conditions that neither the envelope nor the rates show."""
    shown = {p.condition for b in result.envelope for p in b.points} | {n for r in result.rates for n in r.conditions}
    return [c for c in result.conditions if c.name not in shown]


def condition_table(result: AuditResult, some: Sequence[ConditionResult]) -> Table:
    table = grid("Other conditions", "condition", "accuracy", "change", "p adj.", "", left=(0, 4))
    for c in some:
        table.add_row(
            safe_text(c.name), interval(c.accuracy), points(c.change.value), f"{c.adjusted:.3f}",
            Text(c.effect if c.effect != "none" else "", style=STYLES[c.effect]),
        )  # fmt: skip
    return table


def missing_rate_table(result: AuditResult) -> Table:
    table = grid("Missing inputs", "missing", "rates", "accuracy", "mean", left=(0, 1))
    for r in result.rates:
        accuracies = " ".join(f"{100 * e.value:.1f}" for e in r.accuracies)
        table.add_row(
            safe_text(", ".join(r.modalities)) if len(r.modalities) < len(result.clean.modalities) else "each alike",
            " ".join(f"{rate:g}" for rate in r.rates), accuracies, percent(r.area),
        )  # fmt: skip
    return table


def contribution_table(result: AuditResult) -> Group:
    how = "exact Shapley" if result.exact else "Shapley, sampled orders"
    table = grid(
        f"What the answers rest on ({how}, absent: {result.baseline})",
        "modality", "alone", "lost w/o", "accuracy", "share", "CAL W", "most moved by", "to", left=(0, 6),
    )  # fmt: skip
    shifts = {s.modality: s for s in result.shifts}
    for i, m in enumerate(result.clean.modalities):
        colour, shift = COLOURS[i % len(COLOURS)], shifts.get(m.name)
        table.add_row(
            Text(safe_text(m.name).plain, style=f"bold {colour}"), percent(m.solo.value), points(m.leave_one_out.value),
            points(m.accuracy.value), percent(m.accuracy_share, 0), number(m.weight),
            safe_text(shift.condition) if shift else "", percent(shift.share, 0) if shift else "",
        )  # fmt: skip
    said = [
        f"{' and '.join(i.modalities)} interact by {points(i.value.value)} points "
        f"[{points(i.value.low)}, {points(i.value.high)}]"
        for i in result.clean.interactions[:3]
    ]
    p = result.clean.projection
    if p:
        said.append(
            f"combining them earns {points(p.gap)} points over adding up what each says (EMAP, {p.samples} samples)"
        )
    if result.clean.evenness == result.clean.evenness:
        said.append(f"evenness over missing configurations {result.clean.evenness:.2f}")
    told = safe_text("; ".join(said) + ". CAL W is a reconstruction." if said else "")
    told.stylize("dim")
    return Group(table, told)


def group_table(result: AuditResult) -> Table:
    """Per column the groups, worst first, clean and in their worst condition."""
    table = grid("Groups", "group", "n", "clean", "worst", "under", left=(0, 4))
    found = []
    for k, group in enumerate(result.clean.groups):
        worst = min((c.groups[k].accuracy.value, c.name) for c in (result.clean, *result.conditions))
        found.append((worst[0], group, worst[1]))
    found.sort(key=lambda entry: (entry[0], entry[1].column, entry[1].value))
    for value, group, name in found[:10]:
        table.add_row(
            safe_text(group.value if group.column == "label" else f"{group.column}: {group.value}"), str(group.samples),
            percent(group.accuracy.value), percent(value), safe_text(name),
        )  # fmt: skip
    if len(found) > 10:
        table.caption = f"the 10 worst of {len(found)}"
    return table


def reference_table(result: AuditResult) -> Table:
    assert result.reference
    r = result.reference
    table = grid(safe_text(f"Error relative to {r.model} (1: as good)").plain, "corruption", "error", left=(0,))
    for name, value in r.by_corruption.items():
        table.add_row(safe_text(name), f"{value:.2f}")
    table.add_section()
    table.add_row("mean corruption error", f"{r.mean_corruption_error:.2f}")
    table.add_row("relative", signed_number(r.relative, 2))
    return table


def footer(result: AuditResult) -> Text:
    r, f = result.runtime, result.floor
    residual = max(c.efficiency_residual for c in (result.clean, *result.conditions))
    said = [
        f"noise floor of {f.repeats} clean runs: answers {percent(f.accuracy)}, probabilities {f.probability:.1e}",
        f"{result.clean.detectable * 100:.1f} points is the smallest clean change {result.samples} samples can show"
        if result.clean.detectable < 1 else "",
        f"efficiency residual {residual:.1e}",
        f"onnxruntime {r.onnxruntime}, {r.provider}, {r.threads} thread, {r.graph_optimisation}",
        f"{len(result.bad_inputs)} unreadable inputs counted as missing" if result.bad_inputs else "",
    ]  # fmt: skip
    return Text("; ".join(part for part in said if part), style="dim")
