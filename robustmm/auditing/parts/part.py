"""One part of a plan: its cells in a folder, which other parts may share. The same call again goes on where it
stopped, and leaves what is whole."""

import json
from pathlib import Path

from robustmm.auditing import cells, noise_floor, searches
from robustmm.auditing.parts.divide import Part, divide_tasks
from robustmm.auditing.parts.plan_file import PLAN, PlanFile, find_difference, read_plan
from robustmm.auditing.run import explain_stop
from robustmm.auditing.spec import Spec, open_spec
from robustmm.auditing.store import Store, read_cell
from robustmm.errors import UsageError
from robustmm.files import make_folder, write_if_changed, write_whole
from robustmm.progress import Stage
from robustmm.workers.processes import WorkerPool

NOTES = "parts"
"""The folder of what each part said of itself, beside the cells."""


def begin_part(plan: PlanFile, number: int, parts: int, folder: Path) -> None:
    """Makes the folder of a part, with a copy of the plan. Raises UsageError for one that holds another audit's."""
    if (folder / PLAN).exists() and (differ := find_difference(plan, read_plan(folder / PLAN))):
        raise UsageError(f"{folder} holds parts of another audit, which differs in {differ}; give another folder")
    make_folder(folder / "cells")
    write_if_changed(folder / PLAN, plan.to_bytes())
    if not find_note(folder, number, parts).exists():
        write_note(folder, number, parts, None)


def find_note(folder: Path, number: int, parts: int) -> Path:
    return folder / NOTES / f"{number}-of-{parts}.json"


def write_note(folder: Path, number: int, parts: int, seconds: float | None) -> None:
    """Says that a part was begun here, or that it took some seconds."""
    path = find_note(folder, number, parts)
    make_folder(path.parent)
    content = json.dumps({"part": number, "parts": parts, "seconds": seconds}).encode()
    write_whole(path, lambda file: file.write(content))


def count_parts(folders: list[Path]) -> int:
    """Into how many parts the work was divided, as most of the parts in some folders say; 1 where none says it."""
    found: list[int] = []
    for path in (path for folder in folders for path in (folder / NOTES).glob("*-of-*.json")):
        parts = path.stem.rpartition("-")[2]
        found += [int(parts)] if parts.isascii() and parts.isdecimal() and 0 < len(parts) < 7 else []
    return max(found, key=lambda parts: (found.count(parts), parts), default=1)


def complete_part(spec: Spec, plan: PlanFile, part: Part, folder: Path, workers: int, stage: Stage) -> None:
    """Makes what is missing of a part. Raises InterruptedRun on Ctrl-C: what was measured is kept."""
    work, store, conditions = open_spec(spec), Store(folder / "cells"), plan.all_conditions
    asked = [(chunk, k) for chunk, numbers in part.cells.items() for k in numbers]

    def describe_kept() -> str:
        here = cells.current_pass(spec, conditions, store.folder)
        kept = sum(store.has(here.keys[k][chunk]) for chunk, k in asked)
        said = f"{kept} of {len(asked)} cells of this part are measured, and kept in {folder}"
        return f"{said}; the same command continues"

    tasks = [task for task in part.tasks if task.number in part.cells.get(task.chunk, ())]
    shares = divide_tasks(plan.costs, plan.chunks, tasks, workers) if workers > 1 else [part]
    pieces = [piece for share in shares for piece in share.cells.items()]
    with explain_stop(folder, describe_kept), WorkerPool(workers) as pool:
        if part.has_floor:
            noise_floor.keep_noise_floor(work, store, stage)
        here = cells.current_pass(spec, conditions, store.folder)
        for chunk, k in asked:
            read_cell(store.path(here.keys[k][chunk]), bytes)  # one that is damaged is removed, to be made again
        with stage("conditions", len(asked)) as advance:
            if pieces:
                cells.run_pass(pool, spec, conditions, store.folder, advance, pieces)
        for chunk, numbers in part.cells.items():
            if 0 in numbers:
                here.read_bad_inputs(chunk)
        searches.keep_searches(pool, spec, [plan.searches[n] for n in part.searches], store, stage)
