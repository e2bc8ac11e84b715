"""What to do about what was found: short, and no more than the numbers bear."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from robustmm.auditing.results.condition import ConditionResult
from robustmm.auditing.results.schema import AuditResult, BreakingLevel
from robustmm.metrics.sampling import FEW_CLUSTERS
from robustmm.report.formats import percent, points
from robustmm.report.page.charts import describe_sweep
from robustmm.report.page.markup import Content, Markup, tag
from robustmm.report.page.tables import build_table

CLEAR_ECE = 0.1
"""Calibration error from which confidence is not to be trusted as it is."""
SMALL_SHARE = 0.1
"""Share of the contributions below which a modality is hardly used."""


BELONGING = ("desynchronise", "stale", "swap-other-class", "swap-same-class")
"""Faults in which the inputs of a sample do not belong together."""


class Finding(NamedTuple):
    what: str
    advice: str


def render_findings(result: AuditResult, sweeps: list[BreakingLevel]) -> Markup:
    found = list(find_all(result, sweeps))
    if not found:
        return tag("p", "Nothing that was tested asks for a change.")
    rows: list[list[Content]] = [[finding.what, finding.advice] for finding in found]
    return build_table("Findings, and what may help", ["finding", "what to do"], rows, (0, 1))


def find_all(result: AuditResult, sweeps: list[BreakingLevel]) -> Iterator[Finding]:
    yield from _breaking(result, sweeps)
    yield from _beaten(result)
    yield from _missing(result)
    yield from _unused(result)
    yield from _groups(result)
    yield from _overconfident(result)
    yield from _undecided(result)


def _breaking(result: AuditResult, sweeps: list[BreakingLevel]) -> Iterator[Finding]:
    """For each set of modalities what fails first, and whether leaving them out would be better."""
    seen: set[tuple[str, ...]] = set()
    conditions = {c.name: c for c in result.conditions}
    for b in sweeps:
        if b.outcome != "fails" or tuple(b.modalities) in seen:
            continue
        seen.add(tuple(b.modalities))
        last = next((conditions[p.condition] for p in reversed(b.points) if p.condition in conditions), None)
        what = f"{describe_sweep(b)} fails from {b.breaking_strength:.3g} on ({b.unit})."
        rest = _accuracy_without(result, set(b.modalities))
        if b.noise in BELONGING:
            advice = (
                "Check before the model that the inputs belong together (same object, same moment): the model cannot "
                "tell which of them to believe."
            )
        elif last and rest > last.accuracy.value:
            advice = (
                f"At its highest level the answer is right in {percent(last.accuracy.value)}; without "
                f"{' and '.join(b.modalities)}, on clean inputs, in {percent(rest)}. Detect the fault before the model "
                "and mark the input as missing (the model takes a presence mask; robustmm has no detector). Or train "
                "on data with this fault."
            )
        else:
            advice = (
                "Add samples with this fault to the training data, keep the input below the level where it fails, or "
                "bound what the model is used for."
            )
        yield Finding(what, advice)


def _accuracy_without(result: AuditResult, lost: set[str]) -> float:
    """Clean accuracy from all modalities but some; NaN where it was not measured, or none is left."""
    left = {m.name for m in result.clean.modalities} - lost
    found = (s.accuracy.value for s in result.subsets if left and set(s.modalities) == left)
    return next(found, math.nan)


def _beaten(result: AuditResult) -> Iterator[Finding]:
    beaten = [c for c in (result.clean, *result.conditions) if c.best_unimodal and c.best_unimodal.negative_transfer]
    if not beaten:
        return
    worst = min(beaten, key=lambda c: c.best_unimodal.change.value if c.best_unimodal else 0.0)
    one = worst.best_unimodal
    assert one
    yield Finding(
        f"Under {len(beaten)} of {1 + len(result.conditions)} conditions one modality alone is significantly better "
        f"than all together, most under {worst.name} ({one.modality}: {percent(one.accuracy)}, together "
        f"{points(one.change.value)} points).",
        "Train with a method that weighs modalities by their quality (qmf, pdf) or with modality dropout (dropout), "
        "and audit again.",
    )


def _missing(result: AuditResult) -> Iterator[Finding]:
    """The modality without which clean accuracy falls the most, where it does not hold."""
    clean, names = result.clean.accuracy.value, [m.name for m in result.clean.modalities]
    lost = [(rest, name) for name in names if (rest := _accuracy_without(result, {name})) == rest]
    if not lost or min(lost)[0] >= result.retention_threshold * clean:
        return
    rest, name = min(lost)
    yield Finding(
        f"Without {name} accuracy is {percent(rest)}, against {percent(clean)} with everything.",
        "If this input can be missing in use, train for it (dropout, mce, dmrnet, redcore, mmanet) and compare; the "
        "other modalities may hold no more than this.",
    )


def _unused(result: AuditResult) -> Iterator[Finding]:
    for m in result.clean.modalities:
        share = m.shapley_accuracy_share.value
        if len(result.clean.modalities) > 1 and share < SMALL_SHARE:
            yield Finding(
                f"{m.name} contributes {percent(share, 0)} of what the modalities add.",
                "Leave it out, or train with a method that balances modalities (cal, ogm-ge, agm, arl) and see whether "
                f"{m.name} alone ({percent(m.unimodal_accuracy.value)}) becomes better.",
            )


def _groups(result: AuditResult) -> Iterator[Finding]:
    """The group that is certainly worse than all samples when clean, the worst of them."""
    low = result.clean.accuracy.low
    worse = [g for g in result.clean.groups if g.accuracy.high < low]
    if worse:
        worst = min(worse, key=lambda g: g.accuracy.value)
        yield Finding(
            f"{len(worse)} of {len(result.clean.groups)} groups are certainly worse than the whole when clean, most "
            f"{worst.column} {worst.value}: {percent(worst.accuracy.value)} of {worst.samples} samples.",
            "Look at these samples and their labels, and collect more of them for training.",
        )


def _overconfident(result: AuditResult) -> Iterator[Finding]:
    worst: ConditionResult = max((result.clean, *result.conditions), key=lambda c: c.ece)
    if worst.ece > CLEAR_ECE:
        yield Finding(
            f"Confidence is off by {100 * worst.ece:.0f} points under {worst.name} (clean: "
            f"{100 * result.clean.ece:.0f}).",
            "Do not threshold on confidence where inputs may be like this. Temperature scaling on the valid split "
            "mends clean inputs only.",
        )


def _undecided(result: AuditResult) -> Iterator[Finding]:
    unsure = [b for b in result.breaking_levels if b.outcome == "undecided"]
    if not unsure:
        return
    drawn = result.clusters
    if drawn and drawn.number < FEW_CLUSTERS:
        yield Finding(
            f"{len(unsure)} corruptions are undecided: the samples come from {drawn.number} values of "
            f'"{drawn.column}", and fewer than {FEW_CLUSTERS} decide nothing.',
            f'Measure more values of "{drawn.column}"; more samples of the same ones do not help.',
        )
        return
    need = [b.samples_to_decide for b in unsure if b.samples_to_decide < math.inf]
    more = (
        f"With about {min(need):,.0f} samples like these the first would be decided" if need else "No number is known"
    )
    every = f", with about {max(need):,.0f} all of them." if len(need) == len(unsure) > 1 else "."
    yield Finding(f"{len(unsure)} corruptions are undecided with {result.samples} samples.", more + every)
