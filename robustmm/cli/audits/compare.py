"""`robustmm compare`: is a model certainly not worse than another?"""

from pathlib import Path
from typing import Annotated

import typer

from robustmm.cli import app
from robustmm.cli.options import (
    CLUSTER,
    Data,
    Describe,
    Inside,
    Json,
    Limit,
    OnBadInput,
    Provider,
    Runs,
    Threads,
    Workers,
    end_by_verdict,
    show_json,
)
from robustmm.report.live.console import out


@app.command()
def compare(
    audits: Annotated[
        list[Path],
        typer.Argument(
            help="The reference, then candidates: folders of finished audits, or .onnx files.", show_default=False
        ),
    ],
    margin: Annotated[
        float, typer.Option("--margin", min=0, max=1, help="Accuracy that a candidate may lose: 0.02, 2 points.")
    ] = 0.02,
    allow_inconclusive: Annotated[
        bool,
        typer.Option("--allow-inconclusive", help="Exit code 0 where conditions are undecided and none is worse."),
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="Every condition, not only those that decide.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write the comparison as one page to this file.")
    ] = None,
    data: Data = None,
    inside: Inside = False,
    describe: Describe = None,
    suite: Annotated[
        str | None,
        typer.Option("--suite", help="Suite for models that are audited (default: the finished audit's, deployment)."),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="The manifest's split (default: the finished audit's, test).")
    ] = None,
    limit: Limit = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="Seed of every random draw (default: the finished audit's, 0)."),
    ] = None,
    cluster: Annotated[str | None, CLUSTER] = None,
    workers: Workers = None,
    provider: Provider = "cpu",
    threads: Threads = 1,
    on_bad_input: OnBadInput = "error",
    json: Json = False,
    runs: Runs = Path("runs"),
) -> None:
    """Compare audits of the same samples, or models: is a candidate certainly not worse than the first?"""
    from robustmm.api.comparing import compare as run_compare
    from robustmm.report.comparison.screen import render_comparison

    result = run_compare(
        *audits, margin=margin, html=html, data=data, inside=inside, describe=describe, suite=suite, split=split,
        limit=limit, seed=seed, cluster=cluster, workers=workers, provider=provider, threads=threads,
        on_bad_input=on_bad_input, runs=runs, progress=True,
    )  # fmt: skip
    if json:
        show_json(result)
    else:
        out.print(render_comparison(result, full))
    end_by_verdict(result.verdict, allow_inconclusive)
