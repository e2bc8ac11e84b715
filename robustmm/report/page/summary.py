"""What a reader sees first: the verdict, the main figures, and what fails first in which physical unit."""

from collections import Counter

from robustmm.auditing.results.schema import AuditResult, BreakingLevel
from robustmm.auditing.results.verdict import WORST_FIRST
from robustmm.evaluation.attack_result import Estimate
from robustmm.report.formats import percent
from robustmm.report.page.charts import FIRST, describe_sweep
from robustmm.report.page.markup import Content, Markup, tag
from robustmm.report.page.tables import badge, build_details, build_table
from robustmm.report.sentences import outcome_sentence


def render_verdict(result: AuditResult) -> Markup:
    """The verdict of the gates, and a line for each gate; without gates what the audit can say."""
    if result.verdict is None:
        return tag(
            "div", tag("p", "No verdict: the audit had no gates."),
            tag("p", outcome_sentence(result), " Whether the model may ship is for the reader to judge."),
            class_="verdict", role="status",
        )  # fmt: skip
    count = Counter(gate.verdict for gate in result.gates)
    said = ", ".join(f"{count[word]} {word}" for word in WORST_FIRST if count[word])
    rows: list[list[Content]] = [
        [
            gate.name, badge(gate.verdict), gate.requirement, gate.condition + (f", {gate.part}" if gate.part else ""),
            show_estimate(gate.value), gate.reason,
        ]
        for gate in result.gates
    ]  # fmt: skip
    head = ["gate", "verdict", "asked", "decided by", "value", "why"]
    table = build_table("Gates", head, rows, left=(0, 1, 2, 3, 5))
    return tag(
        "div", tag("p", "Verdict: ", badge(result.verdict)), tag("p", f"{len(result.gates)} gates: {said}."), table,
        class_=f"verdict {result.verdict.lower()}", role="status",
    )  # fmt: skip


def show_estimate(e: Estimate) -> str:
    """A gate's value may be any metric: it is shown as a number."""
    if e.value != e.value:
        return "–"
    return f"{e.value:.4g} [{e.low:.4g}, {e.high:.4g}]" if e.low == e.low else f"{e.value:.4g}"


def render_figures(result: AuditResult) -> Markup:
    """The main figures with their intervals."""
    clean, fate = result.clean.accuracy, Counter(b.outcome for b in result.breaking_levels)
    worst = next((c for c in result.conditions if c.name == result.worst_condition), None)
    figures: list[tuple[str, str, str]] = [("Clean accuracy", percent(clean.value), _interval(clean))]
    if worst:
        figures.append(("Lowest accuracy", percent(worst.accuracy.value), f"under {worst.name}"))
    if result.breaking_levels:
        kept = percent(result.retention_threshold, 0)
        figures += [
            ("Mean retention", percent(result.mean_retention, 0), "accuracy under corruption, over clean"),
            (f"Corruptions that hold at {kept}", f"{fate['holds']} of {len(result.breaking_levels)}",
             f"{fate['fails']} fail, {fate['undecided']} undecided"),
        ]  # fmt: skip
    if result.worst_group:
        group = result.worst_group
        figures.append(
            ("Worst group", percent(group.accuracy.value), f"{group.column} {group.value} under "
             f"{result.worst_group_condition}")
        )  # fmt: skip
    return tag("dl", [tag("div", tag("dt", a), tag("dd", b, tag("small", c))) for a, b, c in figures], class_="facts")


def _interval(e: Estimate) -> str:
    return f"95 % interval {percent(e.low)} to {percent(e.high)}" if e.low == e.low else "no interval"


def render_failures(result: AuditResult, sweeps: list[BreakingLevel]) -> Markup | None:
    """What fails first: a sentence, and the corruptions in that order."""
    if not sweeps:
        return None
    first, kept = sweeps[0], percent(result.retention_threshold, 0)
    if first.outcome == "fails":
        said = (
            f"{describe_sweep(first)} breaks the model first: from level {first.breaking_level:.2g} on "
            f"({first.unit}: {first.breaking_strength:.3g}) certainly less than {kept} of clean accuracy are kept."
        )
    else:
        unsure = sum(b.outcome == "undecided" for b in sweeps)
        said = f"Under none of the corruptions is certainly less than {kept} of clean accuracy kept"
        said += f"; {unsure} of {len(sweeps)} are undecided." if unsure else "."
    rows = [_failure_row(b) for b in sweeps]
    head = ["corruption", "outcome", "holds to level", "breaks at level", "strength there", "unit", "retention"]
    caption = (
        "First to fail on top. Holds to: the highest level up to which it certainly holds; breaks at: the lowest level "
        "tried at which it certainly fails; retention: mean over the levels."
    )
    left = (0, 1, 5)
    parts: list[Content] = [tag("p", said), build_table(caption, head, rows[:FIRST], left)]
    if rows[FIRST:]:
        parts.append(
            build_details(f"The other {len(rows) - FIRST}", build_table("Later or never", head, rows[FIRST:], left))
        )
    return tag("div", parts)


def _failure_row(b: BreakingLevel) -> list[Content]:
    broken = b.outcome == "fails"
    return [
        describe_sweep(b), badge(b.outcome), f"{b.holding_level:.2f}", f"{b.breaking_level:.2f}" if broken else "–",
        f"{b.breaking_strength:.3g}" if broken else "–", b.unit, percent(b.retention, 0),
    ]  # fmt: skip
