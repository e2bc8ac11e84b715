"""An audit from beginning to end. Every stage keeps what it makes: the same call again goes on where it stopped."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime

from robustmm.auditing import cells, noise_floor, searches
from robustmm.auditing.gates.judge import judge_audit
from robustmm.auditing.gates.paired import PairedRecords
from robustmm.auditing.plan import CLEAN, AuditPlan, Reading, group_columns
from robustmm.auditing.results import breaking_levels, curves, records_table
from robustmm.auditing.results.clusters import doubt_sampling, read_clusters
from robustmm.auditing.results.condition import ConditionResult
from robustmm.auditing.results.effects import classify_effects, worst_group
from robustmm.auditing.results.reference import compare_with_reference
from robustmm.auditing.results.schema import (
    AuditResult,
    BreakingLevel,
    Reference,
    Runtime,
)
from robustmm.auditing.results.subsets import subset_accuracies
from robustmm.auditing.results.summary import summarise_condition
from robustmm.auditing.spec import OpenedSpec, Spec, hash_content, open_spec
from robustmm.auditing.store import RECORDS, RESULTS, Store, read_cell, read_made, write_cell
from robustmm.conditions.condition import Condition
from robustmm.errors import InterruptedRun, UnwritableError
from robustmm.evaluation.attack import hash_bytes
from robustmm.evaluation.chance import doubt_accuracy
from robustmm.evaluation.records import Records
from robustmm.files import hash_file, write_if_changed
from robustmm.progress import Stage
from robustmm.system import reveal_interrupts
from robustmm.version import __version__
from robustmm.workers.processes import WorkerPool


@dataclass
class Audit:
    """One audit in one folder."""

    spec: Spec
    plan: AuditPlan
    folder: Path
    pool: WorkerPool
    stage: Stage
    most: int | None = None
    """Conditions that a job measures on a chunk; None: all of them."""
    work: OpenedSpec = field(init=False)
    reading: Reading = field(init=False)
    keys: list[str] = field(init=False, default_factory=list)
    """The cells that the result rests on, the clean condition's first."""

    def __post_init__(self) -> None:
        self.work = open_spec(self.spec)
        self.store = Store(self.folder / "cells")
        sampling, self.clusters = read_clusters(self.work.rows, self.plan.cluster)
        self.reading = Reading(group_columns(self.work, self.plan.groups), sampling, self.spec.seed, self.plan.share)

    def run(self) -> AuditResult:
        """Raises InterruptedRun on Ctrl-C: what was measured is kept."""
        self.store.remove_partial_files()
        with explain_stop(self.folder, self._describe_kept), self.pool as pool:
            return self._run(pool)

    def _describe_kept(self) -> str:
        conditions = [CLEAN, *self.plan.conditions]
        kept, wanted = cells.count_cells(self.spec, conditions, self.store.folder)
        said = f"{kept} of {wanted} cells of {len(conditions)} conditions are measured, and kept in {self.folder}"
        return f"{said}; the same command continues"

    def _run(self, pool: WorkerPool) -> AuditResult:
        conditions = [CLEAN, *self.plan.conditions]
        floor = noise_floor.keep_noise_floor(self.work, self.store, self.stage)
        kept, wanted = cells.count_cells(self.spec, conditions, self.store.folder)
        if kept < wanted:
            self.store.remove_results()
        measured = self._run_pass(pool, "conditions", conditions)
        clean, *found = self._summarise_conditions(pool, measured, conditions)
        found = classify_effects(found, floor)
        worst, broken = worst_group([clean, *found]), self._find_breaking_levels(pool, measured, clean, found)
        work, described, untouched = self.work, self.work.description, measured.clean_records()
        result = AuditResult(
            verdict=None,
            gates=[],
            gates_sha256="",
            model=str(self.spec.model),
            model_sha256=work.model_sha256,
            description=described,
            description_sha256=hash_bytes(described.encode()) if described else "",
            method=work.session.facts["recipe"]["method"]["name"],
            prior=work.prior,
            notes=[
                *doubt_accuracy(untouched, work.session.classes, bool(described)),
                *doubt_sampling(work.rows, work.session.modalities, untouched, self.reading),
                *work.notes,
            ],
            manifest=str(self.spec.manifest),
            data_sha256=work.data_sha256,
            split=self.spec.split,
            samples=len(work.rows),
            clusters=self.clusters,
            classes=work.session.classes,
            seed=self.spec.seed,
            suite=self.plan.suite,
            suite_sha256=self.plan.suite_sha256,
            baseline=self.spec.baseline,
            exact=bool(clean.interactions) or len(work.session.names) == 1,
            retention_threshold=self.plan.share,
            runtime=runtime_facts(self.work),
            noise_floor=floor,
            clean=clean,
            conditions=found,
            subsets=subset_accuracies(work.session.names, untouched, self.reading.sampling),
            breaking_levels=broken,
            mean_retention=float(np.mean([b.retention for b in broken])) if broken else float("nan"),
            missing_rates=curves.missing_rate_curves(self.plan.conditions, found, clean.accuracy),
            contribution_shifts=curves.share_shifts(clean, found),
            worst_condition=min(found, key=lambda c: c.accuracy.value).name if found else "",
            worst_group=worst[0],
            worst_group_condition=worst[1],
            searches=searches.keep_searches(pool, self.spec, self.plan.searches, self.store, self.stage),
            reference=self._compare_with_reference(clean, found),
            bad_inputs=measured.bad_inputs(),
        )
        self._write_records(measured, conditions)
        result = judge_audit(self.plan.gates, result, PairedRecords(self.folder, self.reading))
        write_if_changed(self.folder / RESULTS, result.to_bytes())
        return result

    def _run_pass(self, pool: WorkerPool, title: str, conditions: Sequence[Condition]) -> cells.EvaluationPass:
        with self.stage(title, len(conditions) * len(self.work.chunks)) as advance:
            pieces = cells.divide_pass(len(conditions), len(self.work.chunks), self.most)
            measured = cells.run_pass(pool, self.spec, conditions, self.store.folder, advance, pieces)
        self.keys += [key for keys in measured.keys for key in keys]
        return measured

    def _summarise_conditions(
        self, pool: WorkerPool, measured: cells.EvaluationPass, conditions: Sequence[Condition]
    ) -> list[ConditionResult]:
        """A summary of every condition; one that is there already is read. Numbers in files have six digits, so all are
        read from there, or a second run would round otherwise."""
        drawn = self.reading.sampling.clusters
        reading = [self.reading.groups, self.plan.share, None if drawn is None else drawn.tolist()]
        keys = [hash_content([keys, measured.keys[0], reading]) for keys in measured.keys]
        paths = [self.store.path(key, ".json") for key in keys]
        found = [read_cell(path, ConditionResult.model_validate_json) for path in paths]
        missing = [k for k, result in enumerate(found) if result is None]
        if missing:
            self.store.remove_results()
        with self.stage("statistics", len(conditions)) as advance:
            advance(len(conditions) - len(missing))
            common = (self.spec, conditions, self.store.folder, self.reading)
            jobs = [(*common, k, paths[k]) for k in missing]
            for _ in pool.map(write_summary, jobs):
                advance(1)
        read = [f or read_made(p, ConditionResult.model_validate_json) for f, p in zip(found, paths, strict=True)]
        return [c.model_copy(update={"name": one.name}) for c, one in zip(read, conditions, strict=True)]

    def _find_breaking_levels(
        self, pool: WorkerPool, measured: cells.EvaluationPass, clean: ConditionResult, found: list[ConditionResult]
    ) -> list[BreakingLevel]:
        sweeps, untouched = breaking_levels.build_sweeps(self.plan.conditions), measured.clean_records()
        known = {
            c.name: breaking_levels.Measured(result.accuracy, result.outcome, result.samples_to_decide)
            for c, result in zip(self.plan.conditions, found, strict=True)
        }
        for sweep in sweeps:
            sweep.known = {level: known[name] for level, name in sweep.grid.items()}

        def measure(chosen: list[Condition]) -> list[breaking_levels.Measured]:
            made = self._run_pass(pool, "breaking levels", chosen)
            records = map(made.read_records, range(len(chosen)))
            return [breaking_levels.measure_level(each, untouched, self.reading) for each in records]

        breaking_levels.bisect_sweeps(sweeps, measure)
        modalities = self.work.session.modalities
        return [breaking_levels.breaking_level(sweep, modalities, clean.accuracy.value) for sweep in sweeps]

    def _compare_with_reference(self, clean: ConditionResult, found: list[ConditionResult]) -> Reference | None:
        asked, work = self.plan, self.work
        return compare_with_reference(
            asked.reference, clean, found, asked.conditions, work.data_sha256, work.description
        )

    def _write_records(self, measured: cells.EvaluationPass, conditions: Sequence[Condition]) -> None:
        """Leaves a table that is as it was written, which a cell of its own says."""
        names, classes, path = self.work.session.names, self.work.session.classes, self.folder / RECORDS
        drawn = self.work.rows.column(self.plan.cluster) if self.plan.cluster else None
        key = hash_content([RECORDS, measured.keys, [c.name for c in conditions], drawn])
        written = self.store.path(key, ".json")
        with self.stage("records", len(conditions)) as advance:
            if (told := read_cell(written, json.loads)) and told == hash_file(path):
                advance(len(conditions))
                return

            def read_condition(number: int) -> tuple[str, Records]:
                advance(1)
                return conditions[number].name, measured.read_records(number)

            parts = map(read_condition, range(len(conditions)))
            records_table.write_table(path, parts, names, classes, drawn)
            write_cell(written, json.dumps(hash_file(path)).encode())


