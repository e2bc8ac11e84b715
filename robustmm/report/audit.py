"""An audit as rich tables that fit 80 columns."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from robustmm.auditing.results.condition import ConditionResult
from robustmm.auditing.results.schema import AuditResult, BreakingLevel
from robustmm.report import search
from robustmm.report.bars import COLOURS, safe_text
from robustmm.report.formats import grid, interval, percent, points, signed_number
from robustmm.report.sentences import audit_headline, lacking_text, notes_text, prior_name
from robustmm.report.summary.gates import render_gates

COLUMNS = 4
"""Levels that a table shows; of more, some in between are left to results.json."""
STYLES = {"drop": "red", "gain": "green", "none": "dim", "holds": "", "fails": "red", "undecided": "yellow"}


def render_audit(result: AuditResult) -> Group:
    parts: list[RenderableType] = [
        *render_gates(result),
        *notes_text(result.notes),
        heading(result),
        audit_headline(result),
    ]
    if result.breaking_levels:
        parts.append(breaking_level_tables(result))
    others = other_conditions(result)
    if others:
        parts.append(condition_table(result, others))
    if result.missing_rates:
        parts.append(missing_rate_table(result))
    parts += [contribution_table(result), group_table(result)]
    parts += [search.render_mix(s) if s.attack == "mix" else search.render_square(s) for s in result.searches]
    if result.reference:
        parts.append(reference_table(result))
    return Group(*parts, footer(result))


def heading(result: AuditResult) -> Text:
    said = f"{result.samples} samples of split {result.split} of {result.manifest}, seed {result.seed}"
    said += lacking_text(result.samples, {m.name: m.present for m in result.clean.modalities})
    which = (safe_text(result.model).plain, "bold")
    return Text.assemble(which, safe_text(f" ({result.method}), suite {result.suite}"), "\n", safe_text(said), "\n")


def breaking_level_tables(result: AuditResult) -> Group:
    """A table per set of modalities, a row per corruption: accuracy by level, the breaking level and its strength."""
    on: dict[tuple[str, ...], list[BreakingLevel]] = {}
    for b in result.breaking_levels:
        on.setdefault(tuple(b.modalities), []).append(b)
    legend = (
        "Accuracy in % by level. Holds to: the highest level up to which certainly "
        f"{percent(result.retention_threshold, 0)} of clean accuracy are kept. Breaks at: the lowest level tried at "
        "which certainly less is kept (?: at none, and so many samples leave some undecided). Strength: the physical "
        "value there."
    )
    tables = (breaking_level_table(safe_text(", ".join(names)).plain, some, result) for names, some in on.items())
    return Group(*tables, Text(legend, style="dim"))


def breaking_level_table(title: str, some: Sequence[BreakingLevel], result: AuditResult) -> Table:
    shown = table_levels(some)
    headings = [f"{level:g}" for level in shown]
    table = grid(
        f"Breaking levels: {title}", "corruption", *headings, "holds\nto", "breaks\nat", "strength",
        left=(0, len(shown) + 3),
    )  # fmt: skip
    for b in sorted(some, key=lambda b: b.breaking_level if b.breaking_level == b.breaking_level else 2):
        at, broken = {p.level: p for p in b.points}, b.outcome == "fails"
        table.add_row(
            safe_text(b.noise),
            *(Text(f"{100 * at[x].accuracy.value:.1f}", style=STYLES[at[x].outcome]) if x in at else "" for x in shown),
            f"{b.holding_level:.2f}",
            f"{b.breaking_level:.2f}" if broken else "?" if b.outcome == "undecided" else "none",
            Text(f"{b.breaking_strength:.3g} {b.unit}" if broken else "", style="dim"),
        )
    return table


def table_levels(some: Sequence[BreakingLevel]) -> list[float]:
    """The suite's levels, or some of them where they are many."""
    found = sorted({p.level for b in some for p in b.points if p.condition})
    return sorted(found[:: -max(1, -(-len(found) // COLUMNS))])


def other_conditions(result: AuditResult) -> list[ConditionResult]:
    """Conditions in no table of breaking levels or missing rates."""
    shown = {p.condition for b in result.breaking_levels for p in b.points}
    shown |= {name for curve in result.missing_rates for name in curve.conditions}
    return [c for c in result.conditions if c.name not in shown]


def condition_table(result: AuditResult, some: Sequence[ConditionResult]) -> Table:
    table = grid("Other conditions", "condition", "accuracy", "change", "adjusted\np", "", "", left=(0, 4, 5))
    for c in some:
        table.add_row(
            safe_text(c.name), interval(c.accuracy), points(c.change.value), f"{c.adjusted_p:.3f}",
            Text(c.effect if c.effect != "none" else "", style=STYLES[c.effect]),
            Text(c.outcome, style=STYLES[c.outcome]),
        )  # fmt: skip
    return table


def missing_rate_table(result: AuditResult) -> Table:
    table = grid("Missing inputs", "missing", "missing\nrates", "accuracy,\n%", "mean\naccuracy", left=(0, 1))
    for r in result.missing_rates:
        accuracies = " ".join(f"{100 * e.value:.1f}" for e in r.accuracies)
        table.add_row(
            safe_text(", ".join(r.modalities)) if len(r.modalities) < len(result.clean.modalities)
            else "all (shared missing rate)",
            " ".join(f"{rate:g}" for rate in r.rates), accuracies, percent(r.area_under_curve),
        )  # fmt: skip
    return table


def contribution_table(result: AuditResult) -> Group:
    """Per modality: unimodal accuracy, leave-one-out, Shapley values, and the condition that changes its share most."""
    how = "exact Shapley" if result.exact else "Shapley, sampled orders"
    table = grid(
        f"Modality contributions ({how}, baseline: {result.baseline})",
        "modality", "unimodal\naccuracy", "leave-\none-out", "Shapley\npoints", "share", "Shapley\nnats",
        "changed\nmost by", "to", left=(0, 6),
    )  # fmt: skip
    shifts = {s.modality: s for s in result.contribution_shifts}
    for i, m in enumerate(result.clean.modalities):
        colour, shift = COLOURS[i % len(COLOURS)], shifts.get(m.name)
        table.add_row(
            Text(safe_text(m.name).plain, style=f"bold {colour}"), percent(m.unimodal_accuracy.value),
            points(m.leave_one_out.value), points(m.shapley_accuracy.value), percent(m.shapley_accuracy_share.value, 0),
            signed_number(m.shapley_log_probability.value, 2), safe_text(shift.condition) if shift else "",
            percent(shift.share, 0) if shift else "",
        )  # fmt: skip
    sentences = [f"Shapley values count from the {prior_name(result.prior)}."]
    sentences += ["Changed most by: the condition that changes the share most, and the share there."] if shifts else []
    sentences += [
        f"The Shapley interaction of {' and '.join(i.modalities)} is {points(i.value.value)} points "
        f"[{points(i.value.low)}, {points(i.value.high)}]."
        for i in result.clean.interactions[:3]
    ]
    emap = result.clean.emap
    if emap:
        sentences.append(
            f"Cross-modal interaction gains {points(emap.gap)} points over the additive projection (EMAP, "
            f"{emap.samples} samples)."
        )
    if result.clean.evenness == result.clean.evenness:
        sentences.append(f"Evenness over missing configurations is {result.clean.evenness:.2f}.")
    text = safe_text(" ".join(sentences))
    text.stylize("dim")
    return Group(table, text)


def group_table(result: AuditResult) -> Table:
    """Per column the groups, worst first, clean and in their worst condition."""
    table = grid("Groups", "group", "n", "clean\naccuracy", "lowest\naccuracy", "under", left=(0, 4))
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
    r, f = result.runtime, result.noise_floor
    effect = result.clean.minimum_detectable_effect
    residual = max(c.efficiency_residual for c in (result.clean, *result.conditions))
    said = [
        f"noise floor of {f.repeats} clean runs: {percent(f.answers_changed)} of answers change, probabilities by "
        f"{f.probability_difference:.1e}",
        f"minimum detectable effect of {result.samples} samples {100 * effect:.1f} points" if effect < 1 else "",
        f"efficiency residual {residual:.1e}",
        f"onnxruntime {r.onnxruntime}, {r.provider}, {r.threads} thread, {r.graph_optimisation}",
        describe_encoders(result),
        f"{len(result.bad_inputs)} unreadable inputs counted as missing" if result.bad_inputs else "",
    ]  # fmt: skip
    return Text("; ".join(part for part in said if part), style="dim")


def describe_encoders(result: AuditResult) -> str:
    """How far a foreign graph was cut; empty for a file of ours."""
    if not result.description:
        return ""
    if not result.runtime.encoders:
        return "the graph runs whole for every condition and subset"
    return f"encoders apart: {', '.join(safe_text(name).plain for name in result.runtime.encoders)}"
