"""An audit from beginning to end. Every stage keeps what it makes: the same call again goes on where it stopped."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime

from robustmm.auditing import cells, curves, envelope, noise_floor, searches, tables
from robustmm.auditing.reference import reference
from robustmm.auditing.result import (
    AuditResult,
    Breaking,
    ConditionResult,
    Floor,
    Group,
    Reference,
    Runtime,
    SearchResult,
)
from robustmm.auditing.spec import Setting, Work, hashed, work
from robustmm.auditing.store import Store, parsed, whole
from robustmm.auditing.summary import Columns, summary
from robustmm.auditing.workers import Crew
from robustmm.conditions.condition import Condition
from robustmm.conditions.tables import SearchTable
from robustmm.errors import InterruptedRun
from robustmm.evaluation.attack_result import Estimate
from robustmm.evaluation.records import Records
from robustmm.metrics import statistics

CLEAN = Condition("clean")
FEW = 10
"""Samples below which a group is not called the worst."""

Stage = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Announces a stage and how many steps it has; what it gives is told of every step."""


@dataclass(frozen=True)
class Plans:
    """What is asked of an audit beside its setting."""

    suite: str
    conditions: tuple[Condition, ...]
    suite_sha256: str = ""
    groups: tuple[str, ...] = ()
    share: float = 0.9
    reference: Path | None = None
    searches: tuple[SearchTable, ...] = ()


