"""The CPU threads of a training: those of its recipe; where it names none, what a few measured steps say.

How sums are shared out among threads rounds them differently, so that the number is part of what a run's bytes depend
on. It is settled before the first step and stands in the run's recipe: a resume, and a replay, use it again.
"""

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from robustmm import distributed
from robustmm.config.recipe import Recipe
from robustmm.config.tuning import Tuning
from robustmm.methods import Batch, Method
from robustmm.model.fusion_model import FusionModel
from robustmm.training.build import refuse_too_large
from robustmm.training.steps.freezing import Freezing

GAIN = 1.5
"""How many times as fast several threads have to be before they are taken. Far from a tie, so that what else the
machine does at the moment hardly ever changes the number, and with it the bytes."""
STEPS = 3
"""Timed steps of a turn, after one that warms up; one and several threads have two turns each."""
PATIENCE = 2.0
"""Seconds after which a turn ends early."""


@dataclass(frozen=True)
class Threads:
    """A number of threads, and the seconds of a step that decided: empty where nothing had to be measured."""

    count: int
    seconds: dict[int, float]
    why: str = ""

    def __str__(self) -> str:
        if not self.seconds:
            return f"threads: {self.count} ({self.why})"
        found = ", ".join(f"{1000 * s:.1f} ms with {n}" for n, s in self.seconds.items())
        return f"threads: {self.count} (measured: a step of this model takes {found}; --threads overrides)"


@contextmanager
def use_threads(count: int) -> Iterator[None]:
    """torch computes with that many threads meanwhile, and with as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def choose_threads(recipe: Recipe, model: FusionModel, batch: Callable[[Tensor], Batch], most: int) -> Threads:
    """The recipe's threads, or what a few steps say on the first rows of `batch`, with at most `most` of them."""
    if recipe.train.threads is not None:
        return Threads(recipe.train.threads, {}, "as asked for")
    if distributed.world_size() > 1 or torch.cuda.is_available():
        return Threads(1, {}, "one for each rank" if distributed.world_size() > 1 else "the work is the GPU's")
    with refuse_too_large(recipe):
        return measure_threads(model, batch(torch.arange(max(2, recipe.train.batch))), most, recipe.tuning)


def measure_threads(model: FusionModel, batch: Batch, most: int, tuning: Mapping[str, Tuning] = {}) -> Threads:
    """One thread; or `most`, where they are GAIN times as fast by the median step of plain joint training on a batch.

    Steps are made on a copy and draw from a generator of their own: what is trained later is the same without them.
    """
    if most == 1:
        return Threads(1, {}, "there is one core for it")
    with torch.random.fork_rng(devices=[]):
        trial, method = copy.deepcopy(model).train(), Method()
        Freezing(trial, tuning).begin_epoch(0)
        found: dict[int, list[float]] = {1: [], most: []}
        for count in (1, most, 1, most):
            with use_threads(count):
                found[count] += time_steps(trial, method, batch)
    seconds = {count: median(times) for count, times in found.items()}
    return Threads(most if seconds[1] >= GAIN * seconds[most] else 1, seconds)


def time_steps(model: FusionModel, method: Method, batch: Batch) -> list[float]:
    """Seconds of a few steps; the first one is not counted unless it took all the time there is."""
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-6)
    times: list[float] = []
    began = time.perf_counter()
    while len(times) <= STEPS and (not times or time.perf_counter() - began < PATIENCE):
        start = time.perf_counter()
        losses = method.losses(model, batch, model.embedding(batch.inputs, batch.present))
        optimiser.zero_grad(set_to_none=True)
        method.backward(model, losses)
        optimiser.step()
        times.append(time.perf_counter() - start)
    return times[1:] or times
