"""`robustmm bench`: methods x seeds, compared."""

from collections.abc import Iterator
from contextlib import contextmanager
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robustmm.cli import app
from robustmm.cli.console import Json, OnBadInput, needs_torch, note, notes, out, show_json

if TYPE_CHECKING:
    from robustmm.bench import Cell


@app.command()
def bench(
    recipe: Annotated[str, typer.Argument(help="A recipe's name or .toml file.")] = "digits",
    methods: Annotated[
        str, typer.Option("--methods", help="Methods and chains, by commas.")
    ] = "joint,joint+unimodal,dropout,cal,mce",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Seeds 0 .. N-1.")] = 3,
    suite: Annotated[
        str | None, typer.Option("--suite", help="Conditions to test under: a suite's name or file.")
    ] = None,
    missing: Annotated[
        list[str] | None,
        typer.Option("--missing", help="MODALITY=RATE: that share of training samples lacks it (a fixed table)."),
    ] = None,
    data: Annotated[Path | None, typer.Option("--data", help="Manifest instead of the recipe's.")] = None,
    baseline: Annotated[
        str | None, typer.Option("--baseline", help="The method others are held against (default: the first).")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE for any key of the recipe: train.epochs=10.")
    ] = None,
    folder: Annotated[Path | None, typer.Option("--out", help="Folder of the bench (default: bench/RECIPE).")] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Trainings at once (default: 2, or 1 with a GPU).")
    ] = None,
    table_csv: Annotated[Path | None, typer.Option("--csv", help="Also write every number here.")] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Also write the table here.")] = None,
    latex: Annotated[Path | None, typer.Option("--latex", help="Also write the table here.")] = None,
    on_bad_input: OnBadInput = "error",
    json: Json = False,
) -> None:
    """Compare methods over seeds: test accuracy clean, under a suite and from every subset of modalities."""
    needs_torch()
    import os

    import torch

    from robustmm import __version__, runs, shelf, source
    from robustmm import bench as work
    from robustmm import missing as rates
    from robustmm import recipe as recipes
    from robustmm import suite as suites
    from robustmm.comparison import compared
    from robustmm.errors import UsageError, known
    from robustmm.report import bench as report

    names = [name.strip() for name in methods.split(",") if name.strip()]
    if not names:
        raise UsageError("--methods should name at least one method, found none")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"--methods names {', '.join(twice)} twice")
    base = baseline or names[0]
    if base not in names:
        raise UsageError(f'--baseline "{base}" is not among the methods{known(base, names)}')
    path = shelf.find("models", recipe)
    laid = [*(settings or [])]
    if data is not None:
        named = str(data) if str(data) == source.EMBEDDED else str(data.absolute())
        laid += [f"data.manifest={dumps(named, ensure_ascii=False)}"]
    loaded = recipes.load(path, laid)
    if missing:
        drawn = {f"data.missing.{m}={r}" for m, r in rates.rates(missing, list(loaded.modality)).items()}
        loaded = recipes.load(path, [*laid, *sorted(drawn)])
    manifest = source.of_recipe(loaded, path, data)
    conditions = suites.load(shelf.find("attacks", suite)).conditions(list(loaded.modality)) if suite else []
    conditions = [c for c in conditions if c.noises or any(c.missing.values())]  # clean is always there
    place = folder or Path("bench") / loaded.name
    cores = os.cpu_count() or 1
    workers = workers or (1 if torch.cuda.is_available() else min(2, cores))
    threads = max(1, cores // workers)
    cells = work.plan(loaded, manifest, names, range(seeds), conditions, threads)
    note(f"bench {loaded.name} ({path}) on {manifest}: {len(cells)} trainings in {place}, {workers} at once")
    with Board(len(cells)).live() as board:
        results = work.bench(
            cells, manifest, place, conditions,
            workers=workers, threads=threads, on_bad=on_bad_input, watcher=board,
        )  # fmt: skip
    result = compared(results, names, base, robustmm=__version__, recipe=loaded.name, manifest=str(manifest))
    for file, text in ((table_csv, report.table_csv), (markdown, report.markdown), (latex, report.latex)):
        if file is not None:
            runs.write(file, text(result).encode())
            note(f"written: {file}")
    if json:
        show_json(result)
    else:
        out.print(report.bench(result, out.width))


class Board:
    """One line for the whole bench and one for each running training; a line an event where there is no screen."""

    def __init__(self, total: int) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self.bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("eta"), TimeRemainingColumn(), console=notes, transient=True,
        )  # fmt: skip
        self.whole = self.bar.add_task("trainings", total=total)
        self.tasks: dict[str, Any] = {}

    @contextmanager
    def live(self) -> Iterator["Board"]:
        if notes.is_terminal:
            with self.bar:
                yield self
        else:
            yield self

    def event(self, cell: "Cell", what: str, value: Any) -> None:
        name = f"{cell.method}, seed {cell.seed}"
        if what in ("kept", "ended"):
            if task := self.tasks.pop(cell.key, None):
                self.bar.remove_task(task)
            self.bar.advance(self.whole)
            if not notes.is_terminal:
                note(f"{name}: {'done before' if what == 'kept' else 'done' if value else 'failed'}")
        elif what == "started":
            self.tasks[cell.key] = self.bar.add_task(name, total=None)
        elif what == "begin":
            title, epochs, done = value
            self.bar.update(self.tasks[cell.key], description=f"{name}: {title}", total=epochs, completed=done)
        elif what == "epoch":
            epoch, accuracy = value
            self.bar.update(self.tasks[cell.key], completed=epoch)
            self.bar.update(self.tasks[cell.key], description=f"{name}: valid {accuracy:.1%}")
