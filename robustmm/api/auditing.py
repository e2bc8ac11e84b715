"""`audit`: every condition of a suite on an exported file. Nothing here needs torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from robustmm.api.checking import Expectation, require_expected
from robustmm.api.inputs import (
    AnyPath,
    Data,
    Model,
    as_count,
    as_list,
    as_number,
    as_processes,
    check_choice,
    find_manifest,
    inside_folder,
    open_model,
    reporter,
)
from robustmm.data.loading import OnBad
from robustmm.errors import InterruptedRun, UsageError
from robustmm.evaluation.subsets import Baseline
from robustmm.progress import Reporter
from robustmm.system import reveal_interrupts

if TYPE_CHECKING:
    from robustmm.auditing.parts.build import Asked
    from robustmm.auditing.plan import AuditPlan
    from robustmm.auditing.results.schema import AuditResult
    from robustmm.auditing.spec import OpenedSpec


def audit(
    model: Model = None,
    *,
    suite: AnyPath = "deployment",
    data: Data = None,
    inside: bool = False,
    describe: AnyPath | None = None,
    split: str = "test",
    out: AnyPath | None = None,
    workers: int | None = None,
    on: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    fresh: bool = False,
    by: str | Sequence[str] = (),
    cluster: str = "",
    gates: AnyPath | None = None,
    baseline: Baseline = "masked",
    share: float = 0.9,
    reference: AnyPath | None = None,
    provider: str = "cpu",
    threads: int = 1,
    batch: int | None = None,
    on_bad_input: OnBad = "error",
    expect: AnyPath | None = None,
    expect_accuracy: float | None = None,
    runs: AnyPath = "runs",
    progress: bool | Reporter = False,
) -> "AuditResult":
    """A model under every condition of a suite, kept in a folder as it goes: the same call continues.

    `by` groups samples by columns of the manifest, `cluster` names the column of what was drawn (intervals are over its
    values), `share` of clean accuracy is what a breaking level falls below, `baseline` replaces a modality outside a
    subset; `on` is a Ray cluster that makes the cells, "ray" or "ray://HOST:PORT"; `gates` is a file of gates beside
    those of the suite, and `verdict` of the result says whether all pass; `expect` and `inside` as in `attack`.
    Raises InterruptedRun on Ctrl-C: what was measured is kept.
    `results.json`, `records.parquet` and `report.html` stand in `out` (by default in audits/).
    """
    from robustmm.auditing import prepare
    from robustmm.workers.ray_cluster import check_address

    workers, tell = as_processes("workers", workers), reporter(progress)
    if on is not None:
        check_address(on)
    asked = open_question(
        tell, model, suite=suite, data=data, inside=inside, describe=describe, split=split, limit=limit, seed=seed,
        by=by, cluster=cluster, gates=gates, baseline=baseline, share=share, reference=reference, provider=provider,
        threads=threads, batch=batch, on_bad_input=on_bad_input, expect=expect, expect_accuracy=expect_accuracy,
        runs=runs,
    )  # fmt: skip
    folder = Path(out) if out else prepare.audit_folder(asked.spec, asked.plan)
    prepare.create_folder(folder, fresh)
    return finish_audit(asked, folder, workers, tell, on)


def open_question(
    tell: Reporter,
    model: Model = None,
    *,
    suite: AnyPath = "deployment",
    data: Data = None,
    inside: bool = False,
    describe: AnyPath | None = None,
    split: str = "test",
    limit: int | None = None,
    seed: int = 0,
    by: str | Sequence[str] = (),
    cluster: str = "",
    gates: AnyPath | None = None,
    baseline: Baseline = "masked",
    share: float = 0.9,
    reference: AnyPath | None = None,
    provider: str = "cpu",
    threads: int = 1,
    batch: int | None = None,
    on_bad_input: OnBad = "error",
    expect: AnyPath | None = None,
    expect_accuracy: float | None = None,
    runs: AnyPath = "runs",
) -> "Asked":
    """Checks everything that `audit` can be asked, before anything is measured."""
    from robustmm.auditing import prepare
    from robustmm.auditing.parts.build import Asked
    from robustmm.auditing.spec import Spec, open_spec
    from robustmm.config.shelf import find_file

    check_choice("baseline", baseline, get_args(Baseline))
    check_choice("on_bad_input", on_bad_input, get_args(OnBad))
    limit, seed = as_count("limit", limit, 1), as_count("seed", seed, 0)
    threads, batch, share = as_processes("threads", threads), as_count("batch", batch, 1), as_number("share", share)
    if not 0 <= share <= 1:
        raise UsageError(f"share should be in [0, 1], found {share:g}")
    session = open_model(model, describe, provider, threads, batch or prepare.BATCH, runs, tell)
    manifest = find_manifest(session, data, split, runs, tell)
    setting = Spec(
        model=session.path, manifest=manifest, inside=inside_folder(inside, data, manifest), split=split, limit=limit,
        describe=session.description, seed=seed, on_bad=on_bad_input, baseline=baseline, provider=session.provider,
        threads=threads, batch=batch or prepare.BATCH,
    )  # fmt: skip
    against, judged = Path(reference) if reference else None, Path(gates) if gates else None
    plan = prepare.build_plan(str(suite), setting, tuple(as_list(by)), share, against, cluster, judged)
    opened, expected = open_spec(setting), Expectation(expect, expect_accuracy, limit is not None, on_bad_input)
    require_expected(opened.session, opened.rows, split, expected, tell)
    return Asked(setting, plan, find_file("attacks", str(suite)), judged, str(suite), batch)


def finish_audit(
    asked: "Asked", folder: Path, workers: int | None, tell: Reporter, on: str | None = None
) -> "AuditResult":
    """Measures what is left of an audit in its folder, here or on a Ray cluster, and writes all that it ends in."""
    from robustmm.auditing import prepare
    from robustmm.auditing.parts.on_ray import build_spread_audit
    from robustmm.evidence.record import write_record

    if on:
        run = build_spread_audit(asked, folder, on, workers, tell)
    else:
        run = prepare.build_audit(asked.spec, asked.plan, folder, workers, tell, measure=asked.batch is None)
    result = run.run()
    write_record(run, asked.suite, asked.gates)
    page = write_page(result, run.work, asked.plan, folder, asked.named, tell)
    tell.note(f"results: {folder / 'results.json'}, records: {folder / 'records.parquet'}, report: {page}")
    return result


def write_page(
    result: "AuditResult", opened: "OpenedSpec", plan: "AuditPlan", folder: Path, suite: str, tell: Reporter
) -> Path:
    """Keeps examples of what failed, and writes the page that shows them; both in the audit's folder."""
    from robustmm.auditing.store import RECORDS
    from robustmm.report.page.page import write_audit_page, write_examples
    from robustmm.report.page.provenance import build_command
    from robustmm.report.sheets.failures import collect_examples

    try:
        with reveal_interrupts(), tell.stage("report", 1) as advance:
            command = build_command(result, opened.spec, plan, suite)
            write_examples(folder, collect_examples(result, opened, plan, folder / RECORDS, command))
            page = write_audit_page(folder)
            advance(1)
    except KeyboardInterrupt as error:
        raise InterruptedRun(
            f"interrupted: the results are in {folder}; the same command continues with the report"
        ) from error
    return page
