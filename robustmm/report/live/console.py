"""Where things are printed: results to stdout, progress and notes to stderr."""

import logging
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from robustmm.errors import printable, shorten

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

IS_SECONDARY_RANK = os.environ.get("RANK", "0") != "0"
"""One of several ranks under torchrun, and not the first: it works and keeps silent."""


class Door(Console):
    """The one door to the terminal: what a text holds beyond drawn characters and ends of lines is never obeyed."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable() or segment.text == "\n":
                yield segment
            else:
                text = "\n".join(map(printable, segment.text.split("\n")))
                yield Segment(text, segment.style)


out = Door(highlight=False, quiet=IS_SECONDARY_RANK)
notes = Door(stderr=True, highlight=False, quiet=IS_SECONDARY_RANK)


def note(text: str) -> None:
    """A line about what is being done, on stderr; never part of the result."""
    notes.print(printable(shorten(text)), style="dim", markup=False, soft_wrap=True)


def show_text(text: str) -> None:
    """A result that another program reads, exactly as it is."""
    if not out.quiet:
        print(text, end="")


def show_path(path: Path) -> None:
    """The path of a file that was written: exact where another program reads it, printable on a terminal."""
    if out.is_terminal:
        out.print(str(path), markup=False, soft_wrap=True)
    else:
        show_text(f"{path}\n")


class _Notes(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())


@contextmanager
def show_warnings() -> Iterator[None]:
    """Meanwhile, what our modules warn of by `logging` is a note; what anybody warns of by `warnings` is one, once."""
    handler, logger, told = _Notes(logging.WARNING), logging.getLogger("robustmm"), set[str]()

    def tell(message: Warning | str, *place: object, **more: object) -> None:
        if (text := " ".join(str(message).split())) not in told:
            told.add(text)
            note(text)

    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = tell
            yield
    finally:
        logger.removeHandler(handler)


def progress_columns(markup: bool = True) -> "tuple[ProgressColumn, ...]":
    """What a long work's bar shows: title, bar, count, time and ETA."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    return (
        TextColumn("{task.description}", markup=markup), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("eta"), TimeRemainingColumn(),
    )  # fmt: skip


class ConsoleReporter:
    """A `Reporter` that prints to stderr."""

    def note(self, text: str) -> None:
        note(text)

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Any]:
        """A bar with an ETA, gone when done; nothing where there is no screen. Yields a function that advances it."""
        from rich.progress import Progress  # --help draws no bar, and need not wait for what draws it

        drawn = notes.is_terminal or notes.is_jupyter
        with Progress(*progress_columns(), console=notes, transient=True, disable=not drawn) as bar:
            task = bar.add_task(title, total=total)
            yield lambda steps: bar.advance(task, steps)
