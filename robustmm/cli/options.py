"""Options that several commands share, and how every command prints JSON."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from robustmm.errors import escape_unprintable
from robustmm.report.live.console import show_text
from robustmm.system import MOST_PROCESSES

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
Suite = Annotated[str, typer.Option("--suite", help="A suite, or a .toml file. See: robustmm list.")]
SplitAudited = Annotated[str, typer.Option("--split", help="The manifest's split to audit.")]
CLUSTER = typer.Option("--cluster", help="Column of what was drawn (subject, speaker, video): intervals are over it.")
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, max=MOST_PROCESSES, help="Processes (default: all cores, where the work is long)."
    ),
]
On = Annotated[
    str | None, typer.Option("--on", help="A Ray cluster to work on: ray (this machine's) or ray://HOST:PORT.")
]
Threads = Annotated[
    int, typer.Option("--threads", min=1, max=MOST_PROCESSES, help="onnxruntime's threads in each worker.")
]
MarkdownFile = Annotated[
    Path | None, typer.Option("--markdown", help="Also write a summary for a CI job or a comment to this file.")
]
JunitFile = Annotated[
    Path | None, typer.Option("--junit", help="Also write the gates as test cases (JUnit XML) to this file.")
]
SarifFile = Annotated[
    Path | None, typer.Option("--sarif", help="Also write gates that do not pass as SARIF 2.1.0 to this file.")
]
Runs = Annotated[Path, typer.Option("--runs", help="Folder of the run folders.")]
OnBadInput = Annotated[
    Literal["error", "missing"],
    typer.Option("--on-bad-input", help="What a file that cannot be read is: an error, or a missing modality."),
]
Storage = Annotated[
    Literal["auto", "memory", "cache", "decode"],
    typer.Option(
        "--storage",
        help="Where data are held: memory, the cache of decoded data, or decoded anew (auto: memory up to 1 GB).",
    ),
]
CacheSize = Annotated[
    str | None, typer.Option("--cache-size", help="What the cache may take on disk: 50GB (default: 100GB).")
]
Readers = Annotated[
    int | None, typer.Option("--readers", min=1, max=MOST_PROCESSES, help="Threads that read data (default: 4).")
]
Expect = Annotated[
    Path | None,
    typer.Option("--expect", help="Your own pipeline's predictions: id and class, or id and a probability a class."),
]
ExpectAccuracy = Annotated[
    float | None, typer.Option("--expect-accuracy", min=0, max=1, help="Your own pipeline's accuracy on this split.")
]

NOT_PASSED = 1
"""Exit code of a verdict that is no pass, after the whole report: a gate fails, a candidate is worse, either is
undecided, or a folder does not verify."""


def show_json(result: "BaseModel") -> None:
    """JSON on stdout; a file name that is no text is shown as far as it is one."""
    show_text(escape_unprintable(json.dumps(result.model_dump(mode="json"), indent=1, ensure_ascii=False)) + "\n")


def end_by_verdict(verdict: str | None, allow_inconclusive: bool) -> None:
    """Ends a command whose report is whole: NOT_PASSED where the verdict is no pass, and none where there is none."""
    if verdict == "FAIL" or (verdict == "INCONCLUSIVE" and not allow_inconclusive):
        raise typer.Exit(NOT_PASSED)
