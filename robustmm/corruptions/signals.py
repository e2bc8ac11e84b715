"""Canonical signals: the input of a corruption, and checks of its output."""

import math
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, NamedTuple, TypeAlias, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from robustmm.errors import UsageError

Array: TypeAlias = npt.NDArray[Any]
Signal = TypeVar("Signal", bound=str | Array)
FLOAT32 = np.finfo(np.float32)
PIXELS = (np.float32, np.float64)
"""What OpenCV rounds to uint8 at once."""


NOTHING: Any = 0  # OpenCV adds numbers, too; its stubs know of arrays alone


class Form(NamedTuple):
    """The dtype and number of axes of one kind, and how it is written in a sentence; text is no array."""

    dtype: type
    axes: int
    written: str


FORMS = {
    "audio": Form(np.floating, 1, "float32 (T,)"),
    "features": Form(np.floating, 1, "float32 (D,)"),
    "image": Form(np.uint8, 3, "uint8 (H, W, C)"),
    "series": Form(np.floating, 2, "float32 (T, D)"),
    "text": Form(str, -1, "str"),
    "video": Form(np.uint8, 4, "uint8 (F, H, W, C)"),
}
KINDS = tuple(FORMS)


def check_signal(x: Signal, kind: str, who: str) -> None:
    """Raises UsageError for all but a canonical signal of this kind; any floating dtype is accepted for float32."""
    form = FORMS[kind]
    if isinstance(x, np.ndarray):
        fits = form.axes == x.ndim and issubclass(x.dtype.type, form.dtype)
    else:
        fits = kind == "text" and isinstance(x, str)
    if not fits:
        found = f"{x.dtype} {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
        raise UsageError(f"{who} takes {form.written}, found {found}")


def apply_physics(physics: Callable[[Any], Any], x: Any, kind: str, who: str, mean: Any, std: Any) -> Any:
    """`physics(x)` on a copy of `x`, given back in the dtype, shape and range of `x`."""

    if kind == "text":
        return _check_output(physics(x), x, who)
    if kind in ("series", "features"):
        return _apply_standardised(physics, x, who, mean, std)
    y = _check_output(physics(np.array(x)), x, who)
    if y.dtype == np.uint8:
        return y
    low, high = _find_range(y, who)
    if kind == "audio":
        inside = y if low >= -1 and high <= 1 else np.clip(y, -1, 1)
        return np.ascontiguousarray(inside, x.dtype)
    if y.dtype not in PIXELS or max(-low, high) >= 2**31:  # OpenCV wraps such numbers around
        y = np.clip(y, 0, 255).astype(np.float64)
    return round_pixels(y)


def round_pixels(y: Array) -> Array:
    """Numbers within ±2^31 rounded, halves to even, and clipped to uint8, in one go over them."""
    rounded = cv2.add(y.reshape(len(y), -1), NOTHING, dtype=cv2.CV_8U)  # of a single number OpenCV makes four
    return np.asarray(rounded[: len(y)]).reshape(y.shape)


def _check_output(y: Any, x: Any, who: str) -> Any:
    """What a corruption returned, if it is a signal like `x`: the physics may be a user's own."""
    if isinstance(x, str):
        if isinstance(y, str):
            return y
        raise UsageError(f"{who} returned {type(y).__name__}, expected str")
    y = np.asarray(y)
    if y.shape != x.shape:
        raise UsageError(f"{who} returned shape {y.shape}, expected {x.shape}")
    return y


def _find_range(y: Array, who: str) -> tuple[float, float]:
    """The lowest and highest value. NaN is both where there is any, so that no second pass looks for it."""
    low, high = float(np.minimum.reduce(y, axis=None)), float(np.maximum.reduce(y, axis=None))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UsageError(f"{who} returned NaN or infinite values")
    return low, high


def _apply_standardised(physics: Callable[[Array], Array], x: Array, who: str, mean: Any, std: Any) -> Array:
    """x + (z' - z) std, with z = (x - mean) / std.

    Entries that the physics does not change, and those that are NaN or infinite, come back bit for bit; physics sees
    the latter as z = 0, so they reach no other entry.
    """
    finite, (centre, spread) = np.isfinite(x), _mean_and_std(x, who, mean, std)
    wide = np.where(finite, x, 0).astype(np.float64)
    z = (wide - centre) / spread
    z *= finite
    moved = _check_output(physics(z.copy()), x, who) - z
    low, high = _find_range(moved, who)
    if low == high == 0:
        return np.array(x)
    limit = _largest(x.dtype)
    wide += moved * spread
    np.minimum(np.maximum(wide, -limit, out=wide), limit, out=wide)
    out = np.array(x)
    np.copyto(out, wide, where=finite & (moved != 0), casting="unsafe")
    return out


@cache
def _largest(dtype: np.dtype[Any]) -> float:
    return float(np.finfo(dtype).max)


def _mean_and_std(x: Array, who: str, mean: Any, std: Any) -> tuple[Array, Array]:
    """The training mean and std of every channel or feature; a signal's own spread would be another unit in every
    sample, and none at all for one number.

    A channel whose std is below what float32 resolves beside its mean is constant: its std counts as 1, so that
    blanking still reaches the mean and noise has the channel's own units (as scikit-learn's StandardScaler does).
    A mean or std that is not finite (a channel never seen in training) counts as 0 or 1.
    """
    for name, given in (("mean", mean), ("std", std)):
        if given is None:
            raise UsageError(f"{who} takes the training data's mean and std, each {x.shape[-1:]}, found no {name}")
        if np.shape(given) != x.shape[-1:]:
            raise UsageError(f"{who}: expected a {name} of shape {x.shape[-1:]}, found {np.shape(given)}")
    return _clean_statistics(*(np.asarray(given, np.float64).tobytes() for given in (mean, std)))


@lru_cache(maxsize=64)  # the samples of a modality have one mean and std: to clean them took longer than to blank them
def _clean_statistics(mean: bytes, std: bytes) -> tuple[Array, Array]:
    centre, spread = np.frombuffer(mean), np.frombuffer(std)
    centre = np.where(np.isfinite(centre), centre, 0)
    varies = np.isfinite(spread) & (spread > np.maximum(FLOAT32.eps * np.abs(centre), FLOAT32.tiny))
    return centre, np.where(varies, spread, 1)
