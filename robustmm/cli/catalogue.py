"""`robustmm list`, `show` and `copy`: what there is by name, what it says, and a copy to change."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from robustmm.cli import app
from robustmm.report.console import out

What = Literal["recipes", "suites", "methods", "fusions", "encoders", "corruptions"]


@app.command("list")
def list_(
    what: Annotated[What | None, typer.Argument(help="One sort only (default: all).")] = None,
    on: Annotated[str, typer.Option("--on", help="Corruptions of this kind only: image, audio, ...")] = "",
) -> None:
    """List what can be named: recipes, suites, corruptions with their physical levels; methods, fusions, encoders."""
    from robustmm.errors import UsageError
    from robustmm.report import catalogue

    if on and what != "corruptions":
        raise UsageError(f"--on goes with corruptions: robustmm list corruptions --on {on}")
    for sort in [what] if what else What.__args__:  # type: ignore[attr-defined]
        out.print(catalogue.corruption_table(on) if on else catalogue.listed(sort, alone=what is not None))


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A recipe, suite, corruption or method, or a .toml file.")],
    model: Annotated[
        Path | None, typer.Option("--model", help="Tell what a suite costs on this exported file.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Manifest (default: what the model was trained on).")
    ] = None,
    split: Annotated[str, typer.Option("--split", help="The manifest's split.")] = "test",
) -> None:
    """Print a recipe or suite, a corruption's levels and source, or a method's equations and options."""
    from robustmm.report import catalogue

    if model is None:
        out.print(catalogue.shown(name))
        return
    from robustmm.conditions.suite import load
    from robustmm.config.shelf import find
    from robustmm.data.manifest import read
    from robustmm.evaluation import source
    from robustmm.evaluation.cost import cost
    from robustmm.runtime.session import Session

    path = find("attacks", name)
    suite, session = load(path), Session(model)
    rows = read(source.of_model(session, data)).split(split)
    price = cost(session, rows, suite.conditions(session.modalities))
    out.print(catalogue.suite(path, suite, f"{model} ({', '.join(session.names)})", price))


@app.command()
def copy(
    name: Annotated[str, typer.Argument(help="A recipe or suite.")],
    to: Annotated[Path, typer.Argument(help="The new .toml file; never overwritten.")],
) -> None:
    """Copy a recipe or suite, to change it."""
    from robustmm.config.shelf import find_any, text
    from robustmm.errors import UsageError

    content = text(find_any(name))
    if to.suffix != ".toml":
        raise UsageError(f"the copy's name should end in .toml, found {to}")
    try:
        with to.open("x", encoding="utf-8") as file:
            file.write(content)
    except FileExistsError as error:
        raise UsageError(f"{to} exists already and is left as it is") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"the copy cannot be written ({error})") from error
    out.print(str(to), markup=False, soft_wrap=True)
