"""`robustmm describe`: the first draft of what the inputs and outputs of a model of other tools mean."""

from pathlib import Path
from typing import Annotated

import typer

from robustmm.cli import app
from robustmm.report.live.console import note, show_path


@app.command()
def describe(
    model: Annotated[Path, typer.Argument(help="An .onnx classifier that other tools exported.")],
    to: Annotated[
        Path | None, typer.Option("-o", "--out", help="The new .toml file, never overwritten (default: print it).")
    ] = None,
) -> None:
    """Draft the description of a model of other tools; go through it, then give it to attack with --describe."""
    from robustmm.errors import UsageError
    from robustmm.runtime.foreign.draft import draft_description

    text = draft_description(model)
    if to is None:
        print(text, end="")
        return
    if to.suffix != ".toml":
        raise UsageError(f"the description's name should end in .toml, found {to}")
    try:
        with to.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise UsageError(f"{to} exists already and is left as it is") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"the description cannot be written ({error})") from error
    show_path(to)
    note(f"{text.count('CHECK:')} lines to check; then: robustmm attack {model} --describe {to} --data MANIFEST")
