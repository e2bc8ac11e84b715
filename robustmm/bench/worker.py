"""What the process of a cell is told, and its first lines: it ends with its parent also while it imports torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from robustmm.system import end_with_parent

if TYPE_CHECKING:
    from robustmm.conditions.condition import Condition
    from robustmm.data.loading import OnBad


class Parent(Protocol):
    """The one who is told how far a cell is: the end of a pipe, or a list on a machine of a cluster."""

    def send(self, obj: Any, /) -> None: ...


Setting = Mapping[str, Any]
"""What a search varies: `optimiser`, `learning_rate`, and `METHOD.OPTION`."""


@dataclass(frozen=True)
class Cell:
    """One training. The key names everything its numbers depend on. With a `setting` it is a trial of a search: scored
    on valid, never on test."""

    method: str
    seed: int
    recipe: dict[str, Any]
    key: str
    setting: Setting | None = None

    def __str__(self) -> str:
        if self.setting is None:
            return f"{self.method}, seed {self.seed}"
        epochs = self.recipe["train"]["epochs"]
        return f"{self.method}, {describe_setting(self.setting)}, {epochs} epoch{'s' * (epochs != 1)}"

    @property
    def threads(self) -> int:
        """The CPU threads that its recipe asks for."""
        return int(self.recipe["train"]["threads"])

    def result_file(self, out: Path) -> Path:
        return out / ("cells" if self.setting is None else "trials") / f"{self.key}.json"


def describe_setting(setting: Setting) -> str:
    """A setting in a few words: "sgd 0.03, unimodal.gamma 1"."""
    options = [f"{key} {value}" for key, value in setting.items() if key not in ("optimiser", "learning_rate")]
    return ", ".join([f"{setting['optimiser']} {setting['learning_rate']:g}", *options])


@dataclass(frozen=True)
class BenchSpec:
    """What all cells share. Conditions are drawn once, with seed 0: every cell gets the same noise."""

    manifest: Path
    conditions: "tuple[Condition, ...]" = ()
    on_bad: "OnBad" = "error"
    inside: Path | None = None
    storage: Mapping[str, Any] = field(default_factory=dict)
    """Where trainings hold their data, see data.storage.choice.StorageOptions; it moves no number."""


def run_worker(cell: Cell, setting: BenchSpec, out: Path, answers: Path, parent: Parent) -> None:
    """A cell in this process. Imports take seconds: they begin when it is sure that they end."""
    end_with_parent()
    from robustmm.bench.cell import run_cell

    run_cell(cell, setting, out, answers, parent)
