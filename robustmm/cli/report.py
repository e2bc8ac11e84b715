"""`robustmm report`: the page of a finished audit, made again."""

from pathlib import Path
from typing import Annotated

import typer

from robustmm.cli import app
from robustmm.report.live.console import show_text


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a finished audit.", show_default=False)],
) -> None:
    """Write report.html of a finished audit again, from its folder alone."""
    from robustmm.api.reporting import write_report

    show_text(f"{write_report(folder)}\n")
