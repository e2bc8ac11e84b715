"""Prepares an audit that a user asks for: its plan, its folder, its cost and its workers."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

from robustmm.auditing.batch import tune_batch_size
from robustmm.auditing.cells import current_pass
from robustmm.auditing.cost import Cost, describe_seconds, estimate_cost
from robustmm.auditing.gates.prepare import check_selection, read_gates
from robustmm.auditing.plan import CLEAN, AuditPlan, group_columns
from robustmm.auditing.results.clusters import read_clusters
from robustmm.auditing.results.reference import read_audit
from robustmm.auditing.run import Audit
from robustmm.auditing.searches import check_search
from robustmm.auditing.spec import Spec, hash_content, open_spec
from robustmm.auditing.store import RESULT_FILES
from robustmm.conditions.suite import load_suite
from robustmm.config import shelf
from robustmm.errors import explain_write
from robustmm.progress import Reporter
from robustmm.system import count_cores
from robustmm.workers.processes import WorkerPool

BATCH = 64
MIN_PARALLEL_SECONDS = 20.0
"""Seconds of work from which several processes repay their start."""
START_SECONDS = 2.0
"""Seconds that a process takes to import what it needs, before it opens the model."""


def build_plan(
    name: str,
    spec: Spec,
    groups: tuple[str, ...],
    share: float,
    reference: Path | None,
    cluster: str = "",
    gates: Path | None = None,
) -> AuditPlan:
    """Raises UsageError for a suite or gates that are not there, are not valid or serve nothing of the model, DataError
    for a reference or a baseline that is no audit's result, or a column that the manifest lacks."""
    if reference:
        read_audit(reference)
    path = shelf.find_file("attacks", name)
    suite = load_suite(path)
    asked = read_gates(suite.gate, gates)
    groups = tuple(dict.fromkeys((*groups, *asked.columns)))
    group_columns(open_spec(spec), groups)  # for its error only, before anything is measured
    read_clusters(open_spec(spec).rows, cluster)  # likewise
    session = open_spec(spec).session
    conditions = suite.conditions(session.modalities)
    check_selection(asked, conditions, open_spec(spec))
    for search in suite.search:
        check_search(session, search)
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    return AuditPlan(path.stem, tuple(conditions), content, groups, share, reference, suite.search, cluster, asked)


def audit_folder(spec: Spec, plan: AuditPlan) -> Path:
    """The folder of an audit: the same for the same measurements, so that the same command continues, and other gates
    measure nothing again."""
    model = spec.model.absolute().parent.name if spec.model.name == "model.onnx" else spec.model.stem
    key = hash_content([open_spec(spec).digest, plan.conditions, plan.searches])
    return Path("audits") / f"{model}-{plan.suite}-{key[:6]}"


def create_folder(out: Path, fresh: bool) -> None:
    """Makes the folder; `fresh` deletes what was measured there."""
    with explain_write(out, "cannot be the folder of an audit"):
        if fresh:
            shutil.rmtree(out / "cells", ignore_errors=True)
            for name in RESULT_FILES:
                (out / name).unlink(missing_ok=True)
        (out / "cells").mkdir(parents=True, exist_ok=True)


def build_audit(
    spec: Spec,
    plan: AuditPlan,
    out: Path,
    workers: int | None,
    tell: Reporter,
    measure: bool = True,
) -> Audit:
    """The audit, ready to run; notes what a reader should know, what is left to measure and its cost."""
    conditions = [CLEAN, *plan.conditions]
    opened = open_spec(spec)
    for said in opened.notes:
        tell.note(said)
    here = current_pass(spec, conditions, out / "cells")
    missing = sum(len(here.missing_cells(chunk)) for chunk in range(len(opened.chunks)))
    cells = len(conditions) * len(opened.chunks)
    if not missing:
        tell.note(f"audit: {len(conditions)} conditions, all measured already, in {out}")
        return Audit(spec, plan, out, WorkerPool(workers or 1), tell.stage)
    if measure:
        spec = tune_batch(spec)
    price, part = estimate_cost(opened, plan.conditions, plan.share), missing / cells
    workers = workers or count_workers(price.seconds * part, len(opened.chunks))
    left = price.seconds * part / workers
    left += START_SECONDS + opened.seconds if workers > 1 else 0.0
    tell.note(
        describe_cost(price, left, workers)
        + ("" if missing == cells else f"; {1 - part:.0%} is measured already")
        + ("; searches aside" if plan.searches else "")
    )
    return Audit(spec, plan, out, WorkerPool(workers), tell.stage)


def tune_batch(spec: Spec) -> Spec:
    """The spec with the batch size that is fastest on this machine."""
    opened = open_spec(spec)
    return replace(spec, batch=tune_batch_size(opened.session, len(opened.chunks[0])))


def count_workers(seconds: float, jobs: int) -> int:
    """The processes that some seconds of work are divided among, where the user does not say it."""
    return max(1, min(count_cores(), jobs)) if seconds > MIN_PARALLEL_SECONDS else 1


def describe_cost(price: Cost, seconds: float, workers: int) -> str:
    encodings = ", ".join(f"{name} {count}" for name, count in price.encodings.items())
    took = describe_seconds(seconds)
    return (
        f"audit: {price.conditions} conditions and clean on {price.samples} samples; per sample {price.decodings} "
        f"decodings and encodings {encodings}; about {took} with {workers} worker{'s' if workers > 1 else ''}"
    )
