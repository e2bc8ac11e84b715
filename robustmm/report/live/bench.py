"""A bench as it goes: a line for the whole and one for each running training, on stderr."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.progress import Progress

from robustmm.report.bench.plan import describe_budget, grid_columns, plan_columns
from robustmm.report.bench.screen import fit_tables
from robustmm.report.live.console import note, notes, progress_columns

if TYPE_CHECKING:
    from robustmm.bench.worker import Cell


def show_plan(recipes: Mapping[str, Mapping[str, Any]], samples: int) -> None:
    """What is about to be trained: effective recipes by method, on so many training samples."""
    for table in fit_tables("what is trained", list(recipes), plan_columns(recipes, samples), notes.width):
        notes.print(table)
    note(describe_budget(next(iter(recipes.values()))["train"]))


def show_grids(
    grids: Mapping[str, Sequence[Mapping[str, Any]]], trials: Mapping[str, int], select: str, epochs: int
) -> None:
    """What a search is about to try."""
    title = f"what is tried first, on valid, by {select.replace('-', ' ')}"
    for table in fit_tables(title, list(grids), grid_columns(grids, trials), notes.width):
        notes.print(table)
    note(f"successive halving: a quarter, a half and all of {epochs} epochs; the better half of the settings goes on")


class BenchProgress:
    """A line for the whole bench and one for each running training; a line a training where there is no screen."""

    def __init__(self, total: int) -> None:
        self.bar = Progress(*progress_columns(markup=False), console=notes, transient=True, speed_estimate_period=3600)
        self.total, self.kept, self.ended = total, 0, 0
        self.whole = self.bar.add_task("trainings", total=total)
        self.running: dict[str, Any] = {}
        self.parts: dict[str, float] = {}

    @contextmanager
    def show_live(self) -> Iterator["BenchProgress"]:
        if notes.is_terminal:
            with self.bar:
                yield self
        else:
            yield self

    def event(self, cell: "Cell", what: str, value: Any) -> None:
        if what == "kept":
            self.kept += 1
            self.bar.reset(self.whole, total=self.total, completed=self.kept)  # no part of the speed behind the ETA
        elif what == "started":
            self.running[cell.key], self.parts[cell.key] = self.bar.add_task(f"{cell}: starting", total=None), 0.0
        elif what == "begin":
            title, epochs, done = value
            counted = None if title == "reading" else epochs
            self.bar.reset(self.running[cell.key], description=f"{cell}: {title}", total=counted, completed=done)
            self._update_total(cell, done / epochs if title == "training" else 0.0)
        elif what == "epoch":
            epoch, accuracy = value
            task = self.bar.tasks[self.bar.task_ids.index(self.running[cell.key])]
            title = task.description.removeprefix(f"{cell}: ").split(",")[0]
            self.bar.update(task.id, completed=epoch, description=f"{cell}: {title}, valid {accuracy:.1%}")
            self._update_total(cell, epoch / (task.total or epoch) if title == "training" else 0.0)
        elif what == "ended":
            self.bar.remove_task(self.running.pop(cell.key))
            self.ended += 1
            del self.parts[cell.key]
            self._update_total(None, 0.0)
        if what in ("kept", "ended") and not notes.is_terminal:
            note(f"{cell}: {'done before' if what == 'kept' else 'done' if value else 'failed'}")

    def _update_total(self, cell: "Cell | None", done: float) -> None:
        """The whole, to which a running training adds the part of its epochs that is done."""
        if cell is not None:
            self.parts[cell.key] = done
        self.bar.update(self.whole, completed=self.kept + self.ended + sum(self.parts.values()))
