"""Training as it goes: a bar with an ETA and the last epochs, on stderr; one line an epoch where there is no screen."""

from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Group
from rich.live import Live as Screen
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from robustmm.cli.console import notes, out
from robustmm.report.bars import shares
from robustmm.runs import Run

SHOWN = 10
"""Epochs on screen."""


class Live:
    """A `Watcher` that draws."""

    def __init__(self, title: str) -> None:
        notes.print(title, style="dim", markup=False, soft_wrap=True)
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("eta"), TimeRemainingColumn(), console=notes,
        )  # fmt: skip
        self.rows: deque[Mapping[str, float]] = deque(maxlen=SHOWN)
        self.screen = Screen(console=notes, refresh_per_second=4, transient=True)
        self.steps = 1
        self.drawn = notes.is_terminal

    def __enter__(self) -> Self:
        if self.drawn:
            self.screen.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.drawn:
            self.screen.stop()

    def begin(self, title: str, epochs: int, done: int, steps: int) -> None:
        for task in self.bar.task_ids:
            self.bar.update(task, visible=False)
        self.task = self.bar.add_task(title, total=epochs * steps, completed=done * steps)
        self.title, self.steps = title, steps
        self.rows.clear()
        self._draw()

    def step(self, count: int = 1) -> None:
        self.bar.advance(self.task, count)

    def epoch(self, row: Mapping[str, float]) -> None:
        self.rows.append(row)
        self._draw()
        if not self.drawn:
            notes.print(f"{self.title}: {line(row)}", soft_wrap=True)

    def _draw(self) -> None:
        if self.drawn:
            self.screen.update(Group(*([table(list(self.rows))] if self.rows else []), self.bar))

    def finish(self, run: Run) -> None:
        """The last word: which epoch was kept, and what to do next."""
        if self.drawn:
            self.screen.stop()
        facts = run.facts()
        best, kept = facts["progress"]["best"], facts["progress"]["best_epoch"]
        alone = [f"{m['name']} {best['valid_accuracy_' + m['name']]:.1%}" for m in facts["modalities"]]
        out.print(
            f"[bold]{run.folder}[/]: kept epoch {kept} of {facts['progress']['epoch']}, "
            f"valid accuracy [bold]{best['valid_accuracy']:.1%}[/] (alone: {', '.join(alone)})",
            soft_wrap=True,
        )
        if facts["bad"]:
            out.print(
                f"{len(facts['bad'])} unreadable inputs counted as missing; the first: {facts['bad'][0]}", markup=False
            )
        out.print("next: robustmm export", style="dim")


def split(row: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Loss terms, solo accuracies and contributions of an epoch's row."""
    other = ("epoch", "learning_rate", "valid_accuracy", "valid_nll")
    alone = {k.removeprefix("valid_accuracy_"): v for k, v in row.items() if k.startswith("valid_accuracy_")}
    rests = {k.removeprefix("contribution_"): v for k, v in row.items() if k.startswith("contribution_")}
    terms = {k: v for k, v in row.items() if k not in other and not k.startswith(("valid_accuracy_", "contribution_"))}
    return terms, alone, rests


def table(rows: list[Mapping[str, float]]) -> Table:
    grid = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("epoch", "loss terms", "valid", "alone", "rests on"):
        grid.add_column(heading, justify="right" if heading in ("epoch", "valid") else "left")
    for row in rows:
        terms, alone, rests = split(row)
        grid.add_row(
            f"{row['epoch']:.0f}",
            "  ".join(f"{name} {value:.3f}" for name, value in terms.items()),
            f"{row['valid_accuracy']:.1%}",
            "  ".join(f"{name} {value:.0%}" for name, value in alone.items()),
            shares(rests, 12),
        )
    return grid


def line(row: Mapping[str, float]) -> str:
    terms, alone, rests = split(row)
    said = [f"epoch {row['epoch']:.0f}", *(f"{name} {value:.4f}" for name, value in terms.items())]
    said += [f"valid {row['valid_accuracy']:.1%}", *(f"{name} {value:.1%}" for name, value in alone.items())]
    return "  ".join([*said, *(f"share({name}) {value:.0%}" for name, value in rests.items())])
