"""A plan made of an audit's question, and the question made of a plan again."""

from dataclasses import dataclass, replace
from pathlib import Path

from robustmm.auditing.cost import time_stages
from robustmm.auditing.parts.check import check_sources, hash_sources, library_versions, stamp_conditions
from robustmm.auditing.parts.costs import price_tasks
from robustmm.auditing.parts.plan_file import PlanFile, Question
from robustmm.auditing.plan import AuditPlan
from robustmm.auditing.prepare import BATCH, audit_folder, build_plan, tune_batch
from robustmm.auditing.run import runtime_facts
from robustmm.auditing.spec import Spec, open_spec
from robustmm.data.inside import manifest_folder
from robustmm.evaluation.source import resolve_option
from robustmm.progress import Stage


@dataclass(frozen=True)
class Asked:
    """An audit's question: `named` is the suite as it was given, `batch` the batch size where one was."""

    spec: Spec
    plan: AuditPlan
    suite: Path
    gates: Path | None
    named: str
    batch: int | None


@dataclass(frozen=True)
class Places:
    """Where the files of a plan are on this machine, where it is not where they were when it was made."""

    model: Path | None = None
    data: Path | None = None
    describe: Path | None = None
    reference: Path | None = None


def build_plan_file(asked: Asked, stage: Stage) -> PlanFile:
    """The plan of an audit: media are hashed, and every stage is timed on a few samples."""
    plan, work = asked.plan, open_spec(tune_batch(asked.spec) if asked.batch is None else asked.spec)
    with stage("hashes", 1) as advance:
        hashes = hash_sources(work, plan.conditions)
        advance(1)
    return PlanFile(
        question=_describe_question(asked),
        runtime=runtime_facts(work),
        libraries=library_versions(),
        hashes=hashes,
        digest=work.digest,
        stamps=stamp_conditions(plan.conditions),
        conditions=plan.conditions,
        searches=plan.searches,
        chunks=tuple(map(len, work.chunks)),
        batch=asked.batch,
        costs=price_tasks(time_stages(work, plan.conditions, plan.share), work, plan.searches),
    )


def _describe_question(asked: Asked) -> Question:
    spec, plan = asked.spec, asked.plan
    return Question(
        model=str(spec.model), data=str(spec.manifest), inside=spec.inside is not None,
        describe=str(spec.describe) if spec.describe else None, split=spec.split, limit=spec.limit, seed=spec.seed,
        on_bad=spec.on_bad, baseline=spec.baseline, provider=spec.provider, threads=spec.threads, suite=asked.named,
        suite_name=plan.suite, suite_text=asked.suite.read_bytes().decode(), groups=plan.groups, cluster=plan.cluster,
        gates=str(asked.gates) if asked.gates else None,
        gates_text=asked.gates.read_bytes().decode() if asked.gates else "", share=plan.share,
        reference=str(plan.reference) if plan.reference else None,
    )  # fmt: skip


def open_plan(plan: PlanFile, places: Places, said: str) -> Spec:
    """The spec of a plan on this machine: its cells have the plan's names, whatever the times of the files here.
    Raises DataError where a file or a library is not that of the plan, which is called `said`."""
    asked = plan.question
    manifest = resolve_option(places.data) if places.data else Path(asked.data)
    spec = Spec(
        model=places.model or Path(asked.model), manifest=manifest,
        describe=places.describe or (Path(asked.describe) if asked.describe else None), split=asked.split,
        limit=asked.limit, seed=asked.seed, on_bad=asked.on_bad, baseline=asked.baseline, provider=asked.provider,
        threads=asked.threads, batch=plan.batch or BATCH, inside=manifest_folder(manifest) if asked.inside else None,
        digest=plan.digest, stamps=plan.stamps,
    )  # fmt: skip
    check_sources(plan, open_spec(spec), said)
    return spec


def name_folder(plan: PlanFile, spec: Spec) -> Path:
    """The folder of an audit that is in no other: the one that `audit` itself would take."""
    name = plan.question.suite_name
    return audit_folder(spec, AuditPlan(name, plan.conditions, searches=plan.searches))


def rebuild_question(plan: PlanFile, spec: Spec, places: Places, folder: Path) -> Asked:
    """The question that a plan was made of; `folder` is a place for the texts of suite and gates."""
    asked = plan.question
    suite, gates = folder / "suite.toml", folder / "gates.toml" if asked.gates else None
    suite.write_bytes(asked.suite_text.encode())
    if gates:
        gates.write_bytes(asked.gates_text.encode())
    reference = places.reference or (Path(asked.reference) if asked.reference else None)
    found = build_plan(str(suite), spec, asked.groups, asked.share, reference, asked.cluster, gates)
    return Asked(spec, replace(found, suite=asked.suite_name), suite, gates, asked.suite, plan.batch)
