"""What an audit measures, beside the spec of its model and samples, and how its records are read."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from robustmm.auditing.gates.declared import Gates
from robustmm.auditing.spec import OpenedSpec
from robustmm.conditions.condition import Condition
from robustmm.conditions.tables import SearchTable
from robustmm.metrics.sampling import Sampling

CLEAN = Condition("clean")

Columns = dict[str, list[str]]
"""What samples are grouped by: a column of the manifest, a value a sample."""


@dataclass(frozen=True)
class AuditPlan:
    """What an audit measures, beside its spec."""

    suite: str
    conditions: tuple[Condition, ...]
    suite_sha256: str = ""
    groups: tuple[str, ...] = ()
    share: float = 0.9
    reference: Path | None = None
    searches: tuple[SearchTable, ...] = ()
    cluster: str = ""
    gates: Gates = field(default_factory=Gates)


@dataclass(frozen=True)
class Reading:
    """How an audit's records are read: groups, how the samples were drawn, the seed of the bootstrap, and the share of
    clean accuracy that has to be kept."""

    groups: Columns
    sampling: Sampling
    seed: int
    share: float


def group_columns(measured: OpenedSpec, asked: Sequence[str]) -> Columns:
    """What samples are grouped by: the label, and the columns asked for. Raises DataError for one that is not there."""
    return {"label": measured.rows.labels, **{name: measured.rows.column(name) for name in asked}}
