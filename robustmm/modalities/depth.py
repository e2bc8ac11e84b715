"""Pictures of more than 8 bits: the stored values that become 0 and 255.

What a value means stands in no file: 16 bits hold millimetres, 12 bits of a sensor, or the whole scale. So nothing is
guessed from a picture that can be taken in two ways; the sentence of the refusal says what was found.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustmm.errors import DataError

Array = NDArray[Any]
Range = tuple[float, float]

FULL_SCALE = (0.0, 65535.0)
"""The whole scale of 16 bits without a sign."""


def to_eight_bits(picture: Array, range: Range | None, cell: str) -> NDArray[np.uint8]:
    """Stored values as uint8: with `range`, its low becomes 0 and its high 255, linearly, rounded; what lies outside is
    clipped.

    Without it 8 bits are read as they are, and 16 bits by their full scale where the picture spans it (see
    `spans_full_scale`); else DataError, as for every other number, for NaN, and for 8 bits where `range` needs more.
    """
    if picture.dtype.kind not in "fiub" or not picture.size:
        raise DataError(f"{cell} should be a picture of numbers, found {picture.dtype} {picture.shape}")
    if picture.dtype == np.uint8 and (range is None or range[1] > 255):
        if range is not None:
            raise DataError(f"{cell} has 8 bits a value, expected values up to {range[1]:g} (its modality's range)")
        return picture
    if picture.dtype.kind == "f" and np.isnan(picture).any():
        raise DataError(f"{cell} holds NaN in {np.isnan(picture).sum()} of its {picture.size} values")
    if range is None and not spans_full_scale(picture):
        found = picture.min(), picture.max()
        raise DataError(
            f"{cell} holds {picture.dtype} from {found[0]:g} to {found[1]:g}: the modality should say which values are "
            f"black and white, such as range = [{suggest_range(*map(float, found))}]"
        )
    low, high = range or FULL_SCALE
    scaled = (picture.astype(np.float64) - low) * (255 / (high - low))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def spans_full_scale(picture: Array) -> bool:
    """Whether 16 bits are used as a whole: from the lowest 1 % of the values to the highest 1 % it is half of the scale
    or more. Depth in millimetres with 65535 where nothing was measured does not."""
    if picture.dtype != np.uint16:
        return False
    low, high = np.percentile(picture, (1, 99))
    return bool(high - low >= 2**15)


def suggest_range(low: float, high: float) -> str:
    """The usual scale that values from `low` to `high` may be on, else these two; `0, 1`."""
    if low >= 0 and 0.5 < high <= 1:
        return "0, 1"
    if low >= 0 and 127 < high <= 255:
        return "0, 255"
    return f"{low:.6g}, {max(high, low + 1):.6g}"


def share_outside(picture: Array, range: Range) -> float:
    """The share of a picture's values that `range` clips."""
    return float(np.mean((picture < range[0]) | (picture > range[1])))
