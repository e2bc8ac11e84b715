"""What an audit found, as plain sentences and rows, the worst first. A stranger's words are in them as they are: who
shows them makes them harmless."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from robustmm.auditing.results.condition import ConditionResult, Group, ModalityUnderCondition
from robustmm.auditing.results.schema import AuditResult, BreakingLevel, SearchResult
from robustmm.metrics.noninferiority import Outcome
from robustmm.report.formats import interval, percent, points

NO_GATES = "No gates: nothing here is required of the model. Draft some with: robustmm gates"
STATES: dict[Outcome, str] = {"fails": "fail", "undecided": "undecided", "holds": "hold"}
"""What corruptions are counted as, the worst first."""


class Threshold(NamedTuple):
    """One corruption: the level up to which it holds, the level from which it fails, and the physical value there, or
    which of the other two states it is in."""

    noise: str
    on: str
    holds_to: str
    fails_from: str
    said: str


class Share(NamedTuple):
    """What one modality is alone, its share, and how often it spoils an answer that is right without it."""

    name: str
    alone: str
    share: str
    spoils: str


def rank_thresholds(result: AuditResult) -> list[BreakingLevel]:
    """The most fragile corruptions first: those that fail by the level, then those that are undecided."""
    order = list(STATES)

    def fragility(b: BreakingLevel) -> tuple[int, float, float]:
        at = b.breaking_level if b.outcome == "fails" else b.holding_level
        return order.index(b.outcome), at, b.retention if b.retention == b.retention else 0.0

    return sorted(result.breaking_levels, key=fragility)


def describe_threshold(b: BreakingLevel) -> Threshold:
    on = ", ".join(b.modalities)
    holds_to, fails_from = f"{b.holding_level:.3g}", f"{b.breaking_level:.3g}"
    if b.outcome == "fails":
        return Threshold(b.noise, on, holds_to, fails_from, strength_text(b.breaking_strength, b.unit))
    if b.outcome == "holds":
        return Threshold(b.noise, on, holds_to, "none", "holds at every level")
    return Threshold(b.noise, on, holds_to, "?", f"undecided{samples_text(b.samples_to_decide)}")


def strength_text(value: float, unit: str) -> str:
    """`12.5 dB signal-to-noise ratio` of `signal-to-noise ratio, dB`: what is long may be cut off at its end."""
    quantity, _, short = unit.rpartition(", ")
    return f"{value:.3g} {short} {quantity}" if quantity and len(short) <= 6 else f"{value:.3g} {unit}"


def samples_text(needed: float) -> str:
    """`: takes about 1,234 samples`; nothing where none would decide."""
    return f": takes about {needed:,.0f} samples" if 0 < needed < float("inf") else ""


def rest_sentence(left: Sequence[BreakingLevel | ConditionResult]) -> str:
    """What is not shown of the thresholds or the conditions: `and 38 more: 5 fail, 3 undecided, 30 hold`."""
    count = Counter(each.outcome for each in left)
    said = ", ".join(f"{count[state]} {word}" for state, word in STATES.items() if count[state])
    return f"and {len(left)} more: {said}" if left else ""


def rank_conditions(result: AuditResult) -> list[ConditionResult]:
    """The conditions of the lowest accuracy first."""
    return sorted(result.conditions, key=lambda c: c.accuracy.value)


def rank_modalities(result: AuditResult) -> list[Share]:
    """The modalities of the largest share first; where no share is certain, in the model's order."""

    def weight(m: ModalityUnderCondition) -> float:
        share = m.shapley_accuracy_share.value
        return -share if share == share else 0.0

    return [
        Share(m.name, interval(m.unimodal_accuracy), percent(m.shapley_accuracy_share.value, 0), interval(m.spoils))
        for m in sorted(result.clean.modalities, key=weight)
    ]


def needed_sentence(result: AuditResult) -> str:
    """How often two modalities are needed together, of the pairs that are most often."""
    pairs = [i for i in result.clean.interactions if i.needed.value == i.needed.value]
    most = sorted(pairs, key=lambda i: -i.needed.value)[:2]
    said = ", ".join(f"{percent(i.needed.value)} {' and '.join(i.modalities)}" for i in most)
    return f"Both needed, neither right alone: {said}" if said else ""


