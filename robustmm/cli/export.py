"""`robustmm export`: a run to one ONNX file, with its proof."""

from pathlib import Path
from shlex import quote
from typing import Annotated, Any, Literal

import typer
from rich.text import Text

from robustmm.cli import app
from robustmm.cli.options import Json, Runs, show_json
from robustmm.report.live.console import out


@app.command()
def export(
    run: Annotated[Path | None, typer.Argument(help="A run folder (default: the newest finished one).")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write (default: in the run).")] = None,
    fp16: Annotated[bool, typer.Option("--fp16", help="Half-precision weights and arithmetic.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Dynamic int8 quantisation of matrix products.")] = False,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Fit temperatures on the valid split; no answer changes.")
    ] = False,
    json: Json = False,
    runs: Runs = Path("runs"),
) -> None:
    """Export a run as one ONNX file and prove that it answers as the trained model does."""
    from robustmm.api.training import check_torch
    from robustmm.api.training import export as run_export
    from robustmm.errors import ParityError, UsageError, printable

    check_torch()
    if fp16 and int8:
        raise UsageError("one of --fp16 and --int8 should be given, found both")
    precision: Literal["fp32", "fp16", "int8"] = "fp16" if fp16 else "int8" if int8 else "fp32"
    try:
        model = run_export(run, output, precision=precision, calibrate=calibrate, runs=runs, progress=True)
    except ParityError as error:
        show_proof(error.proof, json)
        raise
    show_proof(model.proof, json)
    if json:
        return
    out.print(Text.assemble((printable(str(model.path)), "bold"), f", {model.proof.size / 1e6:.2f} MB"), soft_wrap=True)
    newest = model.path == model.run.model and model.run.folder.parent == Path("runs")
    named = "" if newest else f" {quote(str(model.path))}"
    next_ = f"next: robustmm attack{named} --noise gaussian --level 0.5"
    out.print(printable(next_), style="dim", markup=False, soft_wrap=True)


def show_proof(proof: Any, json: bool) -> None:
    """The proof of parity, also where it fails."""
    from robustmm.report import tables

    if json:
        show_json(proof)
    else:
        out.print(tables.render_proof(proof))
