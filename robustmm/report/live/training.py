"""Training as it goes: a bar with an ETA and the last epochs, on stderr; one line an epoch where there is no screen."""

from collections import deque
from collections.abc import Mapping
from math import nan
from pathlib import Path
from shlex import quote
from types import TracebackType
from typing import Self

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.live import Live as Screen
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from robustmm.config.recipe import SELECTED
from robustmm.errors import printable
from robustmm.report.bars import COLOURS, stacked_bar
from robustmm.report.live.console import notes, progress_columns
from robustmm.runs import Run

MAX_EPOCHS = 10
"""Epochs on screen."""
WIDTH = 24
"""Cells of a bar."""


class Live:
    """A `Watcher` that draws."""

    def __init__(self, title: str) -> None:
        notes.print(printable(title), style="dim", markup=False, soft_wrap=True)
        self.bar = Progress(*progress_columns(), console=notes)
        self.rows: deque[Mapping[str, float]] = deque(maxlen=MAX_EPOCHS)
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

    def note(self, text: str) -> None:
        notes.print(printable(text), style="dim", markup=False, soft_wrap=True)

    def begin(self, title: str, epochs: int, done: int, steps: int) -> None:
        for task in self.bar.task_ids:
            self.bar.update(task, visible=False)
        self.task = self.bar.add_task(title, total=epochs * steps, completed=done * steps)
        self.title, self.steps = title, steps
        self.rows.clear()
        self._refresh()

    def step(self, count: int = 1) -> None:
        self.bar.advance(self.task, count)

    def epoch(self, row: Mapping[str, float]) -> None:
        self.rows.append(row)
        self._refresh()
        if not self.drawn:
            notes.print(f"{self.title}: {format_epoch(row)}", markup=False, soft_wrap=True)

    def _refresh(self) -> None:
        if self.drawn:
            self.screen.update(
                Group(*([epoch_table(list(self.rows)), last_epoch_table(self.rows[-1])] if self.rows else []), self.bar)
            )


def render_run(run: Run) -> Group:
    """The last word on a run: which epoch was kept, and what to do next."""
    facts = run.read_finished()
    progress, kept = facts["progress"], facts["progress"]["best_epoch"]
    alone = [f"{m['name']} {percent(progress['best']['valid_accuracy_' + m['name']])}" for m in facts["modalities"]]
    parts = [
        Text.assemble(
            (str(run.folder), "bold"),
            f": kept epoch {kept} of {progress['epoch']}, valid accuracy ",
            (percent(progress["best"]["valid_accuracy"]), "bold"),
            f" (unimodal: {', '.join(alone)})",
        )
    ]
    train = facts["recipe"].get("train")
    select = train.get("select") if isinstance(train, dict) else None  # an older run names none
    if isinstance(select, str) and select != "clean" and select in SELECTED:
        score = percent(progress["best"].get(SELECTED[select], float("nan")))
        parts.append(Text(f"the epoch was chosen on valid by {select.replace('-', ' ')}: {score}"))
    if line := facts.get("line"):
        each = [f"{m['name']} {percent(line.get('valid_accuracy_' + m['name'], nan))}" for m in facts["modalities"]]
        reached = percent(line.get("valid_accuracy", nan))
        parts.append(Text(f"to beat: linear models {reached} ({', '.join(each)})"))
    if bad := facts["bad"]:
        some = f"{len(bad)} unreadable inputs" if len(bad) > 1 else "1 unreadable input"
        parts.append(Text(f"{some} counted as missing; the first: {bad[0]}"))
    named = "" if run.folder.parent == Path("runs") else f" {quote(str(run.folder))}"
    return Group(*parts, Text(f"next: robustmm export{named}", style="dim"))


def split_row(row: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Loss terms, unimodal accuracies and contributions of an epoch's row."""
    other = ("epoch", "learning_rate", "valid_nll", *SELECTED.values())
    alone = {k.removeprefix("valid_accuracy_"): v for k, v in row.items() if k.startswith("valid_accuracy_")}
    rests = {k.removeprefix("contribution_"): v for k, v in row.items() if k.startswith("contribution_")}
    terms = {k: v for k, v in row.items() if k not in other and not k.startswith(("valid_accuracy_", "contribution_"))}
    return terms, alone, rests


def epoch_table(rows: list[Mapping[str, float]]) -> Table:
    """The last epochs: the whole loss, fused accuracy, and modality contributions as a bar."""
    grid = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("epoch", "loss", "valid", "contributions"):
        grid.add_column(heading, justify="left" if heading == "contributions" else "right")
    for row in rows:
        terms, _, rests = split_row(row)
        grid.add_row(
            f"{row['epoch']:.0f}",
            f"{sum(terms.values()):.3f}",
            percent(row["valid_accuracy"]),
            stacked_bar(rests.values(), WIDTH),
        )
    return grid


def last_epoch_table(row: Mapping[str, float]) -> Table:
    """The last epoch in full, a line or two each: loss terms, each modality's accuracy alone, and its share."""
    grid = Table.grid(padding=(0, 2))
    for what, values, decimal in zip(
        ("loss", "unimodal", "contributions"), split_row(row), (True, False, False), strict=True
    ):
        said: list[RenderableType] = [
            Text(
                format_term(name, values, 3) if decimal else f"{name} {percent(value, 0)}",
                style="" if decimal else COLOURS[i % len(COLOURS)],
            )
            for i, (name, value) in enumerate(values.items())
        ]
        grid.add_row(Text(what, style="dim"), Columns(said, padding=(0, 2)))
    return grid


def format_term(name: str, terms: Mapping[str, float], digits: int) -> str:
    """A loss term, and its share of the sum of all terms' sizes where there are several."""
    whole = sum(abs(value) for value in terms.values())
    share = f" ({percent(abs(terms[name]) / whole)})" if len(terms) > 1 and whole else ""
    return f"{name} {terms[name]:.{digits}f}{share}"


def percent(value: float, digits: int = 1) -> str:
    return "–" if value != value else f"{value:.{digits}%}"


def format_epoch(row: Mapping[str, float]) -> str:
    terms, alone, rests = split_row(row)
    said = [f"epoch {row['epoch']:.0f}", *(format_term(name, terms, 4) for name in terms)]
    said += [f"valid {percent(row['valid_accuracy'])}", *(f"{name} {percent(value)}" for name, value in alone.items())]
    return "  ".join([*said, *(f"share({name}) {percent(value, 0)}" for name, value in rests.items())])
