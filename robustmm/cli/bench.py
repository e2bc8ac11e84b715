"""`robustmm bench`: methods x seeds, compared."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from robustmm.cli import app
from robustmm.cli.options import CacheSize, Inside, Json, On, OnBadInput, Readers, Storage, show_json
from robustmm.report.live.console import note, out
from robustmm.system import MOST_PROCESSES, count_cores
from robustmm.training.overrides import apply_overrides

if TYPE_CHECKING:
    from robustmm.bench.worker import BenchSpec
    from robustmm.config.recipe import Recipe
    from robustmm.results import Search
    from robustmm.workers.ray_cluster import RayCluster


@app.command()
def bench(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or .toml file.")] = "digits",
    methods: Annotated[
        str, typer.Option("--methods", help="Methods and chains, by commas.")
    ] = "joint,joint+unimodal,dropout,cal,mce",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many: seeds 0, 1, 2, ...")] = 3,
    suite: Annotated[
        str | None, typer.Option("--suite", help="Conditions to test under: a suite's name or file.")
    ] = None,
    missing: Annotated[
        list[str] | None,
        typer.Option("--missing", help="MODALITY=RATE: that share of training samples lacks it (a table a seed)."),
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Manifest instead of the recipe's.")] = None,
    inside: Inside = False,
    tune: Annotated[
        bool,
        typer.Option("--tune", help="First choose optimiser, rate and options of every method on valid, by --select."),
    ] = False,
    select: Annotated[
        Literal["clean", "mean-over-subsets", "worst-subset"] | None,
        typer.Option("--select", help="What epochs, and settings, are chosen by, on valid (default: clean accuracy)."),
    ] = None,
    margin: Annotated[
        float,
        typer.Option("--margin", min=0.0001, max=1, help="Accuracy up to which methods are equivalent: 0.01, 1 point."),
    ] = 0.01,
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", help="Method that the others are compared with (default: joint, or the first)."),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE for any key of the recipe: train.epochs=10.")
    ] = None,
    folder: Annotated[Path | None, typer.Option("--out", help="Folder of the bench (default: bench/RECIPE).")] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, max=MOST_PROCESSES, help="Trainings at once (default: 2, or 1 with a GPU)."),
    ] = None,
    on: On = None,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            min=1,
            max=MOST_PROCESSES,
            help="Threads of a training (default: a few steps are measured).",
        ),
    ] = None,
    table_csv: Annotated[Path | None, typer.Option("--csv", help="Also write every number here.")] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Also write the table here.")] = None,
    latex: Annotated[Path | None, typer.Option("--latex", help="Also write the table here.")] = None,
    on_bad_input: OnBadInput = "error",
    storage: Storage = "auto",
    cache_size: CacheSize = None,
    readers: Readers = None,
    json: Json = False,
) -> None:
    """Compare methods over seeds: test accuracy clean, under a suite and from every subset of modalities.

    What is done is kept in --out: the same command continues, and more methods or seeds add to it. With --tune methods
    are compared at settings chosen on valid, the same way for each, and never with a seed that is reported.
    """
    from robustmm.api.training import check_torch, storage_options

    check_torch()
    import warnings
    from functools import partial

    import torch

    from robustmm.bench.bench import run_bench
    from robustmm.bench.cell import environment
    from robustmm.bench.on_ray import check_machine
    from robustmm.bench.planning import plan_cells
    from robustmm.bench.threads import record_threads, settle_threads
    from robustmm.bench.worker import BenchSpec
    from robustmm.conditions import suite as suites
    from robustmm.config import shelf
    from robustmm.data.inside import manifest_folder
    from robustmm.data.manifest import read_manifest
    from robustmm.errors import UnwritableError, UsageError
    from robustmm.files import check_place, hash_file, write_file
    from robustmm.metrics.paired import compare_methods
    from robustmm.report.bench import files as formats
    from robustmm.report.bench.screen import render_bench
    from robustmm.report.live.bench import BenchProgress, show_plan
    from robustmm.workers.ray_cluster import RayCluster, check_address

    if on is not None:
        check_address(on)
    names = [name.strip() for name in methods.split(",") if name.strip()]
    if not names:
        raise UsageError("--methods should name at least one method, found none")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"--methods names {', '.join(twice)} twice")
    for setting in settings or []:
        for key, option in (("train.seed", "--seeds"), ("method.name", "--methods")):
            if setting.partition("=")[0].strip() == key:
                raise UsageError(f"--set {key} has no say here: a bench has {option}")
    files = [(table_csv, formats.format_csv), (markdown, formats.format_markdown), (latex, formats.format_latex)]
    for file, _ in files:
        if file is not None:
            check_place(file)
    base = baseline or ("joint" if "joint" in names else names[0])
    if base not in names:
        names.insert(0, base)
        note(f"{base} is trained as well: it is the baseline")
    over = [*(settings or [])]
    over += [f"train.select={select}"] if select is not None else []
    over += [f"train.threads={threads}"] if threads is not None else []
    loaded, path, manifest = apply_overrides(recipe, over, data, missing or [])
    conditions = suites.load_suite(shelf.find_file("attacks", suite)).conditions(loaded.modalities) if suite else []
    conditions = [c for c in conditions if not c.is_clean]  # clean is always there
    asked, workers = workers, workers or (1 if torch.cuda.is_available() else min(2, count_cores()))
    place = folder or Path("bench") / loaded.name
    held = storage_options(storage, cache_size, readers).model_dump()
    shared = BenchSpec(manifest, tuple(conditions), on_bad_input, manifest_folder(manifest) if inside else None, held)
    settled = settle_threads(loaded, shared, place, workers)
    given, loaded = loaded, loaded.with_train(threads=settled.count)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cells = plan_cells(loaded, names, range(seeds), shared)
    for warning in caught:
        note(str(warning.message))
    record_threads(given, place, settled)
    at_once = f"on {on}" if on else f"{workers} at once"
    note(f"bench {loaded.name} ({path}) on {manifest}: {len(cells)} trainings in {place}, {at_once}")
    note(str(settled))
    cluster = None
    if on is not None:
        check = partial(check_machine, environment(), manifest, hash_file(manifest))
        gpus = int(torch.cuda.is_available())
        cluster = RayCluster(on, asked, settled.count, gpus, check, note)
    search = search_settings(loaded, names, shared, place, workers, cluster) if tune else None
    if search is not None:
        cells = plan_cells(loaded, names, range(seeds), shared, search.chosen)
    show_plan({cell.method: cell.recipe for cell in cells}, len(read_manifest(manifest, shared.inside).split("train")))
    with BenchProgress(len(cells)).show_live() as board:
        results = run_bench(
            cells, shared, place, workers=workers, watcher=board, baseline=base, margin=margin, tuned=tune,
            cluster=cluster,
        )  # fmt: skip
    result = compare_methods(
        results, names, base, margin=margin, search=search, recipe=loaded.name, manifest=str(manifest)
    )
    for file, text in files:
        if file is not None:
            try:
                write_file(file, text(result).encode(errors="replace"))
            except UnwritableError as error:
                kept = f"the trainings are kept in {place}, the same command writes it"
                raise UnwritableError(error.told, error.reason, kept) from error
            note(f"written: {file}")
    if json:
        show_json(result)
    else:
        out.print(render_bench(result, out.width))


def search_settings(
    recipe: "Recipe", methods: list[str], setting: "BenchSpec", place: Path, workers: int, cluster: "RayCluster | None"
) -> "Search":
    """Says what is tried, and tries it."""
    from robustmm.bench.tuning import count_trials, list_settings, tune_methods
    from robustmm.report.live.bench import BenchProgress, show_grids

    grids = {method: list_settings(recipe, method) for method in methods}
    trials = {method: count_trials(len(grid), recipe.train.epochs) for method, grid in grids.items()}
    show_grids(grids, trials, recipe.train.select, recipe.train.epochs)
    with BenchProgress(sum(trials.values())).show_live() as board:
        return tune_methods(recipe, grids, setting, place, workers=workers, watcher=board, cluster=cluster)
