"""Methods x seeds: every cell trained in a process of its own and scored on the test split, resumable."""

import hashlib
import json
import multiprocessing
import resource
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import Empty
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from robustmm import contribution, metrics, runs, training
from robustmm.build import effective_recipe, fused_model
from robustmm.comparison import CellResult
from robustmm.errors import InterruptedRun, RobustmmError, UsageError
from robustmm.evaluate import Condition, evaluate
from robustmm.export import Facts
from robustmm.manifest import Manifest, class_names, read
from robustmm.methods import method
from robustmm.reading import OnBad, fed, stream, targets
from robustmm.recipe import Recipe
from robustmm.runs import Run
from robustmm.torch_session import TorchSession

CLEAN, MEAN = "clean", "mean over subsets"
ALL_SUBSETS = 8
"""Modalities up to which every subset is scored; above, each alone, all but each, and all."""


@dataclass(frozen=True)
class Cell:
    """One training of the bench. The key names everything its numbers depend on."""

    method: str
    seed: int
    recipe: dict[str, Any]
    key: str


class Watcher(Protocol):
    """Who follows the bench."""

    def event(self, cell: Cell, what: str, value: Any) -> None: ...


def plan(
    recipe: Recipe, manifest: Path, methods: Sequence[str], seeds: Sequence[int], conditions: Sequence[Condition],
    threads: int,
) -> list[Cell]:  # fmt: skip
    """The cells, seed by seed. Raises UsageError with every refusal at once, before anything is trained."""
    table = read(manifest)
    classes = class_names(table.split("train").labels)
    table.split("valid"), table.split("test")
    for condition in conditions:
        condition.touched(recipe.modalities)
    fixed = (hashlib.sha256(manifest.read_bytes()).hexdigest(), [asdict(c) for c in conditions], threads, PROTOCOL)
    refusals, cells = [], []
    for seed in seeds:
        for name in methods:
            table_of = {**recipe.method, "name": name}
            own = recipe.model_copy(
                update={"method": table_of, "train": recipe.train.model_copy(update={"seed": seed})}
            )
            try:
                own = effective_recipe(own)
                model = fused_model(own, own.modalities, len(classes))
                method(own.method_name, own.method_options).setup(
                    model, Facts(own.modalities, {"classes": classes, "seed": seed})
                )
            except UsageError as error:
                refusals += [f"{name}: {error}"] if seed == seeds[0] else []
                continue
            content = own.model_dump()
            text = json.dumps([{**content, "name": ""}, fixed], sort_keys=True)
            cells.append(Cell(name, seed, content, hashlib.sha256(text.encode()).hexdigest()[:20]))
    if refusals:
        raise UsageError("\n".join(refusals))
    return cells


PROTOCOL = 1
"""Raised when the same recipe would give other numbers, so that kept cells are not mixed with new ones."""


def bench(
    cells: Sequence[Cell], manifest: Path, out: Path, conditions: Sequence[Condition], *,
    workers: int, threads: int, on_bad: OnBad, watcher: Watcher,
) -> list[CellResult]:  # fmt: skip
    """Results of all cells; those that stand in `out` are not trained again. A cell that fails does not stop the
    others; then the first error is raised. Ctrl-C raises InterruptedRun, and the same call goes on."""
    try:
        (out / "cells").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{out} cannot be made: {error.strerror}") from error
    context = multiprocessing.get_context("spawn")
    events: Any = context.Queue()
    waiting = [cell for cell in cells if kept(out, cell) is None]
    running: dict[BaseProcess, Cell] = {}
    failed: list[RobustmmError] = []
    for cell in cells:
        if cell not in waiting:
            watcher.event(cell, "kept", None)
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                cell = waiting.pop(0)
                task = (cell, manifest, out, list(conditions), threads, on_bad, events)
                process: BaseProcess = context.Process(target=work, args=task, daemon=True)
                process.start()
                running[process] = cell
                watcher.event(cell, "started", None)
            with suppress(Empty):
                key, what, value = events.get(timeout=0.2)
                if cell_of := next((c for c in running.values() if c.key == key), None):
                    if what == "failed":
                        failed.append(_error(cell_of, value))
                    watcher.event(cell_of, what, value)
                continue
            for process in [p for p in running if not p.is_alive()]:
                cell = running.pop(process)
                if kept(out, cell) is None and not any(f"{cell.method}, seed {cell.seed}:" in str(e) for e in failed):
                    failed.append(UsageError(f"{cell.method}, seed {cell.seed}: its process died ({process.exitcode})"))
                watcher.event(cell, "ended", kept(out, cell) is not None)
    except KeyboardInterrupt:
        for process in running:
            process.terminate()
        for process in running:
            process.join()
        done = sum(kept(out, cell) is not None for cell in cells)
        text = f"stopped with {done} of {len(cells)} trainings done; the same command continues with the rest"
        raise InterruptedRun(text) from None
    if failed:
        raise type(failed[0])("\n".join(map(str, failed)))
    return [result for cell in cells if (result := kept(out, cell)) is not None]


def _error(cell: Cell, told: tuple[type[RobustmmError], str]) -> RobustmmError:
    return told[0](f"{cell.method}, seed {cell.seed}: {told[1]}")


