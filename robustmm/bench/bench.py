"""Methods x seeds: which cells to train, in how many worker processes, and which are done already.

Training sees the train and valid splits only; a worker reads the test split when its training has finished.
"""

import copy
import hashlib
import json
import multiprocessing
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from robustmm import files
from robustmm.bench.cell import environment, subset_names
from robustmm.bench.worker import BenchSpec, Cell, run_worker
from robustmm.config.recipe import Recipe
from robustmm.data.loading import targets
from robustmm.data.manifest import class_names, read_manifest
from robustmm.errors import InterruptedRun, RobustmmError, UnwritableError, UsageError, check_regular, explain_write
from robustmm.exporting.export import BlankData
from robustmm.methods import build_method
from robustmm.metrics.paired import CLEAN, MEAN, CellResult
from robustmm.results import BenchFacts, CellFacts
from robustmm.system import defer_signals, lock_file, start_resource_tracker
from robustmm.training.build import build_model, effective_recipe, refuse_too_large

PROTOCOL = 2
"""Increased when the same cell would be trained or scored otherwise, so that old cells are not mixed with new ones."""


class Watcher(Protocol):
    """Follows the bench: a cell is "kept" from before, "started", at a "begin" or an "epoch", or has "ended"."""

    def event(self, cell: Cell, what: str, value: Any) -> None: ...


def plan_cells(recipe: Recipe, methods: Sequence[str], seeds: Sequence[int], setting: BenchSpec) -> list[Cell]:
    """The cells. Raises UsageError with every method's refusal at once, before anything is trained.

    A method's seeds follow each other: workers then train teachers of different seeds, none twice.
    """
    table = read_manifest(setting.manifest, setting.inside)
    classes = class_names(table.split("train").labels)
    for split in ("valid", "test"):
        targets(table.split(split), classes)  # an unknown label is reported now, not after the training
    names = [m.name for m in recipe.modalities]
    modalities = [m.fit_to(["text"] if m.kind == "text" else []) for m in recipe.modalities]  # what training learns
    for condition in setting.conditions:
        condition.changed_modalities(modalities)
        if condition.name in {CLEAN, MEAN, *subset_names(names)}:
            raise UsageError(f'the bench has a column "{condition.name}" of its own; call the condition otherwise')
    blank = build_model(recipe, modalities, len(classes))
    shared: list[Any] = [PROTOCOL, environment(), hashlib.sha256(table.path.read_bytes()).hexdigest()]
    shared += [[asdict(c) for c in setting.conditions], setting.on_bad]
    refusals, cells = [], []
    for name in methods:
        own = recipe.model_copy(update={"method": {**recipe.method, "name": name}})
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                own = effective_recipe(own)
            chosen = build_method(own.method_name, own.method_options)
            with refuse_too_large(own):
                chosen.setup(copy.deepcopy(blank), BlankData(modalities, {"classes": classes}))
        except UsageError as error:
            refusals.append(f"{name}: {error}")
            continue
        for warning in caught:
            warnings.warn(f"{name}: {warning.message}", stacklevel=2)
        for seed in seeds:
            content = own.model_copy(update={"train": own.train.model_copy(update={"seed": seed})}).model_dump()
            text = json.dumps([{**content, "name": ""}, name, *shared], sort_keys=True)
            cells.append(Cell(name, seed, content, hashlib.sha256(text.encode()).hexdigest()[:20]))
    if refusals:
        raise UsageError("\n".join(refusals))
    return cells


