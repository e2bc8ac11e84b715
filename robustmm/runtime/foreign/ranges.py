"""Whether a signal's range fits an integer input: neither cut off at an end, nor pressed into a few numbers."""

from collections.abc import Iterator

import numpy as np

from robustmm.runtime.foreign.inputs import InputBinding

MAX_CLIPPED = 0.1
"""The share of a range that may lie outside an input's type. Channel means such as subtract = [104, 117, 123] shift
pixels beyond int8 by less; without subtract = 128 it is half."""

MIN_KEPT = 0.25
"""The share of 256 levels that must stay apart. Six bits keep a quarter; a pixel divided by 255 keeps two levels."""

LEVELS = {"image": np.arange(256), "video": np.arange(256), "audio": np.linspace(-1, 1, 257)}
"""What signals of fixed range may hold."""


def check_range(binding: InputBinding) -> Iterator[tuple[str, str]]:
    """The error of a scaling, with its key, where the input is of integers and much of the range is lost."""
    kind, dtype = binding.modality.kind, binding.dtype
    if kind not in LEVELS or dtype.kind not in "iu":
        return
    levels, limits = LEVELS[kind], np.iinfo(dtype)
    low, high = ("-1", "1") if kind == "audio" else ("0", "255")
    subtract, divide = (np.array(numbers) for numbers in (binding.preprocessing.subtract, binding.preprocessing.divide))
    scaled = np.rint((levels[:, None] - subtract) / divide)
    clipped = float(((scaled < limits.min) | (scaled > limits.max)).mean(0).max())
    kept = min(len(np.unique(column)) for column in np.clip(scaled, limits.min, limits.max).T) / len(levels)
    key = "subtract" if binding.preprocessing.divide == (1.0,) else "divide"
    place = key if binding.preprocessing.has_scaling else "input"
    if clipped > MAX_CLIPPED:
        hint = "; subtract = 128?" if kind != "audio" and dtype == np.int8 and key == "subtract" else ""
        yield (
            place,
            f"{place}: {clipped:.0%} of the range {low} to {high} lies outside {dtype} ({limits.min} to {limits.max})"
            f" when scaled so{hint}",
        )
    elif kept < MIN_KEPT:
        wanted = 1 / (limits.max + 1)
        hint = f"; divide = {wanted:.9g}?" if kind == "audio" else ""
        yield (
            place,
            f"{place}: the range {low} to {high} becomes {round(kept * len(levels))} numbers of {dtype} when scaled so,"
            f" of {len(levels)}{hint}",
        )
