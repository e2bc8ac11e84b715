"""What a foreign graph answers, as probabilities."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from robustmm.runtime.foreign.description import Description
from robustmm.runtime.session import softmax

SUM_TOLERANCE = 1e-3
"""How far from 1 a sum of probabilities may be, half precision included."""

STEP = 1 / 255
"""The step of probabilities that were quantised to 8 bits. Each may be off by half of it, and a calibration that saw no
probability near 1 cuts the largest off by some steps."""


def probabilities(answer: NDArray[Any], activation: str, classes: int) -> NDArray[np.float64]:
    """Probabilities (batch, class) of an output (batch, ...); a single column is of the second of two classes. Those
    that the graph gives itself are brought to a sum of 1, which quantised ones miss."""
    columns = answer.reshape(len(answer), -1).astype(np.float64)
    if activation == "softmax":
        return softmax(columns)
    p = expit(columns) if activation == "sigmoid" else np.where(np.isfinite(columns), columns.clip(0, 1), np.nan)
    if p.shape[1] == 1 and classes == 2:
        return np.concatenate([1 - p, p], 1)
    sums = p.sum(1, keepdims=True)
    return np.where(sums == 0, 1 / p.shape[1], p / np.where(sums == 0, 1, sums))


def sum_tolerance(classes: int) -> float:
    """How far from 1 a sum of quantised probabilities may be: half a step for each, and four for the largest."""
    return min(0.1, (classes / 2 + 4) * STEP)


def check_answer(answer: NDArray[Any], description: Description) -> tuple[list[str], str] | None:
    """The error, with its key, where the answer to two rows is not what the description says; None where it is."""
    name, activation, classes = (
        description.table.output.name,
        description.table.output.activation,
        len(description.table.classes),
    )
    if not answer.ndim:
        return ["output", "name"], f'the output "{name}" should answer each row, found one number for all'
    if len(answer) != 2:
        return ["batch"], f'the output "{name}" answers {answer.shape} to 2 rows; say how many it takes, as batch = 1'
    width = answer[0].size
    one = width == 1 and classes == 2
    if not (one if activation == "sigmoid" else width == classes or (one and activation == "none")):
        wanted = "1 column for 2 classes" if activation == "sigmoid" else f"{classes} columns for {classes} classes"
        return ["classes"], f'the output "{name}" should have {wanted} ({activation}), found {width}'
    columns = answer.reshape(2, -1).astype(np.float64)
    p = np.concatenate([1 - columns, columns], 1) if one else columns
    if not np.isfinite(p).all():
        return ["output", "name"], f'the output "{name}" is not finite where every input is missing; fill it otherwise'
    sums, place = p.sum(1), ["output", "activation"]
    off, outside = np.abs(sums - 1).max(), max(-p.min(), p.max() - 1)
    if activation == "none" and (off > sum_tolerance(classes) or outside > SUM_TOLERANCE):
        found = f"{np.round(p[0], 4).tolist()}, which sum to {sums[0]:.4g}"
        return place, f'[output] activation: "{name}" should hold probabilities, found {found}; softmax or sigmoid?'
    if activation == "softmax" and off < SUM_TOLERANCE and outside < SUM_TOLERANCE:
        return place, f'[output] activation: "{name}" holds probabilities already, expected "none"'
    return None
