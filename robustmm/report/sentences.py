"""What an attack or an audit found, in a few sentences, and what its reader should know first."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import RenderableType
from rich.panel import Panel
from rich.text import Text

from robustmm.auditing.results.condition import ConditionResult
from robustmm.auditing.results.schema import AuditResult, BreakingLevel
from robustmm.evaluation.attack_result import AttackResult
from robustmm.report.bars import safe_text
from robustmm.report.formats import interval, percent, points


def notes_text(notes: Sequence[str]) -> list[RenderableType]:
    """What a reader should know before the numbers, a line each; nothing where there is nothing."""
    return [Text("\n".join(safe_text(said).plain for said in notes), style="yellow")] if notes else []


def lacking_text(samples: int, present: Mapping[str, float]) -> str:
    """How many inputs the samples lack before anything is done to them, from the shares that are present."""
    lost = {name: round((1 - share) * samples) for name, share in present.items()}
    listed = ", ".join(f"{name} in {count}" for name, count in lost.items() if count)
    return f"; missing in the manifest: {listed}" if listed else ""


def prior_name(source: str) -> str:
    """What contributions are counted from."""
    return "uniform prior" if source == "uniform" else "class prior"


def attack_headline(result: AttackResult) -> Panel:
    """What holds and what breaks, in two sentences."""
    change = result.accuracy_change
    what = "drops" if change.value < 0 else "rises"
    sure = change.low > 0 or change.high < 0
    first = (
        f"Accuracy {what} from {percent(result.clean.accuracy.value)} to {percent(result.attacked.accuracy.value)} "
        f"({points(change.value)} points, 95 % interval {points(change.low)} to {points(change.high)})."
        if sure
        else f"Accuracy is {percent(result.clean.accuracy.value)} clean and {percent(result.attacked.accuracy.value)} "
        f"attacked: no change beyond chance with {result.samples} samples."
    )
    lean = largest_contribution(result)
    survivors = [m for m in result.modalities if m.attacked.unimodal_accuracy.value > result.attacked.accuracy.high]
    warning = "".join(
        f" Negative transfer: {m.name} alone reaches {percent(m.attacked.unimodal_accuracy.value)}."
        for m in survivors[:1]
    )
    return Panel(f"{first} {lean}{warning}", border_style="red" if sure and change.value < 0 else "green", expand=True)


def largest_contribution(result: AttackResult) -> str:
    """A sentence on the modality that contributes most, attacked and clean, where any certainly does."""
    clean = {m.name: m.clean.shapley_log_probability_share.value for m in result.modalities}
    attacked = {m.name: m.attacked.shapley_log_probability_share.value for m in result.modalities}
    before, after = (
        "" if any(share != share for share in shares.values()) else max(shares, key=lambda name: shares[name])
        for shares in (clean, attacked)
    )
    if not after:
        rest = f"; clean the largest was that of {before}" if before else ""
        return f"No modality's contribution is certain{rest}."
    found = f"The largest contribution is that of {after} ({percent(attacked[after], 0)})"
    if before == after:
        return f"{found}, as when clean."
    return f"{found}; clean it was that of {before}." if before else f"{found}; clean none was certain."


def audit_headline(result: AuditResult) -> Panel:
    """What holds and what breaks, in a few sentences."""
    lost = [c for c in result.conditions if c.effect == "drop"]
    said = [
        f"Clean accuracy is {interval(result.clean.accuracy)}.",
        f"{len(lost)} of {len(result.conditions)} conditions cause a significant drop (adjusted p < 0.05).",
    ]
    if lost:
        worst = min(lost, key=lambda c: c.accuracy.value)
        said.append(f"Lowest accuracy: {interval(worst.accuracy)} under {worst.name}.")
    if result.breaking_levels:
        said.append(f"Mean retention under corruption is {percent(result.mean_retention, 0)}.")
    said.append(outcome_sentence(result))
    broken = [b for b in result.breaking_levels if b.outcome == "fails"]
    if broken:
        first = min(broken, key=lambda b: b.breaking_level)
        said.append(
            f"The lowest breaking level is {first.breaking_level:.3g}, of {first.noise} on "
            f"{' and '.join(first.modalities)} ({first.unit}: {first.breaking_strength:.3g})."
        )
    if any(math.isnan(m.shapley_accuracy_share.value) for m in result.clean.modalities):
        said.append("No modality's contribution is certain.")
    beaten = [c for c in (result.clean, *result.conditions) if c.best_unimodal and c.best_unimodal.negative_transfer]
    if beaten:
        one = max(beaten, key=lambda c: -c.best_unimodal.change.value if c.best_unimodal else 0.0)
        assert one.best_unimodal
        said.append(
            f"Negative transfer under {len(beaten)} of {1 + len(result.conditions)} conditions: the fusion is "
            f"significantly worse than its best modality alone. It is largest under {one.name} "
            f"({one.best_unimodal.modality} alone: {percent(one.best_unimodal.accuracy)})."
        )
    return Panel(safe_text(" ".join(filter(None, said))), border_style="red" if lost else "green", expand=True)


def outcome_sentence(result: AuditResult) -> str:
    """How many corruptions hold, fail and are undecided; of conditions where no corruption has levels."""
    found: Sequence[BreakingLevel | ConditionResult] = result.breaking_levels or result.conditions
    if not found:
        return ""
    what = "corruptions" if result.breaking_levels else "conditions"
    count = Counter(each.outcome for each in found)
    least = min((each.samples_to_decide for each in found if each.outcome == "undecided"), default=float("nan"))
    more = f"; the first would be decided with about {least:,.0f}" if 0 < least < float("inf") else ""
    undecided = f", {count['undecided']} undecided with {result.samples} samples{more}" if count["undecided"] else ""
    return (
        f"Of {len(found)} {what}, {count['holds']} hold at {percent(result.retention_threshold, 0)} of clean accuracy, "
        f"{count['fails']} fail{undecided}."
    )
