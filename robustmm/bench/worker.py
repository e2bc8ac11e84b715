"""What the process of a cell is told, and its first lines: it ends with its parent also while it imports torch."""

from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robustmm.system import end_with_parent

if TYPE_CHECKING:
    from robustmm.conditions.condition import Condition
    from robustmm.data.loading import OnBad


@dataclass(frozen=True)
class Cell:
    """One training. The key names everything its numbers depend on."""

    method: str
    seed: int
    recipe: dict[str, Any]
    key: str

    def __str__(self) -> str:
        return f"{self.method}, seed {self.seed}"

    @property
    def threads(self) -> int:
        """The CPU threads that its recipe asks for."""
        return int(self.recipe["train"]["threads"])


@dataclass(frozen=True)
class BenchSpec:
    """What all cells share. Conditions are drawn once, with seed 0: every cell gets the same noise."""

    manifest: Path
    conditions: "tuple[Condition, ...]" = ()
    on_bad: "OnBad" = "error"
    inside: Path | None = None


def run_worker(cell: Cell, setting: BenchSpec, out: Path, answers: Path, parent: Connection) -> None:
    """A cell in this process. Imports take seconds: they begin when it is sure that they end."""
    end_with_parent()
    from robustmm.bench.cell import run_cell

    run_cell(cell, setting, out, answers, parent)
