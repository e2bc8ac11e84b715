"""`robustmm report`: the page of an audit, a run or a bench, from its folder."""

from pathlib import Path
from typing import Annotated

import typer

from robustmm.cli import app
from robustmm.cli.options import JunitFile, MarkdownFile, SarifFile
from robustmm.report.live.console import show_path


@app.command()
def report(
    folder: Annotated[
        Path, typer.Argument(help="Folder of a finished audit, of a run or of a bench.", show_default=False)
    ],
    markdown: MarkdownFile = None,
    junit: JunitFile = None,
    sarif: SarifFile = None,
    bom: Annotated[
        Path | None, typer.Option("--bom", help="Also write a CycloneDX 1.6 machine-learning bill of materials.")
    ] = None,
    card: Annotated[
        Path | None, typer.Option("--card", help="Also write a Hugging Face model card with its model-index.")
    ] = None,
) -> None:
    """Write report.html of a finished audit again, or of what a run or a bench has done so far, from its folder alone.

    The page of a run or a bench shows losses, accuracies and contributions by epoch; curves.svg has the same charts.
    """
    from robustmm.api.reporting import write_report

    page = write_report(folder, markdown=markdown, junit=junit, sarif=sarif, bom=bom, card=card)
    for path in (page, markdown, junit, sarif, bom, card):
        if path:
            show_path(path)
