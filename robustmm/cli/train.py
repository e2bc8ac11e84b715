"""`robustmm train`: a recipe to a run folder."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from robustmm.cli import app
from robustmm.cli.options import CacheSize, Inside, Json, OnBadInput, Readers, Runs, Storage, show_json
from robustmm.report.live.console import IS_SECONDARY_RANK, out
from robustmm.system import MOST_PROCESSES


@app.command()
def train(
    recipe: Annotated[
        str, typer.Argument(help="A recipe's name or .toml file; with --resume, a run folder (default: the newest).")
    ] = "",
    data: Annotated[Path | None, typer.Option("--data", help="Manifest to train on instead of the recipe's.")] = None,
    inside: Inside = False,
    method: Annotated[str | None, typer.Option("--method", help="Training method, or a chain such as cal+mce.")] = None,
    missing: Annotated[
        list[str] | None,
        typer.Option("--missing", help="MODALITY=RATE: that share of training samples lacks it (a fixed table)."),
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Epochs to train at most.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of weights, order, noise and tables.")] = None,
    select: Annotated[
        Literal["clean", "mean-over-subsets", "worst-subset"] | None,
        typer.Option("--select", help="What the kept epoch is chosen by, on valid (default: clean accuracy)."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, max=MOST_PROCESSES, help="CPU threads (default: a few steps are measured)."),
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE for any key of the recipe: train.batch=32.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    on_bad_input: OnBadInput = "error",
    storage: Storage = "auto",
    cache_size: CacheSize = None,
    readers: Readers = None,
    json: Json = False,
    runs: Runs = Path("runs"),
) -> None:
    """Train a recipe (default: digits) and keep the best epoch on valid."""
    from robustmm.api.training import check_torch
    from robustmm.api.training import resume as run_resume
    from robustmm.api.training import train as run_train
    from robustmm.errors import UsageError
    from robustmm.report.live.training import render_run

    check_torch()
    if resume:
        given = {"--data": data, "--inside": inside or None, "--method": method, "--missing": missing,
                 "--epochs": epochs, "--seed": seed, "--select": select, "--threads": threads, "--set": settings,
                 "--on-bad-input": None if on_bad_input == "error" else on_bad_input,
                 "--storage": None if storage == "auto" else storage, "--cache-size": cache_size,
                 "--readers": readers}  # fmt: skip
        for option, value in given.items():
            if value is not None:
                raise UsageError(f"--resume continues a run as it was started, without {option}")
        run = run_resume(recipe or None, runs=runs, progress=True)
    else:
        run = run_train(
            recipe or "digits", data=data, inside=inside, method=method, missing=missing, epochs=epochs,
            seed=seed, select=select, threads=threads, set=settings, on_bad_input=on_bad_input, runs=runs,
            storage=storage, cache_size=cache_size, readers=readers, progress=True,
        )  # fmt: skip
    if IS_SECONDARY_RANK:  # its copy of the run is gone, the first rank shows the result
        return
    if json:
        show_json(run.result())
    else:
        out.print(render_run(run), soft_wrap=True)
