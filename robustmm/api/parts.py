"""`plan_audit`, `run_part` and `merge_parts`: one audit on many machines. Nothing here needs torch."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from robustmm.api.auditing import finish_audit, open_question
from robustmm.api.inputs import AnyPath, Model, as_processes, reporter
from robustmm.errors import UsageError
from robustmm.progress import Reporter

if TYPE_CHECKING:
    from robustmm.auditing.parts.build import Places
    from robustmm.auditing.results.schema import AuditResult


def plan_audit(path: AnyPath, model: Model = None, *, progress: bool | Reporter = False, **asked: Any) -> Path:
    """Writes the plan of an audit, which is asked as by `audit`: all that any machine needs to make a part of it.

    Raises UsageError for a file that is there already; else what `audit` raises before it measures.
    """
    from robustmm.auditing.cost import describe_seconds
    from robustmm.auditing.parts.build import build_plan_file
    from robustmm.files import check_place, refuse_existing, write_new_file
    from robustmm.system import reveal_interrupts

    tell, path = reporter(progress), Path(path)
    refuse_existing(path)
    check_place(path)
    with reveal_interrupts():
        plan = build_plan_file(open_question(tell, model, **asked), tell.stage)
    write_new_file(path, plan.to_bytes().decode())
    (whole,) = plan.divide(1)
    tell.note(
        f"plan: {len(plan.conditions)} conditions and clean on {sum(plan.chunks)} samples, {len(whole.tasks)} tasks; "
        f"about {describe_seconds(whole.seconds)} of one process, and {describe_seconds(plan.costs.finish)} to merge"
    )
    return path


def run_part(
    plan: AnyPath,
    part: str,
    *,
    model: AnyPath | None = None,
    data: AnyPath | None = None,
    describe: AnyPath | None = None,
    out: AnyPath | None = None,
    workers: int | None = None,
    progress: bool | Reporter = False,
) -> Path:
    """Makes one part of a plan, "3/40" the third of forty, and gives its folder: `out`, by default the audit's own.

    What is there already is left: a part may be run again, where it was killed too, and parts may overlap. `model`,
    `data` and `describe` say where the plan's files are on this machine. Raises DataError where one of them, or a
    library, is not that of the plan, and InterruptedRun on Ctrl-C: what was measured is kept.
    """
    from robustmm.auditing.cost import describe_seconds
    from robustmm.auditing.parts.build import name_folder, open_plan
    from robustmm.auditing.parts.part import begin_part, complete_part, write_note
    from robustmm.auditing.parts.plan_file import parse_part, read_plan
    from robustmm.auditing.prepare import count_workers, tune_batch

    (number, parts), workers, tell = parse_part(part), as_processes("workers", workers), reporter(progress)
    asked = read_plan(Path(plan))
    work = asked.divide(parts)[number - 1]
    spec = open_plan(asked, _find_places(model, data, describe), str(plan))
    folder = Path(out) if out else name_folder(asked, spec)
    begin_part(asked, number, parts, folder)
    if not work.tasks:
        tell.note(f"part {part} has nothing to do: the plan has fewer tasks than parts")
    workers = workers or count_workers(work.seconds, len(work.tasks))
    took = f"about {describe_seconds(work.seconds)} of one process"
    tell.note(f"part {part}: {len(work.tasks)} tasks, {took}; workers: {workers}")
    began = time.monotonic()
    if work.cells and asked.batch is None:
        spec = tune_batch(spec)
    complete_part(spec, asked, work, folder, workers, tell.stage)
    write_note(folder, number, parts, time.monotonic() - began)
    tell.note(f"part {part} is whole: {folder}")
    return folder


def merge_parts(
    *folders: AnyPath,
    model: AnyPath | None = None,
    data: AnyPath | None = None,
    describe: AnyPath | None = None,
    reference: AnyPath | None = None,
    out: AnyPath | None = None,
    workers: int | None = None,
    progress: bool | Reporter = False,
) -> "AuditResult":
    """Finishes an audit whose parts are in some folders: the files are those of a single run, byte for byte.

    Statistics, the levels that bisection tries, gates and the report are made here. Raises DataError that names the
    parts that are missing, with the commands that make them, or a folder of another audit.
    """
    from robustmm.auditing.cells import current_pass
    from robustmm.auditing.parts.build import name_folder, open_plan, rebuild_question
    from robustmm.auditing.parts.merge import merge_cells, read_folders
    from robustmm.auditing.parts.plan_file import PLAN
    from robustmm.auditing.prepare import count_workers, create_folder

    if not folders:
        raise UsageError("merge needs the folders of the parts")
    sources, tell, workers = [Path(folder) for folder in folders], reporter(progress), as_processes("workers", workers)
    plan, places = read_folders(sources), _find_places(model, data, describe, reference)
    spec = open_plan(plan, places, str(sources[0] / PLAN))
    folder = Path(out) if out else name_folder(plan, spec)
    create_folder(folder, fresh=False)
    merge_cells(plan, current_pass(spec, plan.all_conditions, folder / "cells"), sources, tell.stage)
    with TemporaryDirectory() as texts:
        question = rebuild_question(plan, spec, places, Path(texts))
        return finish_audit(question, folder, workers or count_workers(plan.costs.finish, len(plan.chunks)), tell)


def _find_places(
    model: AnyPath | None, data: AnyPath | None, describe: AnyPath | None, reference: AnyPath | None = None
) -> "Places":
    from robustmm.auditing.parts.build import Places

    return Places(*(Path(place) if place else None for place in (model, data, describe, reference)))
