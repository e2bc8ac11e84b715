"""Audits held against a reference as rich tables that fit 80 columns: a screen for each candidate."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from robustmm.auditing.results.verdict import Verdict
from robustmm.comparing.result import ComparedAudit, CompareResult, Comparison
from robustmm.report.bars import safe_text
from robustmm.report.comparison.sentences import (
    LETTERS,
    WORDS,
    breaks_at,
    change,
    count,
    describe_origin,
    describe_samples,
    effects_sentence,
    explain_outcomes,
    guard_sentences,
    levels_that_differ,
    loss_change,
    rank_conditions,
    shares,
    verdict_sentence,
)
from robustmm.report.formats import grid, percent, points
from robustmm.report.sentences import notes_text

STYLES: dict[Verdict, str] = {"PASS": "bold green", "FAIL": "bold red", "INCONCLUSIVE": "bold yellow"}
OUTCOMES = {"holds": "", "fails": "red", "undecided": "yellow"}
EFFECTS = {"better": "green", "worse": "red", "undecided": ""}
SHOWN = 8
"""Rows of a table in the summary; --full has all."""


def render_comparison(result: CompareResult, full: bool = False) -> Group:
    """The verdict of every candidate, then its tables: those rows that decide, or all."""
    lines = [Text(f"{c.verdict}: {verdict_sentence(result, c)}", style=STYLES[c.verdict]) for c in result.candidates]
    parts: list[RenderableType | None] = [*lines, heading(result)]
    for letter, candidate in zip(LETTERS, result.candidates, strict=False):
        parts += [effects_text(letter, candidate), *notes_text(candidate.notes)]
        parts += [guard_table(letter, candidate, full), condition_table(letter, candidate, full)]
        parts += [contribution_table(letter, candidate)]
        parts += [level_table(letter, candidate, full), gate_table(letter, candidate)]
        parts += [not_compared_text(candidate, full)]
    return Group(*(part for part in parts if part is not None), legend(result))


def heading(result: CompareResult) -> Text:
    return Text.assemble(safe_text(describe_samples(result)), "\nA: ", _audit_text(result.reference), ", the reference")


def effects_text(letter: str, found: Comparison) -> Text:
    """How many conditions differ certainly, whatever the margin."""
    return Text.assemble(f"{letter}: ", _audit_text(found.candidate), ": ", safe_text(effects_sentence(found)))


def _audit_text(audit: ComparedAudit) -> Text:
    return Text.assemble((safe_text(audit.name).plain, "bold"), safe_text(f" ({describe_origin(audit)})"))


def guard_table(letter: str, found: Comparison, full: bool) -> Group | None:
    """What a guard gains, with the conditions that leave most to be gained."""
    if found.guard is None:
        return None
    ranked = sorted(found.guard.conditions, key=lambda c: c.hardened - c.best)
    shown = ranked if full else ranked[:SHOWN]
    table = grid(
        "The guard, where it falls most short of the best", "condition", "A, %", f"{letter}, %", "best, %", "dropped",
        left=(0, 4),
    )  # fmt: skip
    for c in shown:
        table.add_row(
            safe_text(c.condition), f"{100 * c.plain:.1f}", f"{100 * c.hardened:.1f}", f"{100 * c.best:.1f}",
            safe_text(", ".join(f"{d.modality} {percent(d.rate.value, 0)}" for d in c.dropped)),
        )  # fmt: skip
    if len(shown) < len(ranked):
        table.caption = f"{len(shown)} of {len(ranked)}; all of them: --full"
    return Group(*map(safe_text, guard_sentences(found.guard)), table)


def condition_table(letter: str, found: Comparison, full: bool) -> RenderableType:
    """The conditions that decide; with all of them their answers as well."""
    ranked = rank_conditions(found)
    shown = ranked if full else ranked[: 1 + SHOWN]
    table = grid(
        "Accuracy by condition", "condition", "A, %", f"{letter}, %", f"{letter} - A, points", "adjusted\np", "",
        left=(0, 5),
    )  # fmt: skip
    for c in shown:
        table.add_row(
            safe_text(c.condition), f"{100 * c.reference.value:.1f}", f"{100 * c.accuracy.value:.1f}",
            Text(change(c.difference), style=EFFECTS[c.effect]),
            f"{c.adjusted_p:.3f}", Text(WORDS[c.outcome], style=OUTCOMES[c.outcome]),
        )  # fmt: skip
    if len(shown) < len(found.conditions):
        table.caption = f"{len(shown)} of {len(found.conditions)}, the worst; all of them: --full"
    if not full:
        return table
    answers = grid(
        "Answers", "condition", "answered\ndifferently", "log-loss, nats", "ECE\nA", f"\n{letter}", left=(0,)
    )
    for c in shown:
        answers.add_row(
            safe_text(c.condition), percent(c.flip_rate.value), loss_change(c), f"{c.reference_ece:.3f}", f"{c.ece:.3f}"
        )
    return Group(table, answers)


def contribution_table(letter: str, found: Comparison) -> Table | None:
    """Clean, under the reference's lowest accuracy, and where the candidate loses most."""
    clean, *others = found.conditions
    if not clean.contributions:
        return None
    lowest = (
        [min(others, key=lambda c: c.reference.value), min(others, key=lambda c: c.difference.value)] if others else []
    )
    shown = {c.condition: c for c in (clean, *lowest)}
    table = grid(
        "Modality contributions (Shapley values of accuracy, points)", "condition", "modality", "A", letter,
        f"{letter} - A", "share", left=(0, 1),
    )  # fmt: skip
    for c in shown.values():
        for k, m in enumerate(c.contributions):
            table.add_row(
                safe_text(c.condition if k == 0 else ""), safe_text(m.modality), points(m.reference.value),
                points(m.value.value), change(m.difference), shares(m),
            )  # fmt: skip
    return table


