"""`robustmm data`: look at a manifest, draft its recipe, make one of a folder or a benchmark."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from robustmm.cli import app
from robustmm.cli.options import Inside, Json, Seed, show_json
from robustmm.report.live.console import ConsoleReporter, note, out, show_path, show_text

data = typer.Typer(
    help="Look at data: check a manifest, draft its recipe, make one of a folder or a benchmark.", no_args_is_help=True
)
app.add_typer(data, name="data")

Features = Annotated[
    list[str] | None,
    typer.Option("--features", help="[NAME=]COLUMN,...: columns of numbers that are one input; may be repeated."),
]
ManifestPath = Annotated[Path, typer.Argument(help="A .csv, .jsonl or .parquet table, or a folder with one.")]


@data.command()
def check(
    manifest: ManifestPath,
    recipe: Annotated[
        str | None, typer.Option("--recipe", help="Read cells as this recipe does (default: guessed from the files).")
    ] = None,
    features: Features = None,
    inside: Inside = False,
    json: Json = False,
) -> None:
    """Read every cell, and name each fault: its rows, and what it means for a training and for an audit.

    Ends with exit code 3 only for cells that cannot be read.
    """
    from robustmm.config import recipe as recipes
    from robustmm.config import shelf
    from robustmm.data import check as work
    from robustmm.data.draft import guess_modalities
    from robustmm.data.inside import manifest_folder
    from robustmm.data.manifest import read_manifest
    from robustmm.errors import DataError, UsageError
    from robustmm.evaluation import source
    from robustmm.report import facts

    path = source.resolve_option(manifest)
    table = read_manifest(path, manifest_folder(path) if inside else None)
    if recipe and features:
        raise UsageError("--features is for manifests without a recipe; write the columns into the recipe's own table")
    modalities = (
        recipes.load_recipe(shelf.find_file("models", recipe)).modalities
        if recipe
        else guess_modalities(table, features or ())
    )
    with ConsoleReporter().stage("reading", len(table)) as advance:
        result = work.check_manifest(table, modalities, advance)
    if json:
        show_json(result)
    else:
        out.print(facts.render_manifest(result))
    if bad := result.unusable():
        raise DataError(f"{bad} of the manifest's cells cannot be read (listed above)")


@data.command()
def recipe(manifest: ManifestPath, features: Features = None, inside: Inside = False) -> None:
    """Print a first recipe for a manifest: modalities, kinds and sizes guessed from its files."""
    from robustmm.config.toml import to_toml
    from robustmm.data import draft
    from robustmm.data.inside import manifest_folder
    from robustmm.data.manifest import read_manifest
    from robustmm.evaluation import source

    path = source.resolve_option(manifest)
    table = read_manifest(path, manifest_folder(path) if inside else None)
    modalities = draft.guess_modalities(table, features or ())
    show_text(to_toml(draft.draft_recipe(modalities, str(table.path.resolve()))))
    for column, sentence in draft.describe_unread_columns(table, modalities).items():
        note(f"left out: {column}, {sentence}")
    for modality in modalities:
        for sentence in draft.describe_csv_files(table, modality).values():
            note(f"{modality.name}: {sentence}")
    if numbers := draft.numeric_columns(table, modalities):
        note(f"left out as metadata: {', '.join(numbers)}; to learn from these numbers: --features {','.join(numbers)}")


@data.command()
def manifest(
    folder: Annotated[Path, typer.Argument(help="A folder of class folders, or one with metadata.csv or .jsonl.")],
    out_file: Annotated[Path, typer.Option("-o", "--out", help="The new .csv file; never overwritten.")],
    split: Annotated[
        str,
        typer.Option("--split", help="Shares such as train=0.8,test=0.2, of a folder without splits or of its train."),
    ] = "",
    label: Annotated[str, typer.Option("--label", help="The classes' column in metadata.csv.")] = "label",
    seed: Seed = 0,
) -> None:
    """Write a manifest of a folder of files: a row per sample, files of one name and several kinds in one row."""
    from robustmm.data import folder as work
    from robustmm.data.shares import assign_splits, parse_shares
    from robustmm.errors import UsageError
    from robustmm.files import write_new_file

    shares = parse_shares(split) if split else {}
    if out_file.suffix != ".csv":
        raise UsageError(f"the manifest's name should end in .csv, found {out_file}")
    contents = work.read_folder(folder, label)
    samples, how = assign_splits(contents.samples, shares, seed)
    write_new_file(out_file, work.format_manifest(samples, out_file.parent))
    show_path(out_file)
    for sentence in (*work.describe_contents(contents), how):
        note(sentence)
    note(f"look at it with: robustmm data check {out_file}")


@data.command()
def prepare(
    name: Annotated[str, typer.Argument(help="The benchmark; data benchmarks lists them.")],
    raw: Annotated[Path, typer.Argument(help="The folder of its raw files, as they are distributed.")],
    out_folder: Annotated[Path, typer.Argument(metavar="OUT", help="A new or empty folder, or one to go on in.")],
    split: Annotated[
        list[str] | None,
        typer.Option("--split", help="FILE with the columns id and split, or SPLIT=FILE with one's ids; repeatable."),
    ] = None,
    shares: Annotated[
        str, typer.Option("--shares", help="Shares such as train=0.9,valid=0.1: of train, or of all where none splits.")
    ] = "",
    on_missing: Annotated[
        Literal["error", "drop", "missing"],
        typer.Option("--on-missing", help="A file that is missing or damaged: an error, no row, or a missing input."),
    ] = "error",
    seed: Seed = 0,
) -> None:
    """Prepare a benchmark: from its raw files to a manifest with the official split.

    Benchmarks: ave, casia-surf, cremad, food101, iemocap, iemocap-4, kinetics-sounds, mvsa-single, nyud2, ucf51.
    Interrupted, the same command goes on. Videos become frames; files that can be read where they are stay in RAW.
    """
    from robustmm.data.preparing.prepare import Options, prepare_benchmark
    from robustmm.data.preparing.sharing import read_shares

    options = Options(tuple(split or ()), read_shares(shares), seed, on_missing)
    prepared = prepare_benchmark(name, raw, out_folder, options, ConsoleReporter())
    show_path(prepared.path)
    for sentence in prepared.notes:
        note(sentence)
    note(f"look at it with: robustmm data check {out_folder}")


@data.command()
def benchmarks() -> None:
    """List the benchmarks that data prepare knows: inputs, split, where their files come from."""
    from robustmm.data.benchmarks import BENCHMARKS
    from robustmm.report.catalogue import render_benchmarks

    out.print(render_benchmarks({name: BENCHMARKS[name] for name in BENCHMARKS}))


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
    from robustmm.data.manifest import read_manifest
    from robustmm.errors import UsageError
    from robustmm.evaluation import source
    from robustmm.files import write_new_file
    from robustmm.modalities.base import TABLE_COLUMNS

    rows = read_manifest(source.resolve_option(manifest)).split(split)
    rates = patterns.parse_rates(rate, [name for name in rows.columns if name not in TABLE_COLUMNS])
    if out_file.suffix != ".csv":
        raise UsageError(f"the table's name should end in .csv, found {out_file}")
    table = patterns.draw_presence_table(rows.ids, list(rates), rates, seed, burst)
    write_new_file(out_file, patterns.format_presence_table(rows.ids, list(rates), table))
    show_path(out_file)
    note(f"attack with it: robustmm attack --missing {out_file}")
