"""A pass over the samples: makes the missing cells of some conditions."""

import json
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from robustmm.auditing.spec import OpenedSpec, Spec, open_spec
from robustmm.auditing.store import Store, read_cell, write_cell
from robustmm.conditions.condition import Condition
from robustmm.evaluation.evaluate import Evaluation
from robustmm.evaluation.records import Records, join_records
from robustmm.workers.processes import WorkerPool

BAD = ".bad.json"
Piece = tuple[int, Sequence[int]]
"""A chunk, and the conditions of its cells: a job of one process."""
Sentences = TypeAdapter(list[str])


class EvaluationPass:
    """Some conditions of a spec and the keys of their cells; every process builds its own, once."""

    def __init__(self, opened: OpenedSpec, conditions: Sequence[Condition], folder: Path) -> None:
        self.work, self.store = opened, Store(folder)
        self.evaluation: Evaluation = opened.build_evaluation(conditions)
        self.keys = opened.cell_keys(self.evaluation)
        self._clean: Records | None = None

    def missing_cells(self, chunk: int, numbers: Sequence[int] | None = None) -> list[int]:
        """Those of these conditions, or of all, that have no cell of a chunk."""
        asked = range(len(self.keys)) if numbers is None else numbers
        return [k for k in asked if not self.store.has(self.keys[k][chunk])]

    def complete_chunk(self, chunk: int, numbers: Sequence[int] | None = None) -> None:
        """Makes the missing cells of a chunk, of these conditions or of all."""
        missing = self.missing_cells(chunk, numbers)
        if not missing:
            return
        rows = self.work.chunks[chunk]
        samples = self.evaluation.read(rows)
        if missing[0] == 0:
            self._write_bad_inputs(chunk, samples.bad)
        for number, records in self.evaluation.records(rows, samples, missing, self.work.measures_emap(chunk)):
            self.store.put(self.keys[number][chunk], records)

    def _write_bad_inputs(self, chunk: int, bad: list[str]) -> None:
        """Writes the errors of unreadable inputs of a chunk, beside the first condition's cell."""
        write_cell(self.store.path(self.keys[0][chunk], BAD), json.dumps(bad).encode())

    def read_records(self, number: int) -> Records:
        """A condition's records, in the manifest's order."""
        parts = []
        for chunk, key in enumerate(self.keys[number]):
            found = self.store.get(key)
            if found is None:  # damaged or taken away since
                self.complete_chunk(chunk)
                found = self.store.get(key)
            assert found is not None
            parts.append(found)
        order = np.argsort(np.concatenate([np.array(rows) for rows in self.work.chunks]), kind="stable")
        return join_records(parts).take(order)

    def clean_records(self) -> Records:
        """The first condition's records, kept: all others are compared with them."""
        if self._clean is None:
            self._clean = self.read_records(0)
        return self._clean

    def read_bad_inputs(self, chunk: int) -> list[str]:
        """The errors of unreadable inputs of a chunk."""
        sentences = read_cell(self.store.path(self.keys[0][chunk], BAD), Sentences.validate_json)
        if sentences is None:  # damaged or taken away since
            sentences = self.evaluation.read(self.work.chunks[chunk]).bad
            self._write_bad_inputs(chunk, sentences)
        return sentences

    def bad_inputs(self) -> list[str]:
        """The errors of unreadable inputs, a sentence each, in the manifest's order."""
        found = [sentence for chunk in range(len(self.work.chunks)) for sentence in self.read_bad_inputs(chunk)]
        before = f"{self.work.rows.path} line "
        return sorted(found, key=lambda sentence: int(sentence.removeprefix(before).partition(" ")[0]))


_CURRENT: dict[str, EvaluationPass] = {}


def current_pass(spec: Spec, conditions: Sequence[Condition], folder: Path) -> EvaluationPass:
    """This process's pass; the last one is kept, since the next job is most often of the same."""
    name = repr((spec, conditions, folder))
    if name not in _CURRENT:
        _CURRENT.clear()
        _CURRENT[name] = EvaluationPass(open_spec(spec), conditions, folder)
    return _CURRENT[name]


def count_cells(spec: Spec, conditions: Sequence[Condition], folder: Path) -> tuple[int, int]:
    """How many cells of the conditions are there, and of how many."""
    here = current_pass(spec, conditions, folder)
    keys = [key for keys in here.keys for key in keys]
    return sum(map(here.store.has, keys)), len(keys)


def make_cells(spec: Spec, conditions: Sequence[Condition], folder: Path, chunk: int, numbers: Sequence[int]) -> None:
    current_pass(spec, conditions, folder).complete_chunk(chunk, numbers)


def divide_pass(conditions: int, chunks: int, most: int | None = None) -> list[Piece]:
    """All cells of a pass: a piece for every chunk, or for every `most` conditions of one."""
    step = most or max(1, conditions)
    return [(c, range(k, min(k + step, conditions))) for c in range(chunks) for k in range(0, conditions, step)]


def run_pass(
    pool: WorkerPool,
    spec: Spec,
    conditions: Sequence[Condition],
    folder: Path,
    advance: Callable[[int], None],
    asked: Sequence[Piece],
) -> EvaluationPass:
    """The pass with the cells of some pieces; `advance` gets the number of new cells."""
    here = current_pass(spec, conditions, folder)
    left = [(chunk, deque(here.missing_cells(chunk, numbers))) for chunk, numbers in asked]
    advance(sum(len(numbers) for _, numbers in asked) - sum(len(missing) for _, missing in left))
    wanted = [piece for piece, (_, missing) in zip(asked, left, strict=True) if missing]

    def tick() -> None:
        """Looks for the next cell of every piece, which come in their order: not for all, each time."""
        come = 0
        for chunk, missing in left:
            while missing and here.store.has(here.keys[missing[0]][chunk]):
                missing.popleft()
                come += 1
        advance(come)

    pool.make(make_cells, [(spec, conditions, folder, *piece) for piece in wanted], tick)
    tick()
    return here
