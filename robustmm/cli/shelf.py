"""`robustmm list`, `show` and `copy`: what there is by name, what it says, and a copy to change."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from robustmm.cli import app
from robustmm.cli.console import out

What = Literal["recipes", "suites", "methods", "fusions", "encoders", "corruptions"]


@app.command("list")
def list_(what: Annotated[What | None, typer.Argument(help="One sort only (default: all).")] = None) -> None:
    """List what can be named: recipes, suites, corruptions with their physical levels; methods, fusions, encoders."""
    from robustmm.report import catalogue

    for sort in [what] if what else What.__args__:  # type: ignore[attr-defined]
        out.print(catalogue.listed(sort, alone=what is not None))


@app.command()
def show(name: Annotated[str, typer.Argument(help="A recipe, suite, corruption or method, or a .toml file.")]) -> None:
    """Print a recipe or suite, a corruption's levels and source, or a method's equations and options."""
    from robustmm.report import catalogue

    out.print(catalogue.shown(name))


@app.command()
def copy(
    name: Annotated[str, typer.Argument(help="A recipe or suite.")],
    to: Annotated[Path, typer.Argument(help="The new .toml file; never overwritten.")],
) -> None:
    """Copy a recipe or suite, to change it."""
    from robustmm.errors import UsageError
    from robustmm.shelf import find_any, text

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
