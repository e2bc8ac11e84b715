"""Errors relative to a reference audit: mean corruption error, where the user names a reference."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from robustmm.auditing.results.breaking_levels import LevelSweep, build_sweeps
from robustmm.auditing.results.condition import ConditionResult
from robustmm.auditing.results.schema import AuditResult, Reference
from robustmm.conditions.condition import Condition
from robustmm.errors import DataError, check_regular
from robustmm.metrics.robustness import mean_corruption_error, relative_mean_corruption_error

FORMAT = AuditResult.model_fields["format"].default


def read_audit(path: Path) -> AuditResult:
    """An audit's result. Raises DataError, with the reason, for a file that is none of this version."""
    check_regular(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} should be the results.json of an audit, and cannot be read so") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        what = f"format {found}" if isinstance(found, int) else "no format"
        raise DataError(f"{path} has {what}, expected {FORMAT}: audit the model again with this robustmm")
    try:
        return AuditResult.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(f"{path} is not as an audit writes it: {place}: {first['msg']}") from error


def compare_with_reference(
    path: Path | None,
    clean: ConditionResult,
    found: Sequence[ConditionResult],
    conditions: Sequence[Condition],
    samples: str,
    description: str,
) -> Reference | None:
    """Raises DataError for a file that is no audit's result, lacks a condition, has samples whose hash is not
    `samples`, or another `description` of a foreign model: signals, units of noise and classes would not be the
    same."""
    if path is None:
        return None
    other = read_audit(path)
    if other.data_sha256 != samples:
        raise DataError(f"the reference {path} was measured on other samples (split {other.split} of {other.manifest})")
    if other.description and description and other.description != description:
        raise DataError(
            f"the reference {path} was measured under another description; both models should have the same one, since "
            "it says what the signals and the units of noise are"
        )
    theirs = {c.name: 1 - c.accuracy.value for c in other.conditions}
    ours = {c.name: 1 - c.accuracy.value for c in found}
    sweeps = build_sweeps(conditions)
    sweeps = [sweep for sweep in sweeps if len(sweep.grid) == max(len(each.grid) for each in sweeps)]
    names = [list(sweep.grid.values()) for sweep in sweeps]
    if lacking := [name for grid in names for name in grid if name not in theirs]:
        raise DataError(f'the reference {path} has no condition "{lacking[0]}"')
    if not names:
        raise DataError("a reference is compared by corruptions at several levels, and the suite has none")
    errors, base = ([[table[name] for name in grid] for grid in names] for table in (ours, theirs))
    try:
        whole = mean_corruption_error(errors, base)
    except ValueError as error:
        raise DataError(f"the reference {path} cannot be divided by: {error}") from error
    try:
        relative = relative_mean_corruption_error(
            errors, 1 - clean.accuracy.value, base, 1 - other.clean.accuracy.value
        ).mean
    except ValueError:  # under some corruption the reference loses nothing
        relative = math.nan
    by = dict(zip(map(corruption_label, sweeps), map(float, whole.by_corruption), strict=True))
    return Reference(model=other.model, mean_corruption_error=whole.mean, relative=relative, by_corruption=by)


def corruption_label(sweep: LevelSweep) -> str:
    """A corruption with what distinguishes its sweep: modalities, probability and options, but not its level."""
    (noise,) = sweep.condition.noises
    parts = [noise.name, f"on {'+'.join(noise.on)}" if noise.on else ""]
    parts += [f"with probability {noise.probability:g}" if noise.probability < 1 else ""]
    parts += [f"{key}={value}" for key, value in noise.options.items()]
    return " ".join(filter(None, parts))