def read_result(out: Path, cell: Cell) -> CellResult | None:
    """A cell's result, or None where `out` has no whole one."""
    check_regular(out / "cells" / f"{cell.key}.json")
    try:
        return CellResult.model_validate_json((out / "cells" / f"{cell.key}.json").read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None


def run_bench(
    cells: Sequence[Cell],
    setting: BenchSpec,
    out: Path,
    *,
    workers: int,
    watcher: Watcher,
    baseline: str | None = None,
) -> list[CellResult]:
    """Results of all cells; those already in `out` are not trained again. The `baseline`, by default the first method,
    is noted for the report.

    A cell that fails does not stop the others: afterwards its error is raised, with the first one's exit code. Ctrl-C
    raises InterruptedRun. After both, and after a kill, the same call goes on from every cell's last whole epoch.
    """
    files.remove_partial_files(out.rglob(".*.part"))
    whole = all(read_result(out, cell) for cell in cells)
    with nullcontext() if whole else lock_folder(out):  # reading needs none
        with suppress(UnwritableError) if whole else nullcontext():
            note_question(out, cells, setting, baseline)
        waiting = [cell for cell in cells if read_result(out, cell) is None]
        for cell in cells:
            if cell not in waiting:
                watcher.event(cell, "kept", None)
        running: dict[Connection, tuple[Cell, SpawnProcess]] = {}
        errors: dict[str, RobustmmError] = {}
        what: str
        value: Any
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    cell = waiting.pop(0)
                    running.update([start_worker(cell, setting, out)])
                    watcher.event(cell, "started", None)
                for pipe in wait(list(running)):
                    assert isinstance(pipe, Connection)
                    cell, process = running[pipe]
                    try:
                        what, value = pipe.recv()
                    except (EOFError, OSError):  # it has ended, or was ended in the middle of a message
                        process.join()
                        del running[pipe]
                        what, value = "ended", read_result(out, cell) is not None
                        if not value:
                            errors.setdefault(cell.key, exit_error(cell, process.exitcode))
                    if what == "broken":
                        raise RuntimeError(f"{cell}:\n{value}")
                    if what == "failed":
                        errors[cell.key] = cell_error(cell, *value)
                    else:
                        watcher.event(cell, what, value)
        except KeyboardInterrupt:
            done = sum(read_result(out, cell) is not None for cell in cells)
            raise InterruptedRun(f"stopped with {describe_kept(done, len(cells), out)}") from None
        finally:
            for _, process in running.values():
                process.terminate()
                process.join()
        results = [result for cell in cells if (result := read_result(out, cell)) is not None]
        if errors:
            said = [*map(str, errors.values()), describe_kept(len(results), len(cells), out)]
            raise build_error("\n".join(said), next(iter(errors.values())).exit_code)
        return results


def describe_kept(done: int, cells: int, out: Path) -> str:
    kept = f"every whole epoch is kept in {out}"
    return f"{done} of {cells} trainings done; {kept}, the same command continues with the rest"


def note_question(out: Path, cells: Sequence[Cell], setting: BenchSpec, baseline: str | None) -> None:
    """Writes bench.json: which of the cells in `out` belong together."""
    if not cells:
        return
    facts = BenchFacts(
        recipe=cells[0].recipe.get("name", ""),
        manifest=os.fsencode(setting.manifest).decode(errors="replace"),
        baseline=baseline or cells[0].method,
        cells=[CellFacts(method=cell.method, seed=cell.seed, key=cell.key) for cell in cells],
    )
    try:
        files.write_file(out / "bench.json", facts.model_dump_json(indent=1).encode())
    except UnwritableError as error:
        done = sum(read_result(out, cell) is not None for cell in cells)
        raise UnwritableError(f"{out} cannot be written", error.reason, describe_kept(done, len(cells), out)) from error


def start_worker(cell: Cell, setting: BenchSpec, out: Path) -> tuple[Connection, tuple[Cell, SpawnProcess]]:
    """A worker at work on a cell, and the pipe it reports through.

    A pipe each, not one queue: a worker that is killed must not take a lock with it. Workers ignore Ctrl-C; the
    parent handles it.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    kind = hashlib.sha256(json.dumps(environment()).encode()).hexdigest()[:8]
    process = context.Process(target=run_worker, args=(cell, setting, out, out / "answers" / kind, theirs), daemon=True)
    threads = os.environ.get("OMP_NUM_THREADS")
    start_resource_tracker()
    with defer_signals():
        os.environ["OMP_NUM_THREADS"] = str(cell.threads)
        try:
            process.start()
        finally:
            os.environ.pop("OMP_NUM_THREADS")
            os.environ.update({} if threads is None else {"OMP_NUM_THREADS": threads})
    theirs.close()
    return ours, (cell, process)


@contextmanager
def lock_folder(out: Path) -> Iterator[None]:
    """One bench at a time writes into a folder (where the system has file locks)."""
    with explain_write(out, "cannot be the folder of a bench"):
        (out / "cells").mkdir(parents=True, exist_ok=True)
        file = (out / ".lock").open("w")
    with file:
        if lock_file(file) is False:
            raise UsageError(f"another bench is at work in {out}; wait for it, or give another --out")
        yield


def cell_error(cell: Cell, sentences: str, code: int) -> RobustmmError:
    """A worker's error, which names the cell."""
    return build_error("\n".join(f"{cell}: {sentence}" for sentence in sentences.splitlines()), code)


def exit_error(cell: Cell, code: int | None) -> RobustmmError:
    """A process that ended without a message: out of memory, most often."""
    how = f"was ended by signal {-code} (out of memory?)" if code and code < 0 else f"ended with code {code}"
    return build_error(f"{cell}: its process {how}", InterruptedRun.exit_code)


def build_error(said: str, code: int) -> RobustmmError:
    error = RobustmmError(said)
    error.exit_code = code
    return error