def level_table(letter: str, found: Comparison, full: bool) -> RenderableType | None:
    """The corruptions whose breaking levels differ, or all."""
    differ = levels_that_differ(found)
    shown = found.breaking_levels if full else differ[:SHOWN]
    if not found.breaking_levels:
        return None
    same = f"Breaking levels: {len(found.breaking_levels) - len(differ)} of {len(found.breaking_levels)} are the same."
    if not shown:
        return Text(same)
    table = grid(
        "Breaking levels" if full else "Breaking levels that differ", "corruption", "on", "A holds\nto", f"{letter}",
        "A breaks\nat", f"{letter}", left=(0, 1),
    )  # fmt: skip
    for level in shown:
        a, b = level.reference, level.found
        table.add_row(
            safe_text(level.noise), safe_text(", ".join(level.modalities)), f"{a.holding_level:.2f}",
            f"{b.holding_level:.2f}", breaks_at(a), breaks_at(b),
        )  # fmt: skip
    table.caption = None if full else same
    return table


def gate_table(letter: str, found: Comparison) -> Table | None:
    """The gates whose verdicts differ."""
    differ = [gate for gate in found.gates if gate.reference != gate.verdict]
    if not differ:
        return None
    table = grid("Gates that differ", "gate", "requirement", "A", letter, left=(0, 1, 2, 3))
    for gate in differ:
        verdicts = (Text(v or "–", style=STYLES[v] if v else "dim") for v in (gate.reference, gate.verdict))
        table.add_row(safe_text(gate.name), safe_text(gate.requirement), *verdicts)
    return table


def not_compared_text(found: Comparison, full: bool) -> Text | None:
    """How many conditions one of the two has alone; with `full` which."""
    if not found.not_compared:
        return None
    if not full:
        return Text(f"{count(len(found.not_compared))} not compared (which: --full).", style="yellow")
    return safe_text("Not compared: " + "; ".join(f"{each.condition} ({each.reason})" for each in found.not_compared))


def legend(result: CompareResult) -> Text:
    unsure = "Breaks at ?: no level tried fails certainly, and some are undecided."
    return Text(f"{explain_outcomes(result)} {unsure}", style="dim")
