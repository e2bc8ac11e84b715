"""`robustmm predict`: one answer on a user's own files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from robustmm.cli import app
from robustmm.cli.options import Json, Runs, show_json
from robustmm.report.live.console import ConsoleReporter, out, show_text


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
    """Answer for one sample: --MODALITY FILE for each input (the text itself for text); one left out is missing.

    An input that is called like an option is given after --: robustmm predict MODEL -- --json FILE.
    """
    from robustmm.api.evaluation import predict as run_predict
    from robustmm.api.inputs import open_model
    from robustmm.report import tables

    given = list(words or [])
    if given == ["-h"]:
        show_text(ctx.get_help())
        return
    model = Path(given.pop(0)) if given and not given[0].startswith("--") else None
    cells = parse_inputs(given)
    session = open_model(model, None, "cpu", 0, 64, runs, ConsoleReporter())
    check_shadowed(session.names, cells, {"json": json, "runs": runs != Path("runs")})
    result = run_predict(session, cells)
    if json:
        show_json(result)
    else:
        out.print(tables.render_prediction(result))


def check_shadowed(names: Sequence[str], cells: Mapping[str, str], options: Mapping[str, bool]) -> None:
    """Raises UsageError where an option of this command was given that an input of the model is called like: which of
    the two was meant cannot be told."""
    from robustmm.errors import UsageError

    for name, given in options.items():
        if given and name in names and name not in cells:
            raise UsageError(
                f"--{name} is an option of predict, and the model has an input called so; give the input after --: "
                f"robustmm predict MODEL -- --{name} FILE"
            )


def parse_inputs(words: list[str]) -> dict[str, str]:
    """`--image a.png --audio=b.wav` as a table of cells by modality."""
    from robustmm.errors import UsageError

    found: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        if not word.startswith("--") or word == "--":
            hint = "; an input called json, runs or help is given after --: robustmm predict MODEL -- --json FILE"
            raise UsageError(f'inputs should be given as --MODALITY FILE, found "{word}"{hint}')
        name, separator, value = word.removeprefix("--").partition("=")
        value = value if separator else next(rest, "")
        if not value or (value.startswith("--") and not separator):
            after = f'"{value}"' if value else "nothing"
            raise UsageError(f"--{name} should be followed by a file (or text), found {after}")
        if name in found:
            raise UsageError(f"--{name} is given twice")
        found[name] = value
    return found
