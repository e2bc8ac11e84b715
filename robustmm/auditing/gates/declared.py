"""The gates of one audit, as they were declared."""

from dataclasses import dataclass, field
from typing import NamedTuple

from robustmm.auditing.results.schema import AuditResult
from robustmm.conditions.gate import GateTable


class Baseline(NamedTuple):
    """Another audit, and the hash of its file."""

    result: AuditResult
    sha256: str


@dataclass(frozen=True)
class Gates:
    """The gates of an audit, the hash of their file, and the audits that they name as baselines, by path."""

    tables: tuple[GateTable, ...] = ()
    sha256: str = ""
    baselines: dict[str, Baseline] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns whose groups are judged; those of the labels are always there."""
        return tuple(dict.fromkeys(column for gate in self.tables for column in gate.group if column != "label"))
