"""Cells and trials at work: in how many worker processes, which are done already, and what is kept where."""

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError

from robustmm import files
from robustmm.bench.cell import environment
from robustmm.bench.worker import BenchSpec, Cell, run_worker
from robustmm.errors import InterruptedRun, RobustmmError, UnwritableError, UsageError, check_regular, explain_write
from robustmm.metrics.paired import CellResult
from robustmm.results import BenchFacts, CellFacts
from robustmm.system import defer_signals, lock_file, start_resource_tracker
from robustmm.workers.ray_cluster import RayCluster

R = TypeVar("R")


class Watcher(Protocol):
    """Follows the bench: a cell is "kept" from before, "started", at a "begin" or an "epoch", or has "ended"."""

    def event(self, cell: Cell, what: str, value: Any) -> None: ...


def read_result(out: Path, cell: Cell) -> CellResult | None:
    """A cell's result, or None where `out` has no whole one."""
    check_regular(cell.result_file(out))
    try:
        return CellResult.model_validate_json(cell.result_file(out).read_bytes())
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
    margin: float = 0.01,
    tuned: bool = False,
    cluster: RayCluster | None = None,
) -> list[CellResult]:
    """Results of all cells; those already in `out` are not trained again. The `baseline`, by default the first method,
    is noted for the report, as are the `margin` of equivalence and whether settings were `tuned`. Cells are trained in
    processes here, or on a `cluster`. Errors: `run_cells`.
    """
    files.remove_partial_files(out.rglob(".*.part"))
    whole = all(read_result(out, cell) for cell in cells)
    with nullcontext() if whole else lock_folder(out):  # reading needs none
        with suppress(UnwritableError) if whole else nullcontext():
            note_question(out, cells, setting, baseline, margin, tuned)
        return run_cells(cells, setting, out, workers=workers, watcher=watcher, read=read_result, cluster=cluster)


def run_cells(
    cells: Sequence[Cell],
    setting: BenchSpec,
    out: Path,
    *,
    workers: int,
    watcher: Watcher,
    read: Callable[[Path, Cell], R | None],
    cluster: RayCluster | None = None,
) -> list[R]:
    """What `read` finds of every cell when it is done; those already in `out` are not trained again.

    A cell that fails does not stop the others: afterwards its error is raised, with the first one's exit code. Ctrl-C
    raises InterruptedRun. After both, and after a kill, the same call goes on from every cell's last whole epoch, and
    on a cluster with those that are not whole.
    """
    waiting = [cell for cell in cells if read(out, cell) is None]
    for cell in cells:
        if cell not in waiting:
            watcher.event(cell, "kept", None)
    try:
        errors = (
            _run_away(waiting, setting, out, cluster, watcher, read)
            if cluster
            else _run_here(waiting, setting, out, workers, watcher, read)
        )
    except KeyboardInterrupt:
        done = sum(read(out, cell) is not None for cell in cells)
        raise InterruptedRun(f"stopped with {describe_kept(done, len(cells), out, cluster)}") from None
    results = [result for cell in cells if (result := read(out, cell)) is not None]
    if errors:
        said = [*map(str, errors.values()), describe_kept(len(results), len(cells), out, cluster)]
        raise build_error("\n".join(said), next(iter(errors.values())).exit_code)
    return results


def _run_away(
    waiting: Sequence[Cell],
    setting: BenchSpec,
    out: Path,
    cluster: RayCluster,
    watcher: Watcher,
    read: Callable[[Path, Cell], object],
) -> dict[str, RobustmmError]:
    """Trains cells on a cluster: the errors of those that failed, by their keys."""
    from robustmm.bench.on_ray import run_on_ray

    left = list(waiting)

    def tick() -> None:
        for cell in [cell for cell in left if read(out, cell) is not None]:
            left.remove(cell)
            watcher.event(cell, "started", None)
            watcher.event(cell, "ended", True)

    errors = {}
    for cell, messages in zip(waiting, run_on_ray(waiting, setting, out, cluster, tick), strict=True):
        for what, value in messages:
            if what == "broken":
                raise RuntimeError(f"{cell}:\n{value}")
            errors[cell.key] = cell_error(cell, *value)
    return errors


def _run_here(
    waiting: list[Cell],
    setting: BenchSpec,
    out: Path,
    workers: int,
    watcher: Watcher,
    read: Callable[[Path, Cell], object],
) -> dict[str, RobustmmError]:
    """Trains cells in processes of this machine: the errors of those that failed, by their keys."""
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
                    what, value = "ended", read(out, cell) is not None
                    if not value:
                        errors.setdefault(cell.key, exit_error(cell, process.exitcode))
                if what == "broken":
                    raise RuntimeError(f"{cell}:\n{value}")
                if what == "failed":
                    errors[cell.key] = cell_error(cell, *value)
                else:
                    watcher.event(cell, what, value)
    finally:
        for _, process in running.values():
            process.terminate()
            process.join()
    return errors


def describe_kept(done: int, cells: int, out: Path, cluster: RayCluster | None = None) -> str:
    kept = f"{'those are' if cluster else 'every whole epoch is'} kept in {out}"
    return f"{done} of {cells} trainings done; {kept}, the same command continues with the rest"


def note_question(
    out: Path, cells: Sequence[Cell], setting: BenchSpec, baseline: str | None, margin: float, tuned: bool
) -> None:
    """Writes bench.json: which of the cells in `out` belong together."""
    if not cells:
        return
    facts = BenchFacts(
        recipe=cells[0].recipe.get("name", ""),
        manifest=os.fsencode(setting.manifest).decode(errors="replace"),
        baseline=baseline or cells[0].method,
        margin=margin,
        tuned=tuned,
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
