"""Checks of what an audit says: its numbers follow from its cells, and cells from the model."""

from pathlib import Path
from typing import Any

import onnxruntime

from robustmm.auditing import cells
from robustmm.auditing.plan import CLEAN, AuditPlan
from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.spec import Spec
from robustmm.auditing.store import RECORDS
from robustmm.errors import InterruptedRun, RobustmmError
from robustmm.evidence.contents import ok, unchecked, wrong
from robustmm.evidence.recompute import Recomputed, find_difference, link_cells, same_tables
from robustmm.evidence.record import AuditRecord, list_cells
from robustmm.evidence.rerun import compare_cell, draw_cells, list_reruns, run_again
from robustmm.evidence.result import Check
from robustmm.files import hash_file
from robustmm.progress import Reporter
from robustmm.version import __version__
from robustmm.workers.processes import WorkerPool

NUMBERS, RERUN = "numbers", "cells run again"
TOLD = "records and cells"
FORGED = (ValueError, LookupError, TypeError, ArithmeticError, AssertionError, AttributeError)
"""What an audit's code raises on cells that are whole and that it did not write: a stranger's, of any content."""


def check_numbers(
    spec: Spec, plan: AuditPlan, result: AuditResult, record: AuditRecord, folder: Path, scratch: Path, tell: Reporter
) -> list[Check]:
    """Computes results.json and records.parquet again in `scratch`, of the folder's cells alone."""
    link_cells(folder / "cells", scratch / "cells", list(record.cells))
    audit = Recomputed(spec, plan, scratch, WorkerPool(1), tell.stage)
    if result.bad_inputs and str(spec.manifest) != result.manifest:
        said = f"sentences on unreadable inputs name {result.manifest}; verify where the manifest has this path"
        return [unchecked(NUMBERS, said), _unknown(TOLD)]
    try:
        again = audit.run()
    except InterruptedRun as error:
        raise InterruptedRun("interrupted: nothing was changed; the same command begins anew") from error
    except (RobustmmError, *FORGED) as error:
        return [wrong(NUMBERS, f"they cannot be computed from the cells: {error}"), _unknown(TOLD)]
    if remade := [name for name, digest in record.cells.items() if hash_file(scratch / "cells" / name) != digest]:
        return [wrong(NUMBERS, f"cells/{remade[0]} does not hold what a cell of its name holds"), _unknown(TOLD)]
    difference = find_difference(_content(result), _content(_as_told(again, result)))
    resting = list_cells(audit)
    if difference and result.runtime.robustmm != __version__:
        first = unchecked(
            NUMBERS, f"robustmm {result.runtime.robustmm} computed them, and {__version__} otherwise: {difference}"
        )
    elif difference:
        first = wrong(NUMBERS, f"results.json says what its cells do not: {difference}")
    elif resting != sorted(record.cells):
        first = wrong(NUMBERS, f"they rest on {len(resting)} cells, and audit.json lists {len(record.cells)}")
    else:
        first = ok(NUMBERS, "results.json follows from the cells, number by number")
    if same_tables(folder / RECORDS, scratch / RECORDS):
        return [first, ok(TOLD, f"{RECORDS} holds what the cells hold")]
    return [first, wrong(TOLD, f"{RECORDS} does not hold what the cells hold")]


def check_rerun(
    spec: Spec, plan: AuditPlan, result: AuditResult, folder: Path, scratch: Path, number: int, seed: int,
    tell: Reporter,
) -> tuple[Check, list[str]]:  # fmt: skip
    """Runs a random sample of cells again on the model; also which."""
    here = cells.current_pass(spec, [CLEAN, *plan.conditions], scratch / "cells")
    audit = Recomputed(spec, plan, scratch, WorkerPool(1), tell.stage)
    chosen = draw_cells(here, number, seed)
    largest, told = 0.0, list_reruns(audit, here, chosen)
    every, floor = sum(map(len, here.keys)), result.noise_floor.probability_difference
    with tell.stage(RERUN, len(chosen)) as advance:
        for (k, chunk), name in zip(chosen, told, strict=True):
            key = here.keys[k][chunk]
            try:
                again = run_again(here, k, chunk)
            except RobustmmError as error:
                return unchecked(RERUN, f"{name} cannot be run: {error}"), told
            found, fault = compare_cell(folder / "cells" / key[:2] / f"{key}.cell", again, floor)
            if fault:
                return wrong(RERUN, f"{name} {fault}"), told
            largest = max(largest, found)
            advance(1)
    which = f"{len(chosen)} of {every}, drawn with seed {seed}"
    if largest == 0:
        return ok(RERUN, f"{which}, give the same probabilities"), told
    return ok(
        RERUN,
        f"{which}, give probabilities that differ by at most {largest:.1e}, as another processor, provider or "
        f"onnxruntime ({result.runtime.onnxruntime} measured, {onnxruntime.__version__} here) makes them",
    ), told


def _as_told(again: AuditResult, said: AuditResult) -> AuditResult:
    """What another place or machine changes is taken as it was said: paths, and the runtime that measured."""
    moved = (again.model, again.manifest) != (said.model, said.manifest)
    sentences = {"notes": said.notes, "bad_inputs": said.bad_inputs} if moved else {}
    told = {"model": said.model, "manifest": said.manifest, "runtime": said.runtime}
    return again.model_copy(update=told | sentences)


def _content(result: AuditResult) -> dict[str, Any]:
    return result.model_dump(mode="json")


def _unknown(name: str) -> Check:
    return unchecked(name, "the numbers cannot be computed from the cells")
