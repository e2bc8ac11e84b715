"""Options that several commands share, and how every command prints JSON."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from robustmm.errors import escape_unprintable
from robustmm.report.live.console import show_text

if TYPE_CHECKING:
    from pydantic import BaseModel

ModelFile = Annotated[Path | None, typer.Argument(help="An exported .onnx file (default: the newest).")]
Data = Annotated[Path | None, typer.Option("--data", help="Manifest (default: what the model was trained on).")]
Inside = Annotated[
    bool, typer.Option("--inside", help="Refuse a manifest whose cells lead out of its own folder, by links too.")
]
Describe = Annotated[
    Path | None, typer.Option("--describe", help="What a file of another tool holds. See: robustmm describe.")
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Samples at most, of all classes alike.")]
Provider = Annotated[str, typer.Option("--provider", help="onnxruntime provider: cpu, cuda or tensorrt.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for machines.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of every random draw.")]
Runs = Annotated[Path, typer.Option("--runs", help="Folder of the run folders.")]
OnBadInput = Annotated[
    Literal["error", "missing"],
    typer.Option("--on-bad-input", help="What a file that cannot be read is: an error, or a missing modality."),
]
Expect = Annotated[
    Path | None,
    typer.Option("--expect", help="Your own pipeline's predictions: id and class, or id and a probability a class."),
]
ExpectAccuracy = Annotated[
    float | None, typer.Option("--expect-accuracy", min=0, max=1, help="Your own pipeline's accuracy on this split.")
]

NOT_PASSED = 1
"""Exit code of a verdict that is no pass, after the whole report: a gate fails, a candidate is worse, or either is
undecided."""


def show_json(result: "BaseModel") -> None:
    """JSON on stdout; a file name that is no text is shown as far as it is one."""
    show_text(escape_unprintable(json.dumps(result.model_dump(mode="json"), indent=1, ensure_ascii=False)) + "\n")
