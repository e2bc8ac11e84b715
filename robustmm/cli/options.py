"""Options that several commands share, and what every command does about JSON and torch."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from robustmm.errors import UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel

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


def show_json(result: "BaseModel") -> None:
    """JSON on stdout; a file name that is no text is shown as far as it is one."""
    print(json.dumps(result.model_dump(mode="json"), indent=1, ensure_ascii=False))