def kept(out: Path, cell: Cell) -> CellResult | None:
    """A cell's result, if it stands in `out`."""
    path = out / "cells" / f"{cell.key}.json"
    return CellResult.model_validate_json(path.read_bytes()) if path.is_file() else None


class Reporter:
    """Training's watcher in a worker: tells the parent, and keeps the time."""

    def __init__(self, key: str, events: Any) -> None:
        self.key, self.events, self.seconds, self.title = key, events, {"teacher": 0.0, "training": 0.0}, ""
        self.since = time.perf_counter()

    def begin(self, title: str, epochs: int, done: int, steps: int) -> None:
        self.close()
        self.title = title
        self.events.put((self.key, "begin", (title, epochs, done)))

    def step(self, count: int = 1) -> None: ...

    def epoch(self, row: Mapping[str, float]) -> None:
        self.events.put((self.key, "epoch", (row["epoch"], row["valid_accuracy"])))

    def close(self) -> None:
        kind = self.title.split(" ")[0]
        if kind in self.seconds:
            self.seconds[kind] += time.perf_counter() - self.since
        self.since, self.title = time.perf_counter(), ""


def work(
    cell: Cell, manifest: Path, out: Path, conditions: list[Condition], threads: int, on_bad: OnBad, events: Any
) -> None:
    """What a worker does: trains a cell, or goes on with it, and writes what it is worth."""
    try:
        torch.set_num_threads(threads)
        reporter = Reporter(cell.key, events)
        root = out / "runs" / cell.key
        recipe = Recipe.model_validate({**cell.recipe, "name": f"{cell.method.replace(':', '.')}-s{cell.seed}"})
        run = next((run for run in reversed(runs.every(root)) if _usable(run)), None)
        if run is None:
            run = training.train(recipe, manifest, root, reporter, on_bad, out / "answers")
        elif not run.finished:
            run = training.resume(run, reporter, out / "answers")
        reporter.close()
        result = scored(run, cell, read(manifest).split("test"), conditions, reporter.seconds, on_bad)
        runs.write(out / "cells" / f"{cell.key}.json", result.model_dump_json(indent=1).encode())
    except RobustmmError as error:
        events.put((cell.key, "failed", (type(error), str(error))))
    except KeyboardInterrupt:
        pass


def _usable(run: Run) -> bool:
    return run.finished or run.checkpoint.is_file()


def scored(
    run: Run, cell: Cell, test: Manifest, conditions: list[Condition], seconds: Mapping[str, float], on_bad: OnBad
) -> CellResult:
    """A finished run on the test split: clean, under each condition, and from each subset of modalities."""
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else _resident()
    session = TorchSession(run)
    facts = run.facts()
    target = targets(test, session.classes)
    answers = subsets(session, test, on_bad)
    found = {CLEAN: answers.pop("+".join(session.names))}
    records, _ = evaluate(session, test, conditions, seed=cell.seed, on_bad=on_bad) if conditions else ([], [])
    found |= {c.name: r.probabilities for c, r in zip(conditions, records, strict=True)}
    found |= {f"only {name}" if name in session.names else name: p for name, p in answers.items()}
    scores = {
        "accuracy": {name: metrics.accuracy(p, target) for name, p in found.items()},
        "nll": {name: metrics.nll(p, target) for name, p in found.items()},
        "macro_f1": {name: metrics.macro_f1(p, target) for name, p in found.items()},
    }
    of_subsets = [CLEAN, *(name for name in found if name != CLEAN and name not in {c.name for c in conditions})]
    for values in scores.values():
        values[MEAN] = float(np.mean([values[name] for name in of_subsets]))
    epochs = facts["progress"]["epoch"]
    return CellResult(
        method=cell.method,
        seed=cell.seed,
        **scores,
        valid_accuracy=facts["progress"]["best"]["valid_accuracy"],
        kept_epoch=facts["progress"]["best_epoch"],
        optimiser=facts["recipe"]["train"]["optimiser"],
        parameters=facts["parameters"],
        seconds=seconds["training"],
        teacher_seconds=seconds["teacher"],
        seconds_per_epoch=seconds["training"] / epochs,
        peak_mb=peak / 2**20,
        samples=len(test),
    )


def subsets(session: TorchSession, test: Manifest, on_bad: OnBad) -> dict[str, NDArray[np.float64]]:
    """Probabilities (samples, class) from every subset of modalities, "audio+image" all of them last."""
    M = len(session.names)
    if M <= ALL_SUBSETS:
        masks = sorted(contribution.subsets(M)[1:].tolist(), key=sum)
    else:
        one = np.eye(M, dtype=bool)
        masks = np.concatenate([one, ~one, np.ones((1, M), bool)]).tolist()
    parts: list[list[NDArray[np.float64]]] = [[] for _ in masks]
    for _, samples in stream(test, session.modalities, 64, on_bad):
        z = session.embeddings({m.name: fed(m, samples.signals[m.name]) for m in session.modalities}, len(samples.ids))
        for part, mask in zip(parts, masks, strict=True):
            part.append(session.decode(z, samples.present() & np.array(mask)))
    names = ["+".join(name for name, held in zip(session.names, mask, strict=True) if held) for mask in masks]
    return {name: np.concatenate(part) for name, part in zip(names, parts, strict=True)}


def _resident() -> int:
    """This process's peak memory in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
