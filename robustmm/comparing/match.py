"""What two audits have in common: the samples, which they must, and conditions, breaking levels and gates."""

from collections.abc import Sequence
from pathlib import Path

from robustmm.auditing.results.condition import ConditionResult
from robustmm.auditing.results.schema import AuditResult, BreakingLevel
from robustmm.auditing.results.verdict import Verdict
from robustmm.comparing.read import FinishedAudit
from robustmm.comparing.result import FoundLevels, GateDifference, LevelDifference, NotCompared
from robustmm.errors import DataError
from robustmm.metrics.sampling import FEW_CLUSTERS

Pair = tuple[ConditionResult, ConditionResult]


def name_audits(audits: Sequence[FinishedAudit]) -> list[str]:
    """The shortest ends of the models' paths that differ; of the folders' where two models have one path."""
    models = [Path(audit.result.model) for audit in audits]
    if len({str(model) for model in models}) == len(models):
        return shorten_paths(models)
    return shorten_paths([audit.folder.absolute() for audit in audits])


def shorten_paths(paths: Sequence[Path]) -> list[str]:
    """The ends of different paths, as few parts as tell them apart."""
    longest = max(len(path.parts) for path in paths)
    for parts in range(1, longest + 1):
        ends = [str(Path(*path.parts[-parts:])) for path in paths]
        if len(set(ends)) == len(ends):
            return ends
    return [str(path) for path in paths]


def check_comparable(first: FinishedAudit, other: FinishedAudit) -> None:
    """Raises DataError, with all that differs, where two audits did not measure the same samples with the same
    draws."""
    a, b = first.result, other.result
    differ = [
        f"{what} {mine} against {theirs}"
        for what, mine, theirs in (
            ("split", a.split, b.split),
            ("samples", a.samples, b.samples),
            ("seed", a.seed, b.seed),
            ("modalities", _list_modalities(a), _list_modalities(b)),
            ("classes", ", ".join(sorted(a.classes)), ", ".join(sorted(b.classes))),
        )
        if mine != theirs
    ]
    if a.data_sha256 != b.data_sha256 and not differ:
        differ = [f"other rows, {a.manifest} against {b.manifest}"]
    if differ:
        raise DataError(
            f"{other.folder} cannot be compared with {first.folder}, sample by sample: they have {'; '.join(differ)}"
        )


def _list_modalities(audit: AuditResult) -> str:
    return ", ".join(sorted(m.name for m in audit.clean.modalities))


def describe_differences(a: AuditResult, b: AuditResult) -> list[str]:
    """What differs and does not forbid to compare, a sentence each."""
    said = []
    if a.model_sha256 == b.model_sha256:
        said.append("both audits are of the same model file")
    if a.description and b.description and a.description != b.description:
        said.append("the models are read under different descriptions: signals and units of noise may not be the same")
    if a.runtime.robustmm != b.runtime.robustmm:
        said.append(
            f"the audits are by robustmm {a.runtime.robustmm} and {b.runtime.robustmm}: corruptions may not be the same"
        )
    if a.baseline != b.baseline:
        said.append(f"contributions are not compared: their baselines are {a.baseline} and {b.baseline}")
    columns = [audit.clusters.column if audit.clusters else "" for audit in (a, b)]
    if columns[0] != columns[1]:
        found = " and ".join(f'"{column}"' if column else "none" for column in columns)
        said.append(f"the audits have different clusters ({found}): samples are taken as independent")
    elif a.clusters and a.clusters.number < FEW_CLUSTERS:
        said.append(
            f'there are {a.clusters.number} clusters of "{columns[0]}": fewer than {FEW_CLUSTERS} decide nothing'
        )
    return said


def match_conditions(a: AuditResult, b: AuditResult) -> tuple[list[Pair], list[NotCompared]]:
    """The conditions that do the same to the samples in both, clean first, and the others. What they do counts, not
    their names; of several that do the same, one of the same name is taken first."""
    by: dict[str, list[ConditionResult]] = {}
    for condition in b.conditions:
        by.setdefault(_identify(condition), []).append(condition)
    pairs, lacking = [(a.clean, b.clean)], []
    for condition in a.conditions:
        alike = by.get(_identify(condition), [])
        if alike:
            found = next((each for each in alike if each.name == condition.name), alike[0])
            alike.remove(found)
            pairs.append((condition, found))
        else:
            lacking.append(condition.name)
    left = [condition.name for some in by.values() for condition in some]
    both = set(lacking) & set(left)
    reasons = [(name, "not the same in both" if name in both else "in the reference only") for name in lacking]
    reasons += [(name, "in the candidate only") for name in left if name not in both]
    return pairs, [NotCompared(condition=name, reason=reason) for name, reason in reasons]


def _identify(condition: ConditionResult) -> str:
    """What is done, and how strong it is on each modality: that depends on the model's own sizes."""
    strengths = {m.name: [noise.model_dump() for noise in m.noises] for m in condition.modalities if m.noises}
    return repr((condition.sha256, sorted(strengths.items())))


def match_levels(a: AuditResult, b: AuditResult, pairs: Sequence[Pair]) -> list[LevelDifference]:
    """The corruptions at rising levels that have a condition in common."""
    others = {point.condition: level for level in b.breaking_levels for point in level.points if point.condition}
    theirs = {mine.name: others[other.name] for mine, other in pairs if other.name in others}
    found = []
    for level in a.breaking_levels:
        match = next((theirs[p.condition] for p in level.points if p.condition in theirs), None)
        if match:
            levels = _levels(level), _levels(match)
            found.append(LevelDifference(
                noise=level.noise, modalities=level.modalities, unit=level.unit, reference=levels[0], found=levels[1],
            ))  # fmt: skip
    return found


def _levels(level: BreakingLevel) -> FoundLevels:
    return FoundLevels(**{name: getattr(level, name) for name in FoundLevels.model_fields})


def match_gates(a: AuditResult, b: AuditResult) -> list[GateDifference]:
    """Every gate of either; the same gate has the same name and requirement."""
    verdicts: list[dict[tuple[str, str], Verdict]] = [
        {(gate.name, gate.requirement): gate.verdict for gate in audit.gates} for audit in (a, b)
    ]
    return [
        GateDifference(
            name=name,
            requirement=requirement,
            reference=verdicts[0].get((name, requirement)),
            verdict=verdicts[1].get((name, requirement)),
        )
        for name, requirement in dict.fromkeys([*verdicts[0], *verdicts[1]])
    ]
