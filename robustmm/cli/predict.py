"""`robustmm predict`: one answer on a user's own files."""

from pathlib import Path
from typing import Annotated

import typer

from robustmm.cli import app
from robustmm.cli.options import Json, Runs, show_json
from robustmm.report.live.console import out, show_text


# -h would be found in any text that begins with a dash, such as "-oh"
@app.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
def predict(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL] --MODALITY FILE ...", help="An .onnx file (default: the newest), then inputs."),
    ] = None,
    json: Json = False,
    runs: Runs = Path("runs"),
) -> None:
    """Answer for one sample: --MODALITY FILE for each input (the text itself for text); one left out is missing."""
    from robustmm.api.evaluation import predict as run_predict
    from robustmm.report import tables

    given = list(words or [])
    if given == ["-h"]:
        show_text(ctx.get_help())
        return
    model = Path(given.pop(0)) if given and not given[0].startswith("--") else None
    cells = parse_inputs(given)
    result = run_predict(model, cells, runs=runs, progress=True)
    if json:
        show_json(result)
    else:
        out.print(tables.render_prediction(result))


def parse_inputs(words: list[str]) -> dict[str, str]:
    """`--image a.png --audio=b.wav` as a table of cells by modality."""
    from robustmm.errors import UsageError

    found: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        if not word.startswith("--") or word == "--":
            raise UsageError(f'inputs should be given as --MODALITY FILE, found "{word}"')
        name, separator, value = word.removeprefix("--").partition("=")
        value = value if separator else next(rest, "")
        if not value or (value.startswith("--") and not separator):
            after = f'"{value}"' if value else "nothing"
            raise UsageError(f"--{name} should be followed by a file (or text), found {after}")
        if name in found:
            raise UsageError(f"--{name} is given twice")
        found[name] = value
    return found
