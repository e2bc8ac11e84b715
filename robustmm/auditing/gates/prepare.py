"""The gates of an audit, made ready before anything is measured: what selects nothing is an error then."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from robustmm.auditing.gates.declared import Baseline, Gates
from robustmm.auditing.gates.select import Scope, is_selected, matches, planned_scope
from robustmm.auditing.plan import CLEAN
from robustmm.auditing.results.reference import read_audit
from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.spec import OpenedSpec
from robustmm.conditions.condition import Condition
from robustmm.conditions.gate import GateTable, load_gates
from robustmm.errors import DataError, UsageError, suggest
from robustmm.files import hash_file


def read_gates(of_suite: Sequence[GateTable], path: Path | None) -> Gates:
    """The gates of a suite and those of a file. Raises UsageError for a file that holds none, or a name in both;
    DataError for a baseline that is no audit's result."""
    named = load_gates(path) if path else ()
    for gate in named:
        if gate.name in {other.name for other in of_suite}:
            raise UsageError(f'{path}: gate "{gate.name}" is the name of a gate of the suite too')
    tables = (*of_suite, *named)
    named_audits = {gate.baseline: Path(gate.baseline) for gate in tables if gate.baseline}
    baselines = {name: Baseline(read_audit(there), hash_file(there) or "") for name, there in named_audits.items()}
    return Gates(tables, (hash_file(path) or "") if path else "", baselines)


def check_selection(gates: Gates, conditions: Sequence[Condition], measured: OpenedSpec) -> None:
    """Raises UsageError with every gate that selects nothing of these conditions, classes and groups, DataError for a
    column that the manifest lacks or a baseline that cannot be compared with."""
    modalities = measured.session.modalities
    scopes = [planned_scope(condition, modalities) for condition in (CLEAN, *conditions)]
    errors = [
        f'gate "{gate.name}": {wrong}'
        for gate in gates.tables
        if (wrong := _find_wrong(gate, scopes, [m.name for m in modalities], measured))
    ]
    if errors:
        raise UsageError("\n".join(errors))
    for gate in gates.tables:
        if gate.baseline:
            _check_baseline(gate, gates.baselines[gate.baseline].result, scopes, measured)


def _find_wrong(gate: GateTable, scopes: Sequence[Scope], names: Sequence[str], measured: OpenedSpec) -> str:
    """Why a gate selects nothing; empty where it selects something."""
    noises = [applied for scope in scopes for applied in scope.noises]
    known: dict[str, Iterable[str]] = {
        "noise": {applied.noise for applied in noises}, "modality": names, "missing": names, "of": [*names, "*"],
    }  # fmt: skip
    for pattern in gate.condition:
        if not any(matches(pattern, scope.name) for scope in scopes):
            return f'no condition is called "{pattern}"{suggest(pattern, (scope.name for scope in scopes))}'
    for key, listed in known.items():
        given = getattr(gate, key)
        for name in [given] if isinstance(given, str) else given:
            if name and name not in listed:
                what = "noise of the suite" if key == "noise" else "modality"
                return f'{key}: there is no {what} "{name}"{suggest(name, listed)}'
    if gate.metric == "auroc" and len(measured.session.classes) != 2:
        return f"the metric auroc takes two classes, found {len(measured.session.classes)}"
    for column, value in gate.group.items():
        values = set(measured.rows.labels if column == "label" else measured.rows.column(column))
        if value not in {"*", *values}:
            return f'no sample has "{value}" in the column {column}{suggest(value, values)}'
    chosen = [scope for scope in scopes if is_selected(gate, scope)]
    if not chosen:
        return _explain_nothing(gate, scopes)
    if gate.relative and chosen == scopes[:1]:
        return f"{gate.metric} against clean needs a condition that is not clean"
    units = {applied.unit for scope in chosen for applied in scope.noises}
    if gate.strength and len(units) > 1:
        return f"strength of {gate.noise[0]} has several units here ({', '.join(sorted(units))}); name its modality"
    return ""


def _explain_nothing(gate: GateTable, scopes: Sequence[Scope]) -> str:
    """What the suite has of what a gate asks for."""

    def select_without(*keys: str) -> list[Scope]:
        wider = gate.model_copy(update=dict.fromkeys(keys))
        return [scope for scope in scopes if scope.noises and is_selected(wider, scope)]

    for key in ("level", "strength"):
        near = [applied for scope in select_without("level", "strength") for applied in scope.noises]
        if getattr(gate, key) and near:
            low, high = getattr(gate, key)
            has = {f"{getattr(applied, key):g} {applied.unit if key == 'strength' else ''}".strip() for applied in near}
            asked = f"{low:g}" if low == high else f"{low:g} to {high:g}"
            return f"no condition has {key} {asked}; the suite has {', '.join(sorted(has))}"
    if gate.modality and (near_scopes := select_without("modality", "level", "strength")):
        has = {"+".join(dict.fromkeys(applied.modality for applied in scope.noises)) for scope in near_scopes}
        return f"no condition corrupts just {' and '.join(gate.modality)}; the suite's corrupt {', '.join(sorted(has))}"
    if gate.missing:
        has = {"+".join(sorted(scope.missing)) for scope in scopes if scope.missing}
        return (
            f"no condition lacks just {' and '.join(gate.missing)}; the suite's lack {', '.join(sorted(has)) or 'none'}"
        )
    return "no condition fits all that it selects by; conditions with further corruptions are not meant"


def _check_baseline(gate: GateTable, other: AuditResult, scopes: Sequence[Scope], measured: OpenedSpec) -> None:
    said = f'gate "{gate.name}": the baseline {gate.baseline}'
    if other.data_sha256 != measured.data_sha256:
        raise DataError(f"{said} was measured on other samples (split {other.split} of {other.manifest})")
    if other.description and measured.description and other.description != measured.description:
        raise DataError(f"{said} was measured under another description; both models should have the same one")
    theirs = {c.name for c in (other.clean, *other.conditions)}
    for scope in scopes:
        if is_selected(gate, scope) and scope.name not in theirs:
            raise DataError(f'{said} has no condition "{scope.name}"')
    columns = {group.column for group in other.clean.groups}
    for column in gate.group:
        if column not in columns:
            raise DataError(f'{said} has no groups of "{column}"; make it again with --by {column}')
    if gate.of and gate.of != "*" and gate.of not in {m.name for m in other.clean.modalities}:
        raise DataError(f'{said} has no modality "{gate.of}"')
