"""The Square attack's moves on one sample: which entries are set to their lower or upper bound.

Source: Andriushchenko, Croce, Flammarion and Hein, "Square Attack: a query-efficient black-box adversarial attack via
random search", ECCV 2020, Algorithms 1 and 2. Signals with time or without neighbours are ours: a segment of a square
wave (a constant one would be a shift of the mean, which spectrograms do not see), and a random subset.
"""

from bisect import bisect_left
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustmm.modalities import Modality

Array = NDArray[Any]
Window = tuple[Any, NDArray[np.bool_]]
"""An index into one sample, and whether each entry there (or what broadcasts to it) goes up."""

INITIAL_SHARE = 0.8
"""Share of the entries in the first window, as in AutoAttack."""
HALVING_QUERIES = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Queries of 10,000 after which the share is halved (section 3 of the paper)."""
UNITS = {
    "image": "of 255",
    "video": "of 255",
    "audio": "of full scale",
    "series": "training standard deviations",
    "features": "training standard deviations",
}
"""The unit of a norm, by kind; other kinds cannot be attacked."""


def window_share(query: int, queries: int) -> float:
    """The share of the entries in the window of one query, of 1 to `queries`."""
    return float(INITIAL_SHARE / 2 ** bisect_left(HALVING_QUERIES, query * 10_000 / queries))


def norm_size(modality: Modality, eps: float) -> Array:
    """A norm in the signal's own units (whole grey levels for uint8), what broadcasts to one sample."""
    if modality.dtype == np.uint8:
        return np.array(int(eps * 255 + 1e-9))
    return eps * np.array(getattr(modality, "std", 1.0))


def bounds(modality: Modality, x: Array, eps: float) -> tuple[Array, Array]:
    """The lowest and highest signals (batch, *shape) within `eps` of `x` and in the signal's range, in its dtype.
    Values that are not finite stay as they are."""
    distance = norm_size(modality, eps)
    if x.dtype == np.uint8:
        wide = x.astype(np.int64)
        return tuple(np.clip(wide + d, 0, 255).astype(np.uint8) for d in (-distance, distance))  # type: ignore[return-value]
    finite = np.isfinite(x)
    wide = np.where(finite, x, 0).astype(np.float64)
    edges = []
    for way in (-1, 1):
        edge = (wide + way * distance).astype(x.dtype)
        beyond = np.abs(edge - wide) > distance  # by rounding
        edge = np.where(beyond, np.nextafter(edge, wide.astype(x.dtype)), edge)
        edge = np.clip(edge, -1, 1) if modality.kind == "audio" else edge
        edges.append(np.where(finite, edge, x))
    return edges[0], edges[1]


def draw_start(kind: str, low: Array, high: Array, rng: np.random.Generator) -> Array:
    """The first query on one sample: vertical stripes on pictures, else random signs."""
    shape = (*[1] * (low.ndim - 2), *low.shape[-2:]) if kind in ("image", "video") else low.shape
    return np.where(draw_signs(rng, *shape), high, low)


def perturb_window(kind: str, x: Array, low: Array, high: Array, share: float, rng: np.random.Generator) -> Array:
    """A copy of one sample with a window set to its bounds; with opposite signs where it has these values already."""
    where, up = WINDOWS[kind](x.shape, share, rng)
    out = x.copy()
    value = np.where(up, high[where], low[where])
    out[where] = value if not np.array_equal(x[where], value) else np.where(up, low[where], high[where])
    return out


def draw_signs(rng: np.random.Generator, *shape: int) -> NDArray[np.bool_]:
    return rng.random(shape) < 0.5


def draw_square(shape: tuple[int, ...], share: float, rng: np.random.Generator) -> Window:
    """A square of an image (height, width, channels), one sign a channel."""
    height, width, channels = shape
    side = min(height, width, max(1, round((share * height * width) ** 0.5)))
    return (draw_span(height, side, rng), draw_span(width, side, rng)), draw_signs(rng, 1, 1, channels)


def draw_box(shape: tuple[int, ...], share: float, rng: np.random.Generator) -> Window:
    """A square of a video (frames, height, width, channels) over some frames, alike shares of time and space."""
    frames, *picture = shape
    length = max(1, round(frames * share ** (1 / 3)))
    where, up = draw_square(tuple(picture), min(1.0, share * frames / length), rng)
    return (draw_span(frames, length, rng), *where), up[None]


def draw_segment(shape: tuple[int, ...], share: float, rng: np.random.Generator) -> Window:
    """A segment of (steps,) or (steps, channels): a square wave of any period, with one sign a channel."""
    length = max(1, round(share * shape[0]))
    half = int((2 * length) ** rng.random())  # log-uniform, from every step to none in the segment
    wave = (np.arange(length) + rng.integers(2 * half)) // half % 2 == 1
    return draw_span(shape[0], length, rng), wave.reshape(-1, *[1] * (len(shape) - 1)) ^ draw_signs(rng, 1, *shape[1:])


def draw_subset(shape: tuple[int, ...], share: float, rng: np.random.Generator) -> Window:
    """Some of the features, with a sign each."""
    count = max(1, round(share * shape[0]))
    return rng.permutation(shape[0])[:count], draw_signs(rng, count)


def draw_span(whole: int, length: int, rng: np.random.Generator) -> slice:
    begin = int(rng.integers(whole - length + 1))
    return slice(begin, begin + length)


WINDOWS: dict[str, Callable[[tuple[int, ...], float, np.random.Generator], Window]] = {
    "image": draw_square,
    "video": draw_box,
    "audio": draw_segment,
    "series": draw_segment,
    "features": draw_subset,
}
