"""`robustmm attack`: an exported file, clean and under one condition."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from robustmm.cli import app
from robustmm.cli.options import (
    Data,
    Describe,
    Expect,
    ExpectAccuracy,
    Inside,
    Json,
    Limit,
    ModelFile,
    OnBadInput,
    Provider,
    Runs,
    Seed,
    show_json,
)
from robustmm.report.live.console import ConsoleReporter, out, show_path


@app.command()
def attack(
    model: ModelFile = None,
    data: Data = None,
    inside: Inside = False,
    describe: Describe = None,
    noise: Annotated[
        list[str] | None, typer.Option("--noise", help="A corruption; may be repeated. See: robustmm list corruptions.")
    ] = None,
    level: Annotated[
        list[float] | None, typer.Option("--level", help="Its level in [0, 1]; one for all, or one for each --noise.")
    ] = None,
    on: Annotated[list[str] | None, typer.Option("--on", help="Corrupt only this modality; may be repeated.")] = None,
    missing: Annotated[
        list[str] | None,
        typer.Option(
            "--missing", help="MODALITY=RATE: that share of samples lacks it; or a table.csv (robustmm data missing)."
        ),
    ] = None,
    fill: Annotated[
        Literal["masked", "zero", "stale"],
        typer.Option(
            "--fill", help="Fill of a missing input: masked (by the presence mask), zero, or stale (the last value)."
        ),
    ] = "masked",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="NOISE.OPTION=VALUE: an option of a corruption; may be repeated.")
    ] = None,
    preview: Annotated[
        Path | None,
        typer.Option("--preview", help="Draw samples at five levels into this .png or .html, and do not attack."),
    ] = None,
    split: Annotated[str, typer.Option("--split", help="The manifest's split to attack.")] = "test",
    limit: Limit = None,
    seed: Seed = 0,
    provider: Provider = "cpu",
    on_bad_input: OnBadInput = "error",
    expect: Expect = None,
    expect_accuracy: ExpectAccuracy = None,
    json: Json = False,
    runs: Runs = Path("runs"),
) -> None:
    """Attack a model: accuracy, calibration and each modality's contribution, clean and under one condition."""
    from robustmm.api.evaluation import attack as run_attack
    from robustmm.api.evaluation import plan_attack
    from robustmm.report import tables
    from robustmm.report.sheets import sheet

    chosen: dict[str, Any] = {
        "noise": noise or [], "on": on or [], "missing": missing, "fill": fill, "set": settings, "data": data,
        "inside": inside, "describe": describe, "split": split, "limit": limit, "provider": provider, "runs": runs,
    }  # fmt: skip
    if preview:
        levels = level or ([1.0] if noise else [])
        planned = plan_attack(model, level=levels, tell=ConsoleReporter(), **chosen)
        sheet.write_sheet(preview, planned.condition, planned.session.modalities, planned.rows, seed, on_bad_input)
        show_path(preview)
        return
    result = run_attack(
        model, level=level or [], seed=seed, on_bad_input=on_bad_input, expect=expect, expect_accuracy=expect_accuracy,
        progress=True, **chosen,
    )  # fmt: skip
    if json:
        show_json(result)
    else:
        out.print(tables.render_attack(result))
