"""`robustmm report`: the page of an audit, a run or a bench, from its folder."""

from pathlib import Path
from typing import Annotated

import typer

from robustmm.cli import app
from robustmm.report.live.console import show_text


@app.command()
def report(
    folder: Annotated[
        Path, typer.Argument(help="Folder of a finished audit, of a run or of a bench.", show_default=False)
    ],
) -> None:
    """Write report.html of a finished audit again, or of what a run or a bench has done so far, from its folder alone.

    The page of a run or a bench shows losses, accuracies and contributions by epoch; curves.svg has the same charts.
    """
    from robustmm.api.reporting import write_report

    show_text(f"{write_report(folder)}\n")
