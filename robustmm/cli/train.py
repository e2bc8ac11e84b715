"""`robustmm train`: a recipe to a run folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robustmm.cli import app
from robustmm.cli.options import Json, OnBadInput, Runs, needs_torch, show_json
from robustmm.report.console import FOLLOWS
from robustmm.training.overrides import laid

if TYPE_CHECKING:
    from robustmm.report.live import Live
    from robustmm.runs import Run


@app.command()
def train(
    recipe: Annotated[
        str, typer.Argument(help="A recipe's name or .toml file; with --resume, a run folder (default: the newest).")
    ] = "",
    data: Annotated[Path | None, typer.Option("--data", help="Manifest to train on instead of the recipe's.")] = None,
    method: Annotated[str | None, typer.Option("--method", help="Training method, or a chain such as cal+mce.")] = None,
    missing: Annotated[
        list[str] | None,
        typer.Option("--missing", help="MODALITY=RATE: that share of training samples lacks it (a fixed table)."),
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Epochs to train at most.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of weights, order, noise and tables.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE for any key of the recipe: train.batch=32.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    on_bad_input: OnBadInput = "error",
    json: Json = False,
    runs: Runs = Path("runs"),
) -> None:
    """Train a recipe (default: digits) and keep the best epoch by valid accuracy."""
    needs_torch()
    from robustmm.errors import UsageError
    from robustmm.report.live import Live
    from robustmm.runs import Run, newest
    from robustmm.training import run as work

    if resume:
        given = {"--data": data, "--method": method, "--missing": missing, "--epochs": epochs, "--seed": seed,
                 "--set": settings, "--on-bad-input": None if on_bad_input == "error" else on_bad_input}  # fmt: skip
        for option, value in given.items():
            if value is not None:
                raise UsageError(f"--resume continues a run as it was started, without {option}")
        run = Run(Path(recipe)) if recipe else newest(runs, finished=False)
        if run.finished:
            raise UsageError(f"{run.folder} has finished; train anew with: robustmm train")
        with Live(f"resuming {run.folder}") as live:
            told(work.resume(run, live), live, json)
        return
    over = [*(settings or [])]
    over += [f"method.name={method}"] if method is not None else []
    over += [f"train.epochs={epochs}"] if epochs is not None else []
    over += [f"train.seed={seed}"] if seed is not None else []
    loaded, path, manifest = laid(recipe or "digits", over, data, missing or [])
    with Live(f"training {loaded.name} ({path}) with {loaded.method_name} on {manifest}") as live:
        told(work.train(loaded, manifest, runs, live, on_bad_input), live, json)


def told(run: "Run", live: "Live", json: bool) -> None:
    """The run's result, to people or to machines."""
    if FOLLOWS:
        return
    if json:
        from robustmm.training.run import result

        show_json(result(run))
    else:
        live.finish(run)
