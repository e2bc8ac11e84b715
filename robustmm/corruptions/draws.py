"""The random generator of a corruption, its strength at a level, and random sets that grow with the strength."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

LEVELS = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Levels of the five severities of the literature."""

Value = float | tuple[float, ...]
"""A physical strength; where it takes several numbers, the first is the one to quote."""


def strength(level: float, table: Sequence[Value], zero: Value = 0.0) -> Any:
    """The physical strength at a level: linear through `zero` and the five severities at 0.2, 0.4, ... 1."""
    severity = round(5 * level, 9)  # rounded: 3 * 0.2 is severity 3
    if isinstance(zero, tuple):
        return tuple(float(np.interp(severity, range(6), column)) for column in zip(zero, *table, strict=True))
    return float(np.interp(severity, range(6), (zero, *table)))


def scalar_strength(value: Value) -> float:
    """The number to quote of a strength."""
    return value[0] if isinstance(value, tuple) else value


def generator(seed: int, sample_id: str, modality: str, name: str) -> np.random.Generator:
    """The generator of one corruption on one modality of one sample: no level, batch, order or worker in its key."""
    key = json.dumps([int(seed), str(sample_id), str(modality), str(name)])  # quoted: ("a", "bc") is not ("ab", "c")
    digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def draw_subset(size: int, fraction: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """A random mask over `size` places that holds size × fraction of them, rounded at random, and grows with it."""
    rank = rng.permutation(size) + rng.random()
    return np.asarray(rank < size * fraction)


def draw_spans(length: int, fraction: float, rng: np.random.Generator, count: int = 20) -> npt.NDArray[np.bool_]:
    """A mask over time made of spans of 1/20 of the length (at least one step each) that together hold `fraction`."""
    count = min(count, length)
    corrupted = draw_subset(count, fraction, rng)
    return corrupted[np.arange(length) * count // length]


def draw_patches(height: int, width: int, fraction: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """A mask over an image made of square patches, 8 along the longer side, the last ones clipped to the image."""
    side = -(-max(height, width) // 8)
    rows, columns = -(-height // side), -(-width // side)
    corrupted = draw_subset(rows * columns, fraction, rng).reshape(rows, columns)
    return corrupted.repeat(side, axis=0).repeat(side, axis=1)[:height, :width]
