"""Audits held against a reference as rich tables that fit 80 columns: a screen for each candidate."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from robustmm.auditing.results.verdict import Verdict
from robustmm.comparing.result import (
    ComparedAudit,
    CompareResult,
    Comparison,
    ConditionDifference,
    ContributionDifference,
    FoundLevels,
)
from robustmm.evaluation.attack_result import Estimate
from robustmm.metrics.sampling import FEW_CLUSTERS
from robustmm.report.bars import safe_text
from robustmm.report.formats import grid, percent, points, signed_number
from robustmm.report.sentences import notes_text

STYLES: dict[Verdict, str] = {"PASS": "bold green", "FAIL": "bold red", "INCONCLUSIVE": "bold yellow"}
WORDS = {"holds": "not worse", "fails": "worse", "undecided": "undecided"}
OUTCOMES = {"holds": "", "fails": "red", "undecided": "yellow"}
EFFECTS = {"better": "green", "worse": "red", "undecided": ""}
LETTERS = "BCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Candidates in tables; the reference is A."""
SHOWN = 8
"""Rows of a table in the summary; --full has all."""


def render_comparison(result: CompareResult, full: bool = False) -> Group:
    """The verdict of every candidate, then its tables: those rows that decide, or all."""
    lines = [Text(f"{c.verdict}: {verdict_sentence(result, c)}", style=STYLES[c.verdict]) for c in result.candidates]
    parts: list[RenderableType | None] = [*lines, heading(result)]
    for letter, candidate in zip(LETTERS, result.candidates, strict=False):
        parts += [effects_text(letter, candidate), *notes_text(candidate.notes)]
        parts += [condition_table(letter, candidate, full), contribution_table(letter, candidate)]
        parts += [level_table(letter, candidate, full), gate_table(letter, candidate)]
        parts += [not_compared_text(candidate, full)]
    return Group(*(part for part in parts if part is not None), legend(result))


def verdict_sentence(result: CompareResult, found: Comparison) -> str:
    """What decides, with the condition that loses most."""
    name, margin = safe_text(found.candidate.name).plain, amount(result.margin)
    many = len(found.conditions)
    all_ = count(many)
    failed = [c for c in found.conditions if c.outcome == "fails"]
    open_ = [c for c in found.conditions if c.outcome == "undecided"]
    if failed:
        more = f" more than {margin}" if result.margin else ""
        return f"{name} is worse: it loses certainly{more} under {len(failed)} of {all_}, {describe_worst(failed)}"
    if open_:
        few = result.clusters is not None and result.clusters.number < FEW_CLUSTERS  # then no number of samples would
        least = min((c.samples_to_decide for c in open_ if c.samples_to_decide > 0 and not few), default=float("inf"))
        more = f"; about {least:,.0f} samples like these would decide the first" if least < float("inf") else ""
        return (
            f"{name} may be worse: that it loses at most {margin} is undecided under {len(open_)} of {all_}, "
            f"{describe_worst(open_)}{more}"
        )
    return f"{name} is not worse: it loses certainly at most {margin} under {'each of ' if many > 1 else ''}{all_}"


def describe_worst(some: Sequence[ConditionDifference]) -> str:
    worst = min(some, key=lambda c: (c.difference.value, c.condition))
    where = safe_text(worst.condition).plain
    lacking = [name for name in worst.modalities if name not in worst.condition]
    where += f" on {' and '.join(safe_text(name).plain for name in lacking)}" if lacking else ""
    lead = "most under" if len(some) > 1 else "which is"
    return f"{lead} {where} ({change(worst.difference)} points)"


def heading(result: CompareResult) -> Text:
    said = f"{result.samples} samples of split {result.split} of {result.manifest}, seed {result.seed}"
    said += f", in {result.clusters.number} clusters ({result.clusters.column})" if result.clusters else ""
    return Text.assemble(safe_text(said), "\nA: ", _audit_text(result.reference), ", the reference")


def effects_text(letter: str, found: Comparison) -> Text:
    """How many conditions differ certainly, whatever the margin."""
    effects, all_ = Counter(c.effect for c in found.conditions), len(found.conditions)
    flips = max(found.conditions, key=lambda c: c.flip_rate.value)
    certain = effects["better"] + effects["worse"]
    said = f": accuracy differs certainly (adjusted p < 0.05) under {certain or 'none'} of {count(all_)}"
    said += f", better under {effects['better']} and worse under {effects['worse']}." if certain else "."
    if found.mean_difference:
        said += f" Mean over the conditions: {change(found.mean_difference)} points."
    said += f" At most {percent(flips.flip_rate.value)} of the answers differ, under {flips.condition}."
    return Text.assemble(f"{letter}: ", _audit_text(found.candidate), safe_text(said))


def _audit_text(audit: ComparedAudit) -> Text:
    name = (safe_text(audit.name).plain, "bold")
    return Text.assemble(name, safe_text(f" ({audit.method}, suite {audit.suite})"))


def condition_table(letter: str, found: Comparison, full: bool) -> RenderableType:
    """Clean, then the conditions that decide, the worst first; with all of them their answers as well."""
    clean, *others = found.conditions
    order = ("fails", "undecided", "holds")
    others.sort(key=lambda c: (order.index(c.outcome), c.difference.value, c.condition))
    shown = [clean, *(others if full else others[:SHOWN])]
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
    answers = grid("Answers", "condition", "answered\ndifferently", "log-loss, nats", left=(0,))
    for c in shown:
        e = c.nll_difference
        loss = f"{signed_number(e.value, 3)} [{signed_number(e.low, 3)}, {signed_number(e.high, 3)}]"
        answers.add_row(safe_text(c.condition), percent(c.flip_rate.value), loss)
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


def shares(m: ContributionDifference) -> str:
    """`40 % → 35 %`; a dash where there are no shares."""
    return f"{percent(m.reference_share.value, 0)} → {percent(m.share.value, 0)}"


def level_table(letter: str, found: Comparison, full: bool) -> RenderableType | None:
    """The corruptions whose breaking levels differ, or all."""
    differ = [level for level in found.breaking_levels if breaks_at(level.reference) != breaks_at(level.found)]
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


def breaks_at(found: FoundLevels) -> str:
    return (
        f"{found.breaking_level:.2f}" if found.outcome == "fails" else "?" if found.outcome == "undecided" else "none"
    )


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
    margin = amount(result.margin)
    return Text(
        f"Differences are candidate minus reference on the same samples, with 95 % intervals. Not worse: the whole "
        f"interval is at -{margin} or above; worse: all of it is below, and the adjusted p under 0.05; else undecided. "
        "Breaks at ?: no level tried fails certainly, and some are undecided.",
        style="dim",
    )


def change(e: Estimate) -> str:
    """`-4.2 [-6.1, -2.3]`, in points."""
    return f"{points(e.value)} [{points(e.low)}, {points(e.high)}]"


def amount(margin: float) -> str:
    return f"{100 * margin:g} point{'' if margin == 0.01 else 's'}"


def count(conditions: int) -> str:
    return f"{conditions} condition{'s' * (conditions != 1)}"
