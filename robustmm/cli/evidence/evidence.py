"""`robustmm evidence`: a finished audit as other tools read it."""

from pathlib import Path
from typing import Annotated

import typer

from robustmm.cli import app
from robustmm.report.live.console import note


@app.command()
def evidence(
    folder: Annotated[Path, typer.Argument(help="The folder of a finished audit.")],
    bom: Annotated[
        Path | None, typer.Option("--bom", help="Write a CycloneDX 1.6 machine-learning bill of materials here.")
    ] = None,
    card: Annotated[
        Path | None, typer.Option("--card", help="Write a Hugging Face model card with its model-index here.")
    ] = None,
) -> None:
    """Write a finished audit as a bill of materials or a model card, without inference."""
    from robustmm.api.verifying import write_documents

    for path in write_documents(folder, bom=bom, card=card):
        note(f"written: {path}")