def list_facts(result: AuditResult) -> list[tuple[str, str]]:
    """(a word, a sentence): clean, drops, the worst condition and group, and what there is beside them."""
    clean, worst = result.clean, {c.name: c for c in result.conditions}.get(result.worst_condition)
    found = [("Clean", f"{interval(clean.accuracy)} of {result.samples} samples{clusters_text(result)}")]
    if result.conditions:
        drops = sum(c.effect == "drop" for c in result.conditions)
        of = f"{drops} of {len(result.conditions)} conditions (adjusted p < 0.05)"
        kept = f"; mean retention {percent(result.mean_retention, 0)}" if result.breaking_levels else ""
        found.append(("Drops", f"{of}{kept}"))
    if worst:
        change = f"{points(worst.change.value)} points"
        found.append(("Worst", f"{interval(worst.accuracy)} ({change}) under {worst.name}"))
    if result.worst_group:
        found.append(("Group", f"{group_text(result.worst_group)} under {result.worst_group_condition}"))
    found += [("Transfer", transfer_sentence(result)), ("Guard", guard_sentence(result))]
    found += [("Attack", search_sentence(search)) for search in result.searches[:2]]
    if result.reference:
        error = f"{result.reference.mean_corruption_error:.2f}"
        found.append(("Error", f"{error} of that of {result.reference.model}, under corruption"))
    if result.bad_inputs:
        found.append(("Inputs", f"{len(result.bad_inputs)} unreadable, counted as missing"))
    return [(word, said) for word, said in found if said]


def clusters_text(result: AuditResult) -> str:
    """`, 20 clusters (speaker), design effect 2.0`; nothing without clusters."""
    if not result.clusters:
        return ""
    effect = result.clean.design_effect
    also = f", design effect {effect:.1f}" if effect == effect else ""
    return f", {result.clusters.number} clusters ({result.clusters.column}){also}"


def group_text(group: Group) -> str:
    """`12.0 % [5.1, 25.0] of 40 with label 8`"""
    return f"{interval(group.accuracy)} of {group.samples} with {group.column} {group.value}"


def transfer_sentence(result: AuditResult) -> str:
    """Where one modality alone is better than all together, and where most; nothing where none is."""
    tried = (result.clean, *result.conditions)
    beaten = [(b, c) for c in tried if (b := c.best_unimodal) and b.negative_transfer]
    if not beaten:
        return ""
    best, where = min(beaten, key=lambda pair: pair[0].change.value)
    said = f"{len(beaten)} of {len(tried)} conditions: one alone beats the fusion"
    return f"{said}, most {best.modality} under {where.name}"


class Dropped(NamedTuple):
    """How often a guard drops one modality: of clean samples, and where that modality is corrupted, on average."""

    name: str
    clean: str
    corrupted: str


def rank_dropped(result: AuditResult) -> list[Dropped]:
    """A row per modality, in the model's order; nothing without a guard."""
    found = []
    for i, m in enumerate(result.clean.modalities):
        if m.dropped is not None:
            noisy = [c.modalities[i] for c in result.conditions if c.modalities[i].noises]
            rates = [each.dropped.value for each in noisy if each.dropped and each.dropped.value == each.dropped.value]
            mean = percent(sum(rates) / len(rates)) if rates else "–"
            found.append(Dropped(m.name, interval(m.dropped), mean))
    return found


def guard_sentence(result: AuditResult) -> str:
    """How often the model's guard drops each modality; nothing without a guard."""
    said = "; ".join(f"{d.name} {d.clean}, corrupted {d.corrupted}" for d in rank_dropped(result))
    return f"drops of clean samples {said}" if said else ""


def search_sentence(search: SearchResult) -> str:
    """What an attacker who searches leaves, at the most that was spent."""
    if search.attack == "mix":
        if not search.curve:
            return ""
        last = search.curve[-1]
        return f"the worst mix of a budget of {last.budget:g} leaves {interval(last.accuracy)}"
    if not (search.runs and search.runs[-1].curve):
        return ""
    run = search.runs[-1]
    failed = "; a check of the attack failed" if any(not check.passed for check in search.checks) else ""
    left = run.curve[-1]
    return f"Square leaves {interval(left.accuracy)} after {left.queries} queries at scale {run.scale:g}{failed}"
