"""`robustmm audit`: a suite on an exported file, kept as it goes."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from robustmm.cli import app
from robustmm.cli.audits.parts import check_mode, find_gate_files, split_models
from robustmm.cli.options import (
    CLUSTER,
    Data,
    Describe,
    Expect,
    ExpectAccuracy,
    Inside,
    Json,
    JunitFile,
    Limit,
    MarkdownFile,
    On,
    OnBadInput,
    Provider,
    Runs,
    SarifFile,
    Seed,
    SplitAudited,
    Suite,
    Threads,
    Workers,
    end_by_verdict,
    show_json,
)
from robustmm.report.live.console import out, show_path


@app.command()
def audit(
    context: typer.Context,
    models: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[MODEL]",
            help="An exported .onnx file (default: the newest); with --merge, folders of parts, too.",
            show_default=False,
        ),
    ] = None,
    data: Data = None,
    inside: Inside = False,
    suite: Suite = "deployment",
    split: SplitAudited = "test",
    to: Annotated[
        Path | None, typer.Option("--out", help="Folder of the audit (default: audits/, named by what is audited).")
    ] = None,
    workers: Workers = None,
    on: On = None,
    limit: Limit = None,
    seed: Seed = 0,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what was measured before, and measure again.")] = False,
    by: Annotated[
        list[str] | None,
        typer.Option("--by", help="Also group samples by this column of the manifest; may be repeated."),
    ] = None,
    cluster: Annotated[str, CLUSTER] = "",
    gates: Annotated[
        Path | None, typer.Option("--gates", help="A .toml file of gates; exit code 1 unless all pass.")
    ] = None,
    allow_inconclusive: Annotated[
        bool, typer.Option("--allow-inconclusive", help="Exit code 0 where gates are inconclusive and none fails.")
    ] = False,
    baseline: Annotated[
        Literal["masked", "mean", "permuted"],
        typer.Option("--baseline", help="Baseline of a modality outside a subset, in contributions."),
    ] = "masked",
    share: Annotated[
        float,
        typer.Option("--share", min=0, max=1, help="A level breaks the model below this share of clean accuracy."),
    ] = 0.9,
    describe: Describe = None,
    reference: Annotated[
        Path | None, typer.Option("--reference", help="Another audit's results.json: mean corruption error against it.")
    ] = None,
    provider: Provider = "cpu",
    threads: Threads = 1,
    batch: Annotated[
        int | None, typer.Option("--batch", min=1, help="Rows that an encoder takes at once (default: measured).")
    ] = None,
    on_bad_input: OnBadInput = "error",
    expect: Expect = None,
    expect_accuracy: ExpectAccuracy = None,
    full: Annotated[
        bool, typer.Option("--full", help="Print all conditions, levels and groups, not one screen of them.")
    ] = False,
    markdown: MarkdownFile = None,
    junit: JunitFile = None,
    sarif: SarifFile = None,
    json: Json = False,
    runs: Runs = Path("runs"),
    plan: Annotated[
        Path | None, typer.Option("--plan", help="Measure nothing: write what there is to do, for other machines.")
    ] = None,
    only: Annotated[Path | None, typer.Option("--only", help="Make one part of a plan. See: docs/scale.md.")] = None,
    part: Annotated[str, typer.Option("--part", help="Which part: 3/40 is the third of forty.")] = "",
    merge: Annotated[bool, typer.Option("--merge", help="Finish the audit whose parts are in folders.")] = False,
) -> None:
    """Audit a model: every condition of a suite, breaking levels, and modality contributions."""
    from robustmm.api.auditing import audit as run_audit
    from robustmm.api.parts import merge_parts, plan_audit, run_part
    from robustmm.config.shelf import find_file
    from robustmm.errors import InterruptedRun
    from robustmm.report.audit import render_audit
    from robustmm.report.ci.reports import Reports
    from robustmm.report.summary.screen import Summary

    check_mode(context, plan, only, part, merge)
    model, folders = split_models(models or (), merge)
    if only:
        show_path(
            run_part(only, part, model=model, data=data, describe=describe, out=to, workers=workers, progress=True)
        )
        return
    asked: dict[str, Any] = {
        "suite": suite, "data": data, "inside": inside, "describe": describe, "split": split, "limit": limit,
        "seed": seed, "by": by or (), "cluster": cluster, "gates": gates, "baseline": baseline, "share": share,
        "reference": reference, "provider": provider, "threads": threads, "batch": batch, "on_bad_input": on_bad_input,
        "expect": expect, "expect_accuracy": expect_accuracy, "runs": runs,
    }  # fmt: skip
    if plan:
        show_path(plan_audit(plan, model, progress=True, **asked))
        return
    reports = Reports(markdown, junit, sarif)
    reports.check_places()
    try:
        if merge:
            result = merge_parts(
                *folders, model=model, data=data, describe=describe, reference=reference, out=to, workers=workers,
                progress=True,
            )  # fmt: skip
        else:
            result = run_audit(model, out=to, workers=workers, on=on, fresh=fresh, progress=True, **asked)
    except (InterruptedRun, KeyboardInterrupt) as stopped:
        reports.write_partial(str(stopped) or "PARTIAL: interrupted before anything was measured")
        raise
    gate_files = find_gate_files(folders) if merge else [find_file("attacks", suite), *([gates] if gates else [])]
    reports.write(result, *gate_files)
    if json:
        show_json(result)
    else:
        out.print(render_audit(result) if full else Summary(result))
    end_by_verdict(result.verdict, allow_inconclusive)
