"""`robustmm export`: a run to one ONNX file, with its proof."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer
from rich.text import Text

from robustmm.cli import app
from robustmm.cli.options import Json, Runs, needs_torch, show_json
from robustmm.report.console import note, out


@app.command()
def export(
    run: Annotated[Path | None, typer.Argument(help="A run folder (default: the newest finished one).")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write (default: in the run).")] = None,
    fp16: Annotated[bool, typer.Option("--fp16", help="Half-precision weights and arithmetic.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Dynamic int8 quantisation of matrix products.")] = False,
    json: Json = False,
    runs: Runs = Path("runs"),
) -> None:
    """Export a run as one ONNX file and prove that it answers as the trained model does."""
    needs_torch()
    from robustmm.errors import UsageError
    from robustmm.exporting import export as work
    from robustmm.report import tables
    from robustmm.runs import Run, newest

    if fp16 and int8:
        raise UsageError("one of --fp16 and --int8 should be given, found both")
    chosen = Run(run) if run else newest(runs, finished=True)
    if not chosen.finished:
        todo = f"robustmm train --resume {quote(str(chosen.folder))}"
        raise UsageError(f"{chosen.folder} has not finished training; continue it with: {todo}")
    precision = "fp16" if fp16 else "int8" if int8 else "fp32"
    path = output or (chosen.model if precision == "fp32" else chosen.folder / f"model.{precision}.onnx")
    if path.suffix != ".onnx":
        raise UsageError(f"--output should end in .onnx, found {path}")
    if path.is_dir():
        raise UsageError(f"--output should be a file, found the folder {path}")
    if not path.parent.is_dir():
        raise UsageError(f"the folder of --output should exist, found no {path.parent}")
    note(f"exporting {chosen.folder}" + ("" if run else " (the newest finished run)"))
    proof = work.export(chosen, path, precision)
    if json:
        show_json(proof)
    else:
        out.print(tables.proof(proof))
    failure = proof.failure()
    if failure is not None:
        raise failure
    if json:
        return
    out.print(Text.assemble((str(path), "bold"), f", {proof.size / 1e6:.2f} MB"), soft_wrap=True)
    named = "" if path == chosen.model and chosen.folder.parent == Path("runs") else f" {quote(str(path))}"
    next_ = f"next: robustmm attack{named} --noise gaussian --level 0.5"
    out.print(next_, style="dim", markup=False, soft_wrap=True)
