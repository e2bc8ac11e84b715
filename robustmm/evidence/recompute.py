"""The numbers of an audit from its cells alone, without inference, in a folder of its own: the audit's own code, which
gives the same bytes for the same cells."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from robustmm.auditing import cells
from robustmm.auditing.plan import AuditPlan
from robustmm.auditing.prepare import build_plan
from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.run import Audit
from robustmm.auditing.spec import Spec
from robustmm.conditions.condition import Condition
from robustmm.errors import DataError
from robustmm.evidence.record import AuditRecord
from robustmm.workers.processes import WorkerPool


class Recomputed(Audit):
    """An audit that measures nothing: a cell that is not there is an error."""

    def _run_pass(self, pool: WorkerPool, title: str, conditions: Sequence[Condition]) -> cells.EvaluationPass:
        here = cells.current_pass(self.spec, conditions, self.store.folder)
        for keys, condition in zip(here.keys, conditions, strict=True):
            if lacking := [key for key in keys if not self.store.has(key)]:
                raise DataError(
                    f'{len(lacking)} of {len(keys)} cells of condition "{condition.name}" are not there under the '
                    "names that suite, model and data give them"
                )
        return super()._run_pass(pool, title, conditions)


def rebuild_plan(
    result: AuditResult, record: AuditRecord, spec: Spec, folder: Path, reference: Path | None
) -> AuditPlan:
    """The plan that an audit says it followed; `folder` is a place for the texts of suite and gates. Raises UsageError
    for a suite or gates that are none."""
    path, gates = folder / "suite.toml", folder / "gates.toml"
    path.write_bytes(record.suite.encode())
    gates.write_bytes(record.gates.encode())
    columns = dict.fromkeys(group.column for group in result.clean.groups if group.column != "label")
    cluster = result.clusters.column if result.clusters else ""
    asked = gates if record.gates else None
    plan = build_plan(str(path), spec, tuple(columns), result.retention_threshold, reference, cluster, asked)
    return replace(plan, suite=result.suite)


def link_cells(source: Path, to: Path, names: Sequence[str]) -> None:
    """Makes a folder with these cells in it: nothing that is done there reaches the source."""
    for name in names:
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.symlink((source / name).absolute(), to / name)
        except OSError:  # no links here
            shutil.copyfile(source / name, to / name)


def find_difference(said: Any, found: Any, place: str = "") -> str:
    """Where two JSON values differ first: `conditions[3].accuracy.value is 0.9, and the cells give 0.4`; empty where
    they are the same."""
    if isinstance(said, dict) and isinstance(found, dict) and said.keys() == found.keys():
        steps = [(f"{place}.{key}" if place else key, said[key], found[key]) for key in said]
    elif isinstance(said, list) and isinstance(found, list) and len(said) == len(found):
        steps = [(f"{place}[{i}]", one, other) for i, (one, other) in enumerate(zip(said, found, strict=True))]
    elif said == found:
        return ""
    else:
        return f"{place} is {_show(said)}, and the cells give {_show(found)}"
    return next(filter(None, (find_difference(a, b, where) for where, a, b in steps)), "")


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"


def same_tables(one: Path, other: Path) -> bool:
    """Whether two Parquet files hold the same values and say the same of them."""
    try:
        first, second = pyarrow.parquet.read_table(os.fspath(one)), pyarrow.parquet.read_table(os.fspath(other))
    except (OSError, pyarrow.ArrowException):
        return False
    if first.schema != second.schema or first.schema.metadata != second.schema.metadata:
        return False
    return all(_same_columns(first[name], second[name]) for name in first.column_names)


def _same_columns(one: pyarrow.ChunkedArray, other: pyarrow.ChunkedArray) -> bool:
    """NaN, which marks a missing modality, is the same as NaN."""
    if one.equals(other):
        return True
    if not pyarrow.types.is_floating(one.type) or len(one) != len(other):
        return False
    a, b = one.to_numpy(), other.to_numpy()
    return bool(((a == b) | ((a != a) & (b != b))).all())
