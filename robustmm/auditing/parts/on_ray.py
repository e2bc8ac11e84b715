"""An audit whose cells are made on a Ray cluster, by its plan, and finished here."""

from functools import partial
from pathlib import Path

from robustmm.auditing.parts.build import Asked, Places, build_plan_file, open_plan
from robustmm.auditing.prepare import count_workers
from robustmm.auditing.run import Audit
from robustmm.auditing.spec import open_spec
from robustmm.progress import Reporter
from robustmm.system import count_cores
from robustmm.workers.ray_cluster import RayCluster
from robustmm.workers.ray_pool import RayPool

PIECE_SECONDS = 30
"""Of a job: what is lost with a worker, and how long the last ones are waited for."""


def build_spread_audit(asked: Asked, folder: Path, address: str, workers: int | None, tell: Reporter) -> Audit:
    """The audit, ready to run. Every worker checks its machine, as a part does, before its first job."""
    for said in open_spec(asked.spec).notes:
        tell.note(said)
    plan = build_plan_file(asked, tell.stage)
    spec = open_plan(plan, Places(), "this audit")
    (whole,) = plan.divide(1)
    each = whole.seconds / len(whole.tasks)
    cluster = RayCluster(
        address, workers, cores=spec.threads, gpus=int(spec.provider != "cpu"),
        check=partial(open_plan, plan, Places(), "this audit"), note=tell.note,
    )  # fmt: skip
    here = min(count_workers(plan.costs.finish, len(plan.chunks)), workers or count_cores())
    pool = RayPool(here, cluster, folder)
    return Audit(spec, asked.plan, folder, pool, tell.stage, most=max(1, int(PIECE_SECONDS / each)))
