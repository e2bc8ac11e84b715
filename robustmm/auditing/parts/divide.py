"""The work of a plan divided among parts of about equal cost.

A chunk's samples are read, and their clean inputs encoded, once a part that has any of its cells. So the cells stand in
a line, chunk by chunk, the line is cut into as many pieces as there are parts, and the longest piece is made as short
as cuts allow: a limit is found by halving, up to which every part is filled.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from robustmm.auditing.parts.costs import Costs

PRECISION = 1e-3
"""Of the longest part's seconds."""
WHOLE = -1
"""In place of a chunk: tasks that are not divided, the noise floor and then every search."""


class Task(NamedTuple):
    """A condition on a chunk; or, on no chunk, number 0 the noise floor and n the nth search."""

    chunk: int
    number: int


@dataclass(frozen=True)
class Part:
    """The work of one part, which may be none. `cells`: the conditions of each chunk."""

    tasks: list[Task]
    seconds: float
    cells: dict[int, list[int]] = field(init=False)

    def __post_init__(self) -> None:
        found: dict[int, list[int]] = {}
        for task in self.tasks:
            if task.chunk != WHOLE:
                found.setdefault(task.chunk, []).append(task.number)
        object.__setattr__(self, "cells", found)

    @property
    def has_floor(self) -> bool:
        return Task(WHOLE, 0) in self.tasks

    @property
    def searches(self) -> list[int]:
        """Numbers of the searches, from 0."""
        return [task.number - 1 for task in self.tasks if task.chunk == WHOLE and task.number]


def list_tasks(costs: Costs, chunks: Sequence[int]) -> list[Task]:
    """All tasks of a plan whose chunks have these sizes, in their line."""
    whole = [Task(WHOLE, number) for number in range(1 + len(costs.searches))]
    return whole + [Task(chunk, number) for chunk in range(len(chunks)) for number in range(len(costs.wanted))]


def divide_tasks(costs: Costs, chunks: Sequence[int], tasks: Sequence[Task], parts: int) -> list[Part]:
    """The tasks in this many parts, in their order; the last ones are empty where there are fewer tasks. The same for
    the same plan, on every machine."""
    best = fill_parts(costs, chunks, tasks, math.inf, 1) or []
    low = sum(part.seconds for part in best) / parts  # none is shorter than the mean
    high, step = low * parts, PRECISION * low
    while high - low > PRECISION * high:  # the best limit is most often a little above the mean
        limit = min(low + step, (low + high) / 2)
        if found := fill_parts(costs, chunks, tasks, limit, parts):
            best, high = found, limit
        else:
            low, step = limit, 2 * step
    return best + [Part([], 0.0) for _ in range(parts - len(best))]


def fill_parts(
    costs: Costs, chunks: Sequence[int], tasks: Sequence[Task], limit: float, parts: int
) -> list[Part] | None:
    """Every part filled up to `limit` seconds, in the order of the tasks; None where that takes more than `parts`."""
    found: list[Part] = []
    held: list[Task] = []
    made: set[int] = set()
    seconds = 0.0
    for task in tasks:
        if not held or held[-1].chunk != task.chunk:
            made = set()
        more = _price_task(costs, chunks, task, made, begun=bool(made))
        if held and seconds + more > limit:
            found.append(Part(held, seconds))
            held, seconds, made = [], 0.0, set()
            more = _price_task(costs, chunks, task, made, begun=False)
        if more > limit or len(found) == parts:
            return None
        held.append(task)
        seconds += more
        made.update(costs.wanted[task.number] if task.chunk != WHOLE else ())
    return [*found, Part(held, seconds)] if held else found


def _price_task(costs: Costs, chunks: Sequence[int], task: Task, made: set[int], begun: bool) -> float:
    """Seconds of a task after those that made some embeddings of its chunk, and had begun to read it."""
    if task.chunk == WHOLE:
        return costs.searches[task.number - 1] if task.number else costs.floor
    each = costs.deciding + (0.0 if begun else costs.reading)
    for part in costs.wanted[task.number]:
        each += 0.0 if part in made else costs.embeddings[part]
    return chunks[task.chunk] * each + costs.writing + (costs.projecting[task.chunk] if task.number == 0 else 0.0)
