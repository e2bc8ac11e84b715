"""`robustmm list`, `show`, `copy` and `doctor`: what there is by name, what it says, a copy to change, and what this
machine has."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from robustmm.cli import app
from robustmm.cli.options import Data, Json, show_json
from robustmm.report.live.console import out, show_path

What = Literal["recipes", "suites", "methods", "fusions", "encoders", "corruptions", "augmentations"]


@app.command("list")
def list_(
    what: Annotated[What | None, typer.Argument(help="One sort only (default: all).")] = None,
    on: Annotated[str, typer.Option("--on", help="Corruptions or augmentations of one kind only: image, ...")] = "",
    json: Json = False,
) -> None:
    """List what can be named: recipes, suites, corruptions with their physical levels; augmentations, methods,
    fusions, encoders."""
    from robustmm.catalogue.listing import list_names
    from robustmm.errors import UsageError
    from robustmm.report.catalogue import render_list

    if on and what not in ("corruptions", "augmentations"):
        raise UsageError(f"--on goes with corruptions or augmentations: robustmm list corruptions --on {on}")
    result = list_names(what, on)
    if json:
        show_json(result)
    else:
        out.print(render_list(result))


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A recipe, suite, corruption, augmentation or method, or a .toml file.")],
    model: Annotated[
        Path | None, typer.Option("--model", help="Tell what a suite costs on this exported file.")
    ] = None,
    data: Data = None,
    split: Annotated[str, typer.Option("--split", help="The manifest's split.")] = "test",
    json: Json = False,
) -> None:
    """Print a recipe or suite, a corruption's levels and source, or the options of a method or an augmentation."""
    from robustmm.catalogue import details
    from robustmm.report.catalogue import render_details

    result = details.describe_name(name) if model is None else details.describe_suite_on(name, model, data, split)
    if json:
        show_json(result)
    else:
        out.print(render_details(result))


@app.command()
def copy(
    name: Annotated[str, typer.Argument(help="A recipe or suite.")],
    to: Annotated[Path, typer.Argument(help="The new .toml file; never overwritten.")],
) -> None:
    """Copy a recipe or suite, to change it."""
    from robustmm.config.shelf import find_any, read_text
    from robustmm.errors import UsageError
    from robustmm.files import write_new_file

    content = read_text(find_any(name))
    if to.suffix != ".toml":
        raise UsageError(f"the copy's name should end in .toml, found {to}")
    write_new_file(to, content)
    show_path(to)


@app.command()
def doctor(json: Json = False) -> None:
    """Print versions, onnxruntime providers, threads and what is missing, with how to get it."""
    from robustmm.catalogue.machine import inspect_machine
    from robustmm.report import facts

    result = inspect_machine()
    if json:
        show_json(result)
    else:
        out.print(facts.render_machine(result))
