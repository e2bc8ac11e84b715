"""The random generator of a corruption, its strength at a level, and random sets that grow with the strength."""

import hashlib
import json
from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.random.bit_generator import ISeedSequence

LEVELS = (0.2, 0.4, 0.6, 0.8, 1.0)
"""Levels of the five severities of the literature."""

PARTS = 2**16
"""The values of a 16-bit draw, and the parts of a distribution that it chooses from."""

Value = float | tuple[float, ...]
"""A physical strength; where it takes several numbers, the first is the one to quote."""


@lru_cache(maxsize=1024)  # interpolation costs more than some corruptions of a clip
def strength(level: float, table: tuple[Value, ...], zero: Value = 0.0) -> Any:
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
    return np.random.Generator(np.random.Philox(_Key(digest)))  # type: ignore[arg-type]  # the stubs lack ISeedSequence


class _Key(ISeedSequence):
    """The 16 bytes of a Philox key. Given as `key=`, they have numpy ask the system for entropy first, and drop it:
    that took longer than to corrupt a clip."""

    def __init__(self, digest: bytes) -> None:
        self.digest = digest

    def generate_state(self, n_words: int, dtype: Any = np.uint64) -> npt.NDArray[Any]:
        if (n_words, dtype) != (2, np.uint64):
            raise ValueError(f"a Philox key is two words of 64 bits, asked for {n_words} of {np.dtype(dtype)}")
        return np.frombuffer(self.digest, "<u8").astype(np.uint64)


def draw_words(count: int, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
    """Random numbers of 16 bits, four to a word of the generator: what `rng.integers` gives, at half its time."""
    words: npt.NDArray[np.uint64] = rng.bit_generator.random_raw(-(-count // 4))
    return words.astype("<u8", copy=False).view("<u2")[:count]


def draw_normals(shape: int | tuple[int, ...], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Standard normal numbers by inversion of 16-bit draws, a fifth of the time that `rng.standard_normal` takes.

    Each is the middle, in chance, of one of 65536 parts of equal chance; within the outermost two, beyond 4.17, it is
    drawn by inversion too, to 53 bits.
    """
    from scipy.special import ndtri

    words, key = draw_words(int(np.prod(shape)), rng), rng.bit_generator.random_raw()
    drawn = normal_middles().take(words)
    outer = np.flatnonzero((words == 0) | (words == PARTS - 1))
    drawn[outer] = ndtri((words[outer] + hash_places(outer, key)) / PARTS)
    return drawn.reshape(shape)


@cache
def normal_edges() -> npt.NDArray[np.float64]:
    """The 65537 edges of the parts of equal chance of a standard normal distribution; ±9 lies beyond all draws."""
    from scipy.special import ndtri

    return np.asarray(np.clip(ndtri(np.arange(PARTS + 1) / PARTS), -9, 9))


@cache
def normal_middles() -> npt.NDArray[np.float32]:
    """What halves the chance of each of these parts."""
    from scipy.special import ndtri

    return np.asarray(ndtri((np.arange(PARTS) + 0.5) / PARTS), np.float32)


def hash_places(places: npt.NDArray[np.intp], key: int) -> npt.NDArray[np.float64]:
    """A random number in [0, 1) for each place, the same whichever others are asked for: SplitMix64 (Steele et al.
    2014, doi 10.1145/2660193.2660195), whose counter is the place."""
    z = places.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(key)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    drawn: npt.NDArray[np.float64] = ((z ^ (z >> np.uint64(31))) >> np.uint64(11)) / 2.0**53
    return drawn


def draw_subset(size: int, fraction: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """A random mask over `size` places that holds size × fraction of them, rounded at random, and grows with it."""
    rank = rng.permutation(size) + rng.random()
    return np.asarray(rank < size * fraction)


def draw_spans(length: int, fraction: float, rng: np.random.Generator, count: int = 20) -> npt.NDArray[np.bool_]:
    """A mask over time made of spans of 1/20 of the length (at least one step each) that together hold `fraction`."""
    corrupted, edges = draw_span_edges(length, fraction, rng, count)
    return corrupted.repeat(np.diff(edges))


def draw_span_edges(
    length: int, fraction: float, rng: np.random.Generator, count: int = 20
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.intp]]:
    """Which of these spans are in the mask, and where each begins and the last one ends."""
    count = min(count, length)
    edges = -(np.arange(count + 1) * -length // count)  # step i lies in span i * count // length
    return draw_subset(count, fraction, rng), edges


def draw_patches(height: int, width: int, fraction: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """A mask over an image made of square patches, 8 along the longer side, the last ones clipped to the image."""
    side = -(-max(height, width) // 8)
    rows, columns = -(-height // side), -(-width // side)
    corrupted = draw_subset(rows * columns, fraction, rng).reshape(rows, columns)
    return corrupted.repeat(side, axis=0).repeat(side, axis=1)[:height, :width]