@contextmanager
def explain_stop(folder: Path, describe_kept: Callable[[], str]) -> Iterator[None]:
    """What stops the work in a folder becomes a sentence, with what of it is kept."""
    try:
        with reveal_interrupts():
            yield
    except KeyboardInterrupt as error:
        raise InterruptedRun(f"PARTIAL: interrupted; {describe_kept()}") from error
    except UnwritableError as error:
        raise UnwritableError(f"{folder} cannot be written", error.reason, describe_kept()) from error


def write_summary(
    spec: Spec, conditions: Sequence[Condition], folder: Path, reading: Reading, number: int, path: Path
) -> None:
    measured = cells.current_pass(spec, conditions, folder)
    plan, records = measured.evaluation.plans[number], measured.read_records(number)
    found = summarise_condition(plan, records, measured.clean_records(), reading)
    write_cell(path, json.dumps(found.model_dump(mode="json")).encode())


def runtime_facts(work: OpenedSpec) -> Runtime:
    level = onnxruntime.SessionOptions().graph_optimization_level
    return Runtime(
        robustmm=__version__,
        onnxruntime=onnxruntime.__version__,
        provider=work.spec.provider,
        graph_optimisation=str(level).rpartition(".")[2],
        threads=work.spec.threads,
        encoders=work.session.encoded,
    )
