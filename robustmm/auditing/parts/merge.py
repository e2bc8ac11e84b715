"""The union of the cells of all parts, from which an audit is finished as any other."""

import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from robustmm.auditing.cells import BAD, EvaluationPass
from robustmm.auditing.parts.divide import WHOLE, Task, list_tasks
from robustmm.auditing.parts.part import count_parts
from robustmm.auditing.parts.plan_file import PLAN, PlanFile, find_difference, read_plan
from robustmm.auditing.store import read_sealed
from robustmm.errors import DataError, explain_write
from robustmm.files import make_folder, write_whole
from robustmm.progress import Stage

LISTED = 5
"""Commands that are shown of parts that are missing."""


def read_folders(folders: Sequence[Path]) -> PlanFile:
    """The plan of some folders of parts. Raises DataError for one that is none, or of another audit than the first."""
    for folder in folders:
        if not (folder / PLAN).is_file():
            raise DataError(f"{folder} should be a folder of parts, made by audit --only: there is no {PLAN} in it")
    plans = [read_plan(folder / PLAN) for folder in folders]
    for folder, plan in zip(folders, plans, strict=True):
        if differ := find_difference(plans[0], plan):
            raise DataError(f"{folder} holds parts of another audit than {folders[0]}, which differs in {differ}")
    return plans[0]


def merge_cells(plan: PlanFile, here: EvaluationPass, folders: Sequence[Path], stage: Stage) -> None:
    """Brings the cells of all tasks into the store of a pass, from the first folder that has one whole. Raises
    DataError that names the parts of which some are missing, with the commands that make them."""
    tasks, missing = list_tasks(plan.costs, plan.chunks), set[Task]()
    with stage("merging", len(tasks)) as advance:
        for task in tasks:
            if not all(_bring_cell(name, here.store.folder, folders) for name in _name_cells(plan, here, task)):
                missing.add(task)
            advance(1)
    if missing:
        raise DataError(_name_parts(plan, folders, missing))


def _name_cells(plan: PlanFile, here: EvaluationPass, task: Task) -> Iterator[str]:
    """The files that a task makes."""
    work = here.work
    if task.chunk == WHOLE:
        key = work.search_key(plan.searches[task.number - 1]) if task.number else work.floor_key
        yield f"{key[:2]}/{key}.json"
        return
    key = here.keys[task.number][task.chunk]
    yield f"{key[:2]}/{key}.cell"
    if task.number == 0:
        yield f"{key[:2]}/{key}{BAD}"


def _bring_cell(name: str, to: Path, folders: Sequence[Path]) -> bool:
    """Whether a cell is whole in a folder, or in one of those of the parts, from where it is linked or copied."""
    if read_sealed(to / name) is not None:
        return True
    for folder in folders:
        if read_sealed(folder / "cells" / name) is not None:
            _link_cell(folder / "cells" / name, to / name)
            return True
    return False


def _link_cell(source: Path, to: Path) -> None:
    make_folder(to.parent)
    with explain_write(to):
        to.unlink(missing_ok=True)
    with suppress(OSError):  # another disk, or none that has links
        os.link(source, to)
        return
    content = source.read_bytes()
    write_whole(to, lambda file: file.write(content))


def _name_parts(plan: PlanFile, folders: Sequence[Path], missing: set[Task]) -> str:
    """Sentences: which parts are not whole, and the commands that make them."""
    count = count_parts(list(folders))
    lacking = {n: found for n, part in enumerate(plan.divide(count), 1) if (found := missing.intersection(part.tasks))}
    listed = ", ".join(map(str, lacking))
    said = [f"{len(lacking)} of {count} parts are missing or not whole: {listed}; make them, and merge again"]
    for number, tasks in list(lacking.items())[:LISTED]:
        command = ["robustmm", "audit", "--only", str(folders[0] / PLAN), "--part", f"{number}/{count}"]
        words = shlex.join([*command, "--out", str(folders[0])])
        said.append(f"part {number}/{count} lacks {len(tasks)} of its tasks: {words}")
    return "\n".join(said)
