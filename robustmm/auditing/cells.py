"""A pass over the samples: the cells of some conditions, made where they are not there yet."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from robustmm.auditing.spec import Setting, Work, work
from robustmm.auditing.store import Store, parsed, whole
from robustmm.auditing.workers import Crew
from robustmm.conditions.condition import Condition
from robustmm.evaluation.evaluate import Evaluation
from robustmm.evaluation.records import Records, joined

BAD = ".bad.json"
Sentences = TypeAdapter(list[str])


class Pass:
    """Some conditions of a setting and the keys of their cells; every process makes its own, once."""

    def __init__(self, made: Work, conditions: Sequence[Condition], folder: Path, crossed: bool) -> None:
        self.crossed = crossed
        self.work, self.store = made, Store(folder)
        self.evaluation: Evaluation = made.evaluation(conditions)
        self.keys = made.keys(self.evaluation, crossed)
        self._clean: Records | None = None

    def wanting(self, chunk: int) -> list[int]:
        """Conditions whose cell of a chunk is not there."""
        return [k for k, keys in enumerate(self.keys) if not self.store.has(keys[chunk])]

    def make(self, chunk: int) -> None:
        """Makes the cells that a chunk wants."""
        wanting = self.wanting(chunk)
        if not wanting:
            return
        rows = self.work.chunks[chunk]
        samples = self.evaluation.read(rows)
        if wanting[0] == 0:
            self._tell(chunk, samples.bad)
        crossed = self.crossed and self.work.crossed(chunk)
        for number, records in self.evaluation.records(rows, samples, wanting, crossed):
            self.store.put(self.keys[number][chunk], records)

    def _tell(self, chunk: int, bad: list[str]) -> None:
        """Keeps what could not be read of a chunk, beside the first condition's cell."""
        text = json.dumps(bad)
        whole(self.store.path(self.keys[0][chunk], BAD), lambda file: file.write(text.encode()))

    def records(self, number: int) -> Records:
        """A condition's records, in the manifest's order."""
        parts = []
        for chunk, key in enumerate(self.keys[number]):
            found = self.store.get(key)
            if found is None:  # damaged or taken away since
                self.make(chunk)
                found = self.store.get(key)
            assert found is not None
            parts.append(found)
        order = np.argsort(np.concatenate([np.array(rows) for rows in self.work.chunks]), kind="stable")
        return joined(parts).take(order)

    def clean(self) -> Records:
        """The first condition's records, kept: all others are compared with them."""
        if self._clean is None:
            self._clean = self.records(0)
        return self._clean

    def bad(self) -> list[str]:
        """What could not be read, a sentence each, in the manifest's order."""
        found: list[str] = []
        for chunk, key in enumerate(self.keys[0]):
            told = parsed(self.store.path(key, BAD), Sentences.validate_json)
            if told is None:  # damaged or taken away since
                told = self.evaluation.read(self.work.chunks[chunk]).bad
                self._tell(chunk, told)
            found += told
        before = f"{self.work.rows.path} line "
        return sorted(found, key=lambda sentence: int(sentence.removeprefix(before).partition(" ")[0]))


_CURRENT: dict[str, Pass] = {}


def current(setting: Setting, conditions: Sequence[Condition], folder: Path, crossed: bool = True) -> Pass:
    """This process's pass; the last one is kept, since the next job is most often of the same. `crossed` passes measure
    the additive projection too."""
    name = repr((setting, conditions, folder, crossed))
    if name not in _CURRENT:
        _CURRENT.clear()
        _CURRENT[name] = Pass(work(setting), conditions, folder, crossed)
    return _CURRENT[name]


def make(setting: Setting, conditions: Sequence[Condition], folder: Path, crossed: bool, chunk: int) -> None:
    current(setting, conditions, folder, crossed).make(chunk)


def made(
    crew: Crew,
    setting: Setting,
    conditions: Sequence[Condition],
    folder: Path,
    advance: Callable[[int], None],
    crossed: bool = True,
) -> Pass:
    """The pass with all its cells; `advance` is told how many have come."""
    here = current(setting, conditions, folder, crossed)
    left = {(k, chunk) for chunk in range(len(here.work.chunks)) for k in here.wanting(chunk)}
    advance(len(conditions) * len(here.work.chunks) - len(left))

    def tick() -> None:
        come = {(k, chunk) for k, chunk in left if here.store.has(here.keys[k][chunk])}
        left.difference_update(come)
        advance(len(come))

    wanted = sorted({chunk for _, chunk in left})
    for _ in crew.each(make, [(setting, conditions, folder, crossed, chunk) for chunk in wanted], tick):
        pass
    tick()
    return here
