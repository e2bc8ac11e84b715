"""Gradient accumulation: a step of `accumulate` batches, which go through the model one by one.

A step of n batches of b rows is the one of a batch of n * b rows, in parts: methods arrange the large batch, and each
part's gradient counts by its share of the rows. Where losses are means over rows, the sum is the large batch's gradient
up to rounding. What belongs to a batch as a whole is the part's own: statistics of BatchNorm, a mean over
the rows that have a modality or by class weights, and what methods measure on a batch or compare between its samples.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from robustmm.config.recipe import Train
from robustmm.methods import Turn
from robustmm.methods.base import split_rows


class Part(NamedTuple):
    """Rows that go through the model at once: all of a step, or some."""

    turn: Turn
    step: int
    share: float  # of the step's rows
    ends: bool  # whether it is the last of its step


def split_turns(turns: Sequence[Turn], settings: Train) -> list[Part]:
    """The parts of an epoch's steps, in order; without accumulation every step is one."""
    parts = []
    for step, turn in enumerate(turns):
        size = settings.batch if settings.accumulate > 1 else max(1, len(turn.rows))
        rows = split_rows(turn.rows, size)
        kept = [None] * len(rows) if turn.kept is None else turn.kept.split([len(part) for part in rows])
        for number, (own, mask) in enumerate(zip(rows, kept, strict=True), 1):
            parts.append(Part(Turn(own, mask), step, len(own) / max(1, len(turn.rows)), number == len(rows)))
    return parts


def accumulate(learning: Iterable[nn.Parameter], held: dict[nn.Parameter, Tensor], part: Part) -> None:
    """Takes the gradients of a part out of the parameters into `held`, by its share; after the last part of a step they
    are the sums. A method finds the gradients of its own part alone, whatever it does to them."""
    if part.share == 1:
        return
    for p in learning:
        if p.grad is not None:
            scaled = p.grad * part.share
            held[p] = held[p] + scaled if p in held else scaled
        p.grad = held.pop(p, None) if part.ends else None
