"""`robustmm harden`: a guard written into an exported file."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer
from rich.text import Text

from robustmm.cli import app
from robustmm.cli.options import Data, Describe, Inside, Json, OnBadInput, Runs, show_json
from robustmm.report.live.console import out


@app.command()
def harden(
    model: Annotated[Path | None, typer.Argument(help="An .onnx of robustmm export (default: the newest).")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write (default: beside the model).")
    ] = None,
    data: Data = None,
    describe: Describe = None,
    inside: Inside = False,
    clean_cost: Annotated[
        float, typer.Option("--clean-cost", min=0, max=100, help="Accuracy in points that clean samples may lose.")
    ] = 0.3,
    on_bad_input: OnBadInput = "error",
    json: Json = False,
    runs: Runs = Path("runs"),
) -> None:
    """Write a guard into an exported model: it drops a modality where that helps, judged by unseen corruptions."""
    from robustmm.api.hardening import harden as run_harden
    from robustmm.errors import printable

    made = run_harden(
        model, output, data=data, describe=describe, inside=inside, clean_cost=clean_cost, on_bad_input=on_bad_input,
        runs=runs, progress=True,
    )  # fmt: skip
    if json:
        show_json(made.result)
        return
    from robustmm.report.harden import render_hardening

    out.print(render_hardening(made.result))
    size = f", {made.result.size / 1e6:.2f} MB"
    out.print(Text.assemble((printable(str(made.path)), "bold"), size), soft_wrap=True)
    plain, hardened = quote(made.result.model), quote(str(made.path))
    out.print(printable(f"next: robustmm compare {plain} {hardened}"), style="dim", markup=False, soft_wrap=True)