@dataclass
class Audit:
    """One audit in one folder."""

    setting: Setting
    plans: Plans
    folder: Path
    workers: int
    stage: Stage
    work: Work = field(init=False)

    def __post_init__(self) -> None:
        self.work = work(self.setting)
        self.store = Store(self.folder / "cells")
        self.columns = columns(self.work, self.plans.groups)

    def run(self) -> AuditResult:
        """Raises InterruptedRun on Ctrl-C: what was made is kept."""
        self.store.sweep()
        try:
            with Crew(self.workers) as crew:
                return self._run(crew)
        except KeyboardInterrupt as error:
            kept = sum(1 for _ in self.store.folder.glob("*/*.npz"))
            raise InterruptedRun(
                f"interrupted: {kept} cells are kept in {self.folder}; the same command continues"
            ) from error

    def _run(self, crew: Crew) -> AuditResult:
        conditions = [CLEAN, *self.plans.conditions]
        least = self._floor()
        made = self._made(crew, "conditions", conditions)
        clean, *found = self._summaries(crew, made, conditions)
        found = judged(found, least)
        worst, broken = worst_group([clean, *found]), self._envelope(crew, clean, found)
        result = AuditResult(
            model=str(self.setting.model),
            model_sha256=self.work.model_sha256,
            method=self.work.session.facts["recipe"]["method"]["name"],
            manifest=str(self.setting.manifest),
            data_sha256=self.work.data_sha256,
            split=self.setting.split,
            samples=len(self.work.rows),
            classes=self.work.session.classes,
            seed=self.setting.seed,
            suite=self.plans.suite,
            suite_sha256=self.plans.suite_sha256,
            baseline=self.setting.baseline,
            exact=bool(clean.interactions) or len(self.work.session.names) == 1,
            share=self.plans.share,
            runtime=runtime(self.setting),
            floor=least,
            clean=clean,
            conditions=found,
            envelope=broken,
            retention=float(np.mean([b.retention for b in broken])) if broken else float("nan"),
            rates=curves.rates(self.plans.conditions, found, clean.accuracy),
            shifts=curves.shifts(clean, found),
            worst=min(found, key=lambda c: c.accuracy.value).name if found else "",
            worst_group=worst[0],
            worst_group_condition=worst[1],
            searches=self._searches(crew),
            reference=self._reference(clean, found),
            bad_inputs=made.bad(),
        )
        self._records(made, conditions)
        text = json.dumps(result.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"
        whole(self.folder / "results.json", lambda file: file.write(text.encode(errors="backslashreplace")))
        return result

    def _made(self, crew: Crew, title: str, conditions: Sequence[Condition], crossed: bool = True) -> cells.Pass:
        with self.stage(title, len(conditions) * len(self.work.chunks)) as advance:
            return cells.made(crew, self.setting, conditions, self.store.folder, advance, crossed)

    def _floor(self) -> Floor:
        path = self.store.path(hashed(["floor", self.work.digest]), ".json")
        found = parsed(path, Floor.model_validate_json)
        if found is None:
            with self.stage("noise floor", 1) as advance:
                text = noise_floor.floor(self.work).model_dump_json()
                advance(1)
            whole(path, lambda file: file.write(text.encode()))
            found = Floor.model_validate_json(text)
        return found

    def _summaries(self, crew: Crew, made: cells.Pass, conditions: Sequence[Condition]) -> list[ConditionResult]:
        """A summary of every condition; one that is there already is read. Numbers in files have six digits, so all are
        read from there, or a second run would round otherwise."""
        keys = [hashed([keys, made.keys[0], self.columns]) for keys in made.keys]
        paths = [self.store.path(key, ".json") for key in keys]
        found = [parsed(path, ConditionResult.model_validate_json) for path in paths]
        wanting = [k for k, result in enumerate(found) if result is None]
        with self.stage("statistics", len(conditions)) as advance:
            advance(len(conditions) - len(wanting))
            jobs = [(self.setting, conditions, self.store.folder, k, paths[k], self.columns) for k in wanting]
            for _ in crew.each(summarised, jobs):
                advance(1)
        read = [f or ConditionResult.model_validate_json(p.read_text()) for f, p in zip(found, paths, strict=True)]
        return [c.model_copy(update={"name": one.name}) for c, one in zip(read, conditions, strict=True)]

    def _envelope(self, crew: Crew, clean: ConditionResult, found: list[ConditionResult]) -> list[Breaking]:
        ladders = envelope.ladders(self.plans.conditions)
        known = {c.name: result.accuracy for c, result in zip(self.plans.conditions, found, strict=True)}
        for ladder in ladders:
            ladder.known = {level: known[name] for level, name in ladder.grid.items()}
        limit = self.plans.share * clean.accuracy.value

        def measured(rungs: list[Condition]) -> list[Estimate]:
            made = self._made(crew, "breaking levels", rungs, crossed=False)
            return [envelope.accuracy(made.records(k)) for k in range(len(rungs))]

        if clean.accuracy.low >= limit:
            envelope.halved(ladders, limit, measured)
        modalities = self.work.session.modalities
        return [envelope.breaking(ladder, modalities, clean.accuracy, self.plans.share) for ladder in ladders]

    def _reference(self, clean: ConditionResult, found: list[ConditionResult]) -> Reference | None:
        return reference(self.plans.reference, clean, found, self.plans.conditions, self.work.data_sha256)

    def _searches(self, crew: Crew) -> list[SearchResult]:
        tables = self.plans.searches
        paths = [self.store.path(hashed([table.model_dump(), self.work.digest]), ".json") for table in tables]
        jobs = [(self.setting, t, p) for t, p in zip(tables, paths, strict=True) if parsed(p, json.loads) is None]
        if jobs:
            with self.stage("searches", len(jobs)) as advance:
                for _ in crew.each(searches.searched, jobs):
                    advance(1)
        return searches.read(paths)

    def _records(self, made: cells.Pass, conditions: Sequence[Condition]) -> None:
        with self.stage("records", len(conditions)) as advance:

            def each(number: int) -> tuple[str, Records]:
                advance(1)
                return conditions[number].name, made.records(number)

            names, classes = self.work.session.names, self.work.session.classes
            key = hashed([made.keys, [c.name for c in conditions]])
            tables.write(self.folder / "records.parquet", map(each, range(len(conditions))), names, classes, key)


def summarised(
    setting: Setting, conditions: Sequence[Condition], folder: Path, number: int, path: Path, groups: Columns
) -> None:
    made = cells.current(setting, conditions, folder)
    found = summary(made.evaluation.plans[number], made.records(number), made.clean(), groups, setting.seed)
    text = json.dumps(found.model_dump(mode="json"))
    whole(path, lambda file: file.write(text.encode()))


def columns(made: Work, asked: Sequence[str]) -> Columns:
    """What samples are grouped by: the label, and the columns asked for. Raises DataError for one that is not there."""
    return {"label": made.rows.labels, **{name: made.rows.column(name) for name in asked}}


def judged(found: list[ConditionResult], least: Floor) -> list[ConditionResult]:
    """With the p-values adjusted over all conditions, and what is then certain: an effect is above the noise floor."""
    adjusted = statistics.benjamini_hochberg([c.change.p for c in found])
    out = []
    for c, p in zip(found, adjusted, strict=True):
        certain = p < 0.05 and abs(c.change.value) > least.accuracy
        effect = "none" if not certain else "loss" if c.change.value < 0 else "gain"
        out.append(c.model_copy(update={"adjusted": float(p), "effect": effect}))
    return out


def worst_group(found: Sequence[ConditionResult]) -> tuple[Group | None, str]:
    """The group of the lowest accuracy, and under which condition."""
    groups = [(g, c.name) for c in found for g in c.groups if g.samples >= FEW]
    return min(groups, key=lambda entry: entry[0].accuracy.value) if groups else (None, "")


def runtime(setting: Setting) -> Runtime:
    from robustmm import __version__

    level = onnxruntime.SessionOptions().graph_optimization_level
    return Runtime(
        robustmm=__version__,
        onnxruntime=onnxruntime.__version__,
        provider=setting.provider,
        graph_optimisation=str(level).rpartition(".")[2],
        threads=setting.threads,
    )
