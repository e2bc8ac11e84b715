"""The balance of parts, against every cut that there is and against a sum of its own."""

import math
import runpy
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustmm.auditing.parts.costs import Costs
from robustmm.auditing.parts.divide import PRECISION, WHOLE, Task, divide_tasks, list_tasks


def priced(embeddings: list[float], wanted: list[list[int]], chunks: int = 2, **more: float | list[float]) -> Costs:
    fields = {"reading": 0.5, "deciding": 0.25, "writing": 1.0, "floor": 3.0, "searches": [], "finish": 0.0}
    return Costs(**fields | {"embeddings": embeddings, "wanted": wanted, "projecting": [0.0] * chunks} | more)


def total(costs: Costs, chunks: list[int], tasks: list[Task]) -> float:
    """What one process spends on these tasks, chunk by chunk: a second opinion."""
    seconds = 0.0
    for task in tasks:
        if task.chunk == WHOLE:
            seconds += costs.floor if task.number == 0 else costs.searches[task.number - 1]
    for chunk, rows in enumerate(chunks):
        numbers = [task.number for task in tasks if task.chunk == chunk]
        if numbers:
            made = {part for number in numbers for part in costs.wanted[number]}
            seconds += rows * (costs.reading + sum(costs.embeddings[part] for part in made))
            seconds += len(numbers) * (rows * costs.deciding + costs.writing)
            seconds += costs.projecting[chunk] if 0 in numbers else 0.0
    return seconds


def test_by_hand() -> None:
    """Two chunks of 2 and 1 samples, clean and one condition that corrupts the second of two inputs."""
    costs = priced([1.0, 2.0, 4.0], [[0, 1], [0, 2]], projecting=[10.0, 0.0], searches=[7.0])
    tasks = list_tasks(costs, [2, 1])
    assert tasks == [Task(-1, 0), Task(-1, 1), Task(0, 0), Task(0, 1), Task(1, 0), Task(1, 1)]
    (whole,) = divide_tasks(costs, [2, 1], tasks, 1)
    first = 2 * (0.5 + 0.25 + 1 + 2) + 1 + 10
    assert whole.seconds == 3 + 7 + first + 2 * (0.25 + 4) + 1 + (0.5 + 0.25 + 3 + 1) + (0.25 + 4 + 1)
    assert (whole.has_floor, whole.searches, whole.cells) == (True, [0], {0: [0, 1], 1: [0, 1]})
    alone = divide_tasks(costs, [2, 1], tasks, 6)
    assert [part.tasks for part in alone][:3] == [tasks[:2], tasks[2:3], tasks[3:5]], "the clean cell is the longest"
    assert max(part.seconds for part in alone) == first
    assert alone[2].seconds == 2 * (0.5 + 0.25 + 1 + 4) + 1 + (0.5 + 0.25 + 3 + 1), "read and encoded again"


small = st.lists(st.floats(0.001, 10), min_size=2, max_size=6)


@settings(max_examples=60)
@given(
    embeddings=small, parts=st.integers(1, 5), seed=st.integers(0, 99), searches=st.lists(st.floats(0, 50), max_size=2)
)
def test_no_cut_is_shorter(embeddings: list[float], parts: int, seed: int, searches: list[float]) -> None:
    """Of all ways to cut the line, the longest part of none is shorter; every task is in one part; sums are true."""
    rng = np.random.default_rng(seed)
    first = [number for number in range(len(embeddings)) if number != 1]  # of one input; 1 is of another
    wanted = [[0, 1], *([int(rng.choice(first)), 1] for _ in range(2))]
    chunks = [int(n) for n in rng.integers(1, 9, 2)]
    costs = priced(embeddings, wanted, searches=searches)
    tasks = list_tasks(costs, chunks)
    found = divide_tasks(costs, chunks, tasks, parts)
    assert len(found) == parts
    assert [task for part in found for task in part.tasks] == tasks
    for part in found:
        assert part.seconds == pytest.approx(total(costs, chunks, part.tasks))
    best = math.inf
    for cuts in combinations(range(1, len(tasks)), min(parts, len(tasks)) - 1):
        edges = [0, *cuts, len(tasks)]
        pieces = [tasks[a:b] for a, b in pairwise(edges)]
        best = min(best, max(total(costs, chunks, piece) for piece in pieces))
    assert max(part.seconds for part in found) <= best * (1 + 2 * PRECISION)


def test_a_thousand_parts_of_a_large_audit_are_even() -> None:
    """150 conditions on 50,000 samples: the simulation of benchmarks/balance.py, whose table docs/scale.md has."""
    script = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks" / "balance.py"))
    costs, chunks = script["draw_costs"]()
    tasks = list_tasks(costs, chunks)
    seconds = [part.seconds for part in divide_tasks(costs, chunks, tasks, 1000)]
    assert len(seconds) == 1000
    assert max(seconds) <= 1.1 * sum(seconds) / 1000
    assert sum(seconds) <= 1.1 * total(costs, chunks, tasks), "what parts do twice is little"


def test_empty_parts_are_last() -> None:
    costs = priced([1.0, 1.0], [[0, 1]], 1)
    found = divide_tasks(costs, [4], list_tasks(costs, [4]), 5)
    assert [len(part.tasks) for part in found] == [1, 1, 0, 0, 0]
    assert [part.seconds for part in found[2:]] == [0.0] * 3
    assert divide_tasks(costs, [4], [], 2)[1].cells == {}
