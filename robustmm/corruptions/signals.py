"""Canonical signals: the input of a corruption, and checks of its output."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from robustmm.errors import UsageError

Array: TypeAlias = npt.NDArray[Any]
Signal = TypeVar("Signal", bound=str | Array)
FLOAT32 = np.finfo(np.float32)


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
        fits = form.axes == x.ndim and np.issubdtype(x.dtype, form.dtype)
        found = f"{x.dtype} {x.shape}"
    else:
        fits = kind == "text" and isinstance(x, str)
        found = type(x).__name__
    if not fits:
        raise UsageError(f"{who} takes {form.written}, found {found}")


def apply_physics(physics: Callable[[Any], Any], x: Any, kind: str, who: str, mean: Any, std: Any) -> Any:
    """`physics(x)` on a copy of `x`, given back in the dtype, shape and range of `x`."""

    def run_physics(given: Any) -> Any:
        return _check_output(physics(given), x, who)

    if kind == "text":
        return run_physics(x)
    if kind in ("series", "features"):
        return _apply_standardised(run_physics, x, who, mean, std)
    y = run_physics(np.array(x))
    if kind == "audio":
        return np.clip(y, -1, 1).astype(x.dtype)
    return y if y.dtype == np.uint8 else np.clip(np.rint(y), 0, 255).astype(np.uint8)


def _check_output(y: Any, x: Any, who: str) -> Any:
    """What a corruption returned, if it is a signal like `x`: the physics may be a user's own."""
    if isinstance(x, str):
        if isinstance(y, str):
            return y
        raise UsageError(f"{who} returned {type(y).__name__}, expected str")
    y = np.asarray(y)
    if y.shape != x.shape:
        raise UsageError(f"{who} returned shape {y.shape}, expected {x.shape}")
    if y.dtype != np.uint8 and not np.isfinite(y).all():
        raise UsageError(f"{who} returned NaN or infinite values")
    return y


def _apply_standardised(physics: Callable[[Array], Array], x: Array, who: str, mean: Any, std: Any) -> Array:
    """x + (z' - z) std, with z = (x - mean) / std.

    Entries that the physics does not change, and those that are NaN or infinite, come back bit for bit; physics sees
    the latter as z = 0, so they reach no other entry.
    """
    finite = np.isfinite(x)
    wide = np.where(finite, x, 0).astype(np.float64)
    mean, std = _mean_and_std(x, who, mean, std)
    z = np.where(finite, (wide - mean) / std, 0)
    moved = physics(z.copy()) - z
    limit = float(np.finfo(x.dtype).max)
    out = np.array(x)
    np.copyto(out, np.clip(wide + moved * std, -limit, limit), where=finite & (moved != 0), casting="unsafe")
    return out


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
    centre, spread = np.asarray(mean, np.float64), np.asarray(std, np.float64)
    centre = np.where(np.isfinite(centre), centre, 0)
    varies = np.isfinite(spread) & (spread > np.maximum(FLOAT32.eps * np.abs(centre), FLOAT32.tiny))
    return centre, np.where(varies, spread, 1)
