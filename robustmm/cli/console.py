"""Where things are printed: results to stdout, progress and notes to stderr; and options several commands share."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from robustmm.errors import UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel

FOLLOWS = os.environ.get("RANK", "0") != "0"
"""One of several ranks under torchrun, and not the first: it works and keeps silent."""

out = Console(highlight=False, quiet=FOLLOWS)
notes = Console(stderr=True, highlight=False, quiet=FOLLOWS)

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for machines.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of every random draw.")]
Runs = Annotated[Path, typer.Option("--runs", help="Folder of the run folders.")]
OnBadInput = Annotated[
    Literal["error", "missing"],
    typer.Option("--on-bad-input", help="What a file that cannot be read is: an error, or a missing modality."),
]


def needs_torch() -> None:
    """Says what a machine that only audits lacks for training and exporting."""
    if find_spec("torch") is None:
        raise UsageError("this command needs torch, found none; get it with: pip install 'robustmm[train]'")


def note(text: str) -> None:
    """A line about what is being done, on stderr; never part of the result."""
    notes.print(text, style="dim", markup=False, soft_wrap=True)


def show_json(result: "BaseModel") -> None:
    """JSON on stdout; a file name that is no text is shown as far as it is one."""
    print(json.dumps(result.model_dump(mode="json"), indent=1, ensure_ascii=False))


@contextmanager
def progress(title: str, total: int) -> Iterator[Any]:
    """A bar with an ETA on stderr, gone when done; yields a function that advances it."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("eta"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=notes, transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda steps: bar.advance(task, steps)
