"""What the audit did not test: absence of evidence, said where a reader decides."""

from collections.abc import Mapping, Sequence

from robustmm import corruptions
from robustmm.auditing.results.schema import AuditResult
from robustmm.corruptions import pairs
from robustmm.report.page.markup import Content, Markup, tag

FEW = 200
"""Samples below which rare failures are not seen."""


def render_untested(result: AuditResult, kinds: Mapping[str, str]) -> Markup:
    """`kinds` has the kind of each modality; empty: not known."""
    return tag("ul", [tag("li", said) for said in find_gaps(result, kinds)], class_="plain")


def find_gaps(result: AuditResult, kinds: Mapping[str, str]) -> list[Content]:
    """A sentence for each thing that the numbers say nothing of."""
    parts = [_unused_corruptions(result, kinds), _whole_samples(result), _absence(result), _searches(result)]
    return [sentence for part in (*parts, _samples(result)) for sentence in part]


def _used(result: AuditResult) -> dict[str, set[str]]:
    """The corruptions that each modality met, by modality."""
    return {
        m.name: {noise.name for c in result.conditions for noise in c.modalities[i].noises}
        for i, m in enumerate(result.clean.modalities)
    }


def _unused_corruptions(result: AuditResult, kinds: Mapping[str, str]) -> Sequence[Content]:
    if not kinds:
        return ["Which corruptions of the catalogue were left out is not known: the folder has no examples.json."]
    said: list[Content] = []
    for name, used in _used(result).items():
        every = {c for c in corruptions.names() if kinds.get(name) in corruptions.kinds(c)}
        if not every & used:
            said.append(f"{name}: no corruption at all, of {len(every)} for {kinds.get(name, 'its kind')}.")
        elif left := sorted(every - used):
            said.append([f"{name}: {len(left)} of {len(every)} corruptions for {kinds[name]}: ", ", ".join(left), "."])
    return said


def _whole_samples(result: AuditResult) -> Sequence[Content]:
    met = set().union(*_used(result).values())
    left = [name for name in pairs.names() if name not in met]
    if len(result.clean.modalities) < 2 or not left:
        return []
    return [f"Faults between modalities: {', '.join(left)}."]


def _absence(result: AuditResult) -> Sequence[Content]:
    if len(result.clean.modalities) > 1 and not result.missing_rates and not any(c.missing for c in result.conditions):
        return ["Missing inputs: the suite removes none (subsets of clean inputs are measured all the same)."]
    return []


def _searches(result: AuditResult) -> Sequence[Content]:
    said: list[Content] = []
    if not result.searches:
        said.append("Adversarial search: the suite holds none, so no worst case was looked for.")
    if len(result.clean.modalities) > 1 and not any(
        sum(bool(m.noises) for m in c.modalities) > 1 for c in result.conditions
    ):
        said.append("Several modalities corrupted at once: no condition does that.")
    return said


def _samples(result: AuditResult) -> Sequence[Content]:
    said: list[Content] = []
    if all(group.column == "label" for group in result.clean.groups):
        said.append("Groups other than classes: no column was named (--by COLUMN).")
    if result.clusters is None:
        said.append("Clusters such as speakers or videos: none were named (--cluster COLUMN); intervals take the "
                    "samples as independent.")  # fmt: skip
    if result.samples < FEW:
        said.append(f"Rare failures: {result.samples} samples do not show what happens once in {result.samples}.")
    said.append(f"Other draws of the noise: one seed ({result.seed}).")
    said.append(f"Data other than split {result.split} of this manifest: other places, times and devices.")
    return said
