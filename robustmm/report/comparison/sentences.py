"""What a comparison says, in sentences that screen and page share."""

from collections import Counter
from collections.abc import Sequence

from robustmm.comparing.result import (
    ComparedAudit,
    CompareResult,
    Comparison,
    ConditionDifference,
    ContributionDifference,
    FoundLevels,
    GuardResult,
    LevelDifference,
)
from robustmm.errors import printable
from robustmm.evaluation.attack_result import Estimate
from robustmm.report.formats import interval, percent, points, signed_number

WORDS = {"holds": "not worse", "fails": "worse", "undecided": "undecided"}
LETTERS = "BCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Candidates; the reference is A."""


def verdict_sentence(result: CompareResult, found: Comparison) -> str:
    """What decides, with the condition that loses most."""
    name, margin = printable(found.candidate.name), amount(result.margin)
    many = len(found.conditions)
    all_ = count(many)
    failed = [c for c in found.conditions if c.outcome == "fails"]
    open_ = [c for c in found.conditions if c.outcome == "undecided"]
    if failed:
        more = f" more than {margin}" if result.margin else ""
        return f"{name} is worse: it loses certainly{more} under {len(failed)} of {all_}, {describe_worst(failed)}"
    if open_:
        least = min((c.samples_to_decide for c in open_ if c.samples_to_decide > 0), default=float("inf"))
        more = f"; about {least:,.0f} samples like these would decide the first" if least < float("inf") else ""
        return (
            f"{name} may be worse: that it loses at most {margin} is undecided under {len(open_)} of {all_}, "
            f"{describe_worst(open_)}{more}"
        )
    return f"{name} is not worse: it loses certainly at most {margin} under {'each of ' if many > 1 else ''}{all_}"


def describe_worst(some: Sequence[ConditionDifference]) -> str:
    worst = min(some, key=lambda c: (c.difference.value, c.condition))
    where = printable(worst.condition)
    lacking = [name for name in worst.modalities if name not in worst.condition]
    where += f" on {' and '.join(printable(name) for name in lacking)}" if lacking else ""
    lead = "most under" if len(some) > 1 else "which is"
    return f"{lead} {where} ({change(worst.difference)} points)"


def effects_sentence(found: Comparison) -> str:
    effects, all_ = Counter(c.effect for c in found.conditions), len(found.conditions)
    flips = max(found.conditions, key=lambda c: c.flip_rate.value)
    certain = effects["better"] + effects["worse"]
    said = f"accuracy differs certainly (adjusted p < 0.05) under {certain or 'none'} of {count(all_)}"
    said += f", better under {effects['better']} and worse under {effects['worse']}." if certain else "."
    if found.mean_difference:
        said += f" Mean over the conditions: {change(found.mean_difference)} points."
    return f"{said} At most {percent(flips.flip_rate.value)} of the answers differ, under {flips.condition}."


def guard_sentences(guard: GuardResult) -> list[str]:
    """What a guard gains of what there is to gain, what it costs, and whether its scores carry that."""
    alarms = ", ".join(f"{d.modality} {interval(d.rate)}" for d in guard.false_alarms)
    said = [f"Guard, clean: accuracy {change(guard.clean_change)} points; dropped on clean samples: {alarms}."]
    if not guard.conditions:
        return said
    share = f", {percent(guard.share, 0)} of it" if guard.share == guard.share else ""
    said.append(
        f"Guard, mean of {count(len(guard.conditions))} with corruptions: {points(guard.gain)} points; the better of "
        f"all inputs and of those left, chosen afterwards for each condition, gains {points(guard.headroom)}{share}."
    )
    said.append(f"The same droppings dealt out to samples at random: {points(guard.permuted_gain)} points.")
    return said


def describe_samples(result: CompareResult) -> str:
    said = f"{result.samples} samples of split {result.split} of {result.manifest}, seed {result.seed}"
    return said + (f", in {result.clusters.number} clusters ({result.clusters.column})" if result.clusters else "")


def describe_origin(audit: ComparedAudit) -> str:
    return f"{audit.method}, suite {audit.suite}"


def explain_outcomes(result: CompareResult) -> str:
    return (
        "Differences are candidate minus reference on the same samples, with 95 % intervals. Not worse: the whole "
        f"interval is at -{amount(result.margin)} or above; worse: all of it is below, and the adjusted p under 0.05; "
        "else undecided."
    )


def rank_conditions(found: Comparison) -> list[ConditionDifference]:
    """Clean, then the conditions that decide, the worst first."""
    clean, *others = found.conditions
    order = ("fails", "undecided", "holds")
    return [clean, *sorted(others, key=lambda c: (order.index(c.outcome), c.difference.value, c.condition))]


def shares(m: ContributionDifference) -> str:
    """`40 % → 35 %`; a dash where there are no shares."""
    return f"{percent(m.reference_share.value, 0)} → {percent(m.share.value, 0)}"


def breaks_at(found: FoundLevels) -> str:
    return (
        f"{found.breaking_level:.2f}" if found.outcome == "fails" else "?" if found.outcome == "undecided" else "none"
    )


def levels_that_differ(found: Comparison) -> list[LevelDifference]:
    return [level for level in found.breaking_levels if breaks_at(level.reference) != breaks_at(level.found)]


def change(e: Estimate) -> str:
    """`-4.2 [-6.1, -2.3]`, in points."""
    return f"{points(e.value)} [{points(e.low)}, {points(e.high)}]"


def loss_change(c: ConditionDifference) -> str:
    """`-0.092 [-0.118, -0.066]`, in nats."""
    e = c.nll_difference
    return f"{signed_number(e.value, 3)} [{signed_number(e.low, 3)}, {signed_number(e.high, 3)}]"


def amount(margin: float) -> str:
    return f"{100 * margin:g} point{'' if margin == 0.01 else 's'}"


def count(conditions: int) -> str:
    return f"{conditions} condition{'s' * (conditions != 1)}"
