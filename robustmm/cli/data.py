"""`robustmm data`: look at a manifest, draft a recipe for it, write the embedded data set."""

from pathlib import Path
from typing import Annotated

import typer

from robustmm.cli import app
from robustmm.cli.options import Json, Seed, show_json
from robustmm.report.live.console import ConsoleReporter, note, out, show_path

data = typer.Typer(
    help="Look at data: check a manifest, draft its recipe, write the embedded data set.", no_args_is_help=True
)
app.add_typer(data, name="data")

ManifestPath = Annotated[Path, typer.Argument(help="A .csv, .jsonl or .parquet table, or a folder with one.")]


@data.command()
def check(
    manifest: ManifestPath,
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="Read cells as this recipe does (default: guessed from the files).")
    ] = None,
    json: Json = False,
) -> None:
    """Read every cell: splits, classes, missing rates, sizes, duplicates across splits, and each bad file."""
    from robustmm.config import recipe as recipes
    from robustmm.config import shelf
    from robustmm.data import check as work
    from robustmm.data.manifest import read_manifest
    from robustmm.evaluation import source
    from robustmm.report import facts

    table = read_manifest(source.resolve_option(manifest))
    modalities = recipes.load_recipe(shelf.find_file("models", recipe)).modalities if recipe else None
    with ConsoleReporter().stage("reading", len(table)) as advance:
        result = work.check_manifest(table, modalities, advance)
    if json:
        show_json(result)
    else:
        out.print(facts.render_manifest(result))
    if result.bad:
        from robustmm.errors import DataError

        raise DataError(f"{len(result.bad)} of the manifest's cells cannot be read (listed above)")


@data.command()
def recipe(manifest: ManifestPath) -> None:
    """Print a first recipe for a manifest: modalities, kinds and sizes guessed from its files."""
    from robustmm.config.toml import to_toml
    from robustmm.data.draft import draft_recipe as draft
    from robustmm.data.draft import guess_modalities
    from robustmm.data.manifest import read_manifest
    from robustmm.evaluation import source

    table = read_manifest(source.resolve_option(manifest))
    print(to_toml(draft(guess_modalities(table), str(table.path.resolve()))), end="")


@data.command()
def demo(directory: Annotated[Path, typer.Argument(help="A new or empty folder.")]) -> None:
    """Write the embedded data set, digits seen and spoken, as real files with a manifest."""
    from robustmm.data import digits

    path = digits.write(directory)
    show_path(path)
    note(f"look at it with: robustmm data check {directory}")


@data.command()
def missing(
    manifest: ManifestPath,
    rate: Annotated[list[str], typer.Option("--rate", help="COLUMN=RATE; may be repeated, one for each modality.")],
    out_file: Annotated[Path, typer.Option("--out", help="The new .csv file; never overwritten.")],
    split: Annotated[str, typer.Option("--split", help="The manifest's split.")] = "test",
    burst: Annotated[int, typer.Option("--burst", min=1, help="Neighbouring rows that go missing together.")] = 1,
    seed: Seed = 0,
) -> None:
    """Write a table of missing inputs, 0 where one is lost: a protocol that others can repeat exactly."""
    from robustmm.conditions import missing as patterns
    from robustmm.data.manifest import REQUIRED, read_manifest
    from robustmm.errors import UsageError
    from robustmm.evaluation import source

    rows = read_manifest(source.resolve_option(manifest)).split(split)
    rates = patterns.parse_rates(rate, [name for name in rows.columns if name not in REQUIRED])
    if out_file.suffix != ".csv":
        raise UsageError(f"the table's name should end in .csv, found {out_file}")
    table = patterns.draw_presence_table(rows.ids, list(rates), rates, seed, burst)
    try:
        with out_file.open("x", encoding="utf-8") as file:
            file.write(patterns.format_presence_table(rows.ids, list(rates), table))
    except FileExistsError as error:
        raise UsageError(f"{out_file} exists already and is left as it is") from error
    except OSError as error:
        raise UsageError(f"{out_file} cannot be written ({error.strerror})") from error
    show_path(out_file)
    note(f"attack with it: robustmm attack --missing {out_file}")
