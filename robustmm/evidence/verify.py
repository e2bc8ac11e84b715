"""Verifies an audit's folder: every check, in the order of trust, from single files to what they say together.

A check that rests on one that fails is not made, and is told as NOT CHECKED."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from robustmm.auditing.plan import AuditPlan
from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.spec import Spec, open_spec
from robustmm.auditing.store import RECORDS, RESULTS
from robustmm.errors import DataError, RobustmmError
from robustmm.evidence import contents, numbers, sources
from robustmm.evidence.contents import ok, unchecked
from robustmm.evidence.recompute import rebuild_plan
from robustmm.evidence.record import NAME, AuditRecord
from robustmm.evidence.result import Check
from robustmm.evidence.sources import Sources
from robustmm.progress import Reporter

NEEDED = ("cells", "suite", "gates", "model", "description", "manifest", "reference")
"""Checks without which nothing can be computed again. A results.json that was changed is computed all the same: the
check of numbers says where."""


@dataclass
class Verification:
    """The checks of one folder, one after the other, and what they read."""

    folder: Path
    place: Callable[[AuditResult, AuditRecord], Sources]
    rerun: int
    seed: int
    tell: Reporter
    checks: list[Check] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    result: AuditResult | None = None
    record: AuditRecord | None = None

    def run(self) -> list[Check]:
        """Raises DataError where the folder is none of an audit."""
        if not any((self.folder / name).is_file() for name in (RESULTS, NAME)):
            raise DataError(f"{self.folder} should be the folder of a finished audit, and has no {RESULTS}")
        self._check_folder()
        if self.result is None or self.record is None:
            lacking = RESULTS if self.result is None else NAME
            self._skip(["model", "manifest", "media", numbers.NUMBERS], f"{lacking} cannot be used")
        else:
            self._check_sources(self.result, self.record)
        return self.checks

    def _check_folder(self) -> None:
        shape, self.result = contents.check_results(self.folder)
        said, self.record = contents.check_record(self.folder)
        if self.record is None:
            self.checks += [shape, said]
            self._skip([RECORDS, "cells", "suite"], f"{NAME} cannot be used")
            return
        there = ok(RECORDS, "is what the audit wrote")
        self.checks += [
            contents.check_written(self.folder, RESULTS, self.record.results_sha256, shape), said,
            contents.check_written(self.folder, RECORDS, self.record.records_sha256, there),
            contents.check_cells(self.folder, self.record),
        ]  # fmt: skip
        if self.result is None:
            self._skip(["suite"], f"{RESULTS} cannot be used")
        else:
            self.checks.append(contents.check_suite(self.result, self.record))
            if self.result.gates_sha256 or self.record.gates:
                self.checks.append(contents.check_gates(self.result, self.record))

    def _check_sources(self, result: AuditResult, record: AuditRecord) -> None:
        place = self.place(result, record)
        self.checks.append(sources.check_file("model", place.model, result.model_sha256, "--model"))
        if result.description:
            self.checks.append(sources.check_description(place.describe or Path(record.describe), result, record))
        table = sources.check_manifest(place.manifest, record.manifest_sha256)
        if record.reference:
            path = place.reference or Path(record.reference)
            self.checks.append(sources.check_file("reference", path, record.reference_sha256, "--reference"))
        waiting = ["media", numbers.NUMBERS, numbers.TOLD, *([numbers.RERUN] if self.rerun else [])]
        if table.status != "OK":
            self.checks.append(table)
        if blocked := next((c for c in self.checks if c.name in NEEDED and c.status != "OK"), None):
            if table.status == "OK":
                self._skip(["manifest"], f"{blocked.name} is {blocked.status}")
            self._skip(waiting, f"{blocked.name} is {blocked.status}")
            return
        with TemporaryDirectory(prefix="robustmm-") as scratch:
            try:
                spec = sources.rebuild_spec(result, record, place)
                opened = open_spec(spec)
                rows = sources.check_rows(opened, result)
                plan = rebuild_plan(result, record, spec, Path(scratch), place.reference)
            except RobustmmError as error:
                self._skip(["manifest", *waiting], f"the audit cannot be opened here: {error}")
                return
            media = sources.check_media(opened, list(plan.conditions), record)
            self.checks += [rows, media]
            if rows.status != "OK":
                self._skip(waiting[1:], "the rows are others")
                return
            if lost := sources.find_lost(record):
                self._skip(waiting[1:], f"{lost} is not here")
                return
            self._check_said(spec, plan, result, record, Path(scratch), media)

    def _check_said(
        self, spec: Spec, plan: AuditPlan, result: AuditResult, record: AuditRecord, scratch: Path, media: Check
    ) -> None:
        self.checks += numbers.check_numbers(spec, plan, result, record, self.folder, scratch, self.tell)
        if self.rerun and media.status != "OK":
            self._skip([numbers.RERUN], "the media are not those audited")
        elif self.rerun:
            check, self.ran = numbers.check_rerun(
                spec, plan, result, self.folder, scratch, self.rerun, self.seed, self.tell
            )
            self.checks.append(check)

    def _skip(self, names: list[str], reason: str) -> None:
        self.checks += [unchecked(name, reason) for name in names]
