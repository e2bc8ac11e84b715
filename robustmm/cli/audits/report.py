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
    markdown: Annotated[
        Path | None, typer.Option("--markdown", help="Also write a summary for a CI job or a comment to this file.")
    ] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", help="Also write the gates as test cases (JUnit XML) to this file.")
    ] = None,
    sarif: Annotated[
        Path | None, typer.Option("--sarif", help="Also write gates that do not pass as SARIF 2.1.0 to this file.")
    ] = None,
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
            show_text(f"{path}\n")
