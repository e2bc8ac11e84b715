"""What brings signals of any length, and pictures of any size, to the recipe's."""

from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

Place = Literal["centre", "start", "end"]
"""A part of a signal's time."""
Resize = Literal["stretch", "crop", "pad"]
Interpolation = Literal["area", "linear", "cubic", "nearest"]


def fit_length(
    x: Array, length: int, pad: Place, cut: Place, padding: Literal["edge", "zero"] = "zero"
) -> NDArray[Any]:
    """(steps, ...) at `length` steps: of a longer signal the part `cut` is kept, a shorter one is filled up at `pad`,
    with zeros or with its first and last values (`edge`)."""
    surplus = max(0, len(x) - length)
    begin = {"start": 0, "centre": surplus // 2, "end": surplus}[cut]
    kept = x[begin : begin + length]
    lack = length - len(kept)
    before = {"start": lack, "centre": lack // 2, "end": 0}[pad]
    widths = ((before, lack - before), *[(0, 0)] * (x.ndim - 1))
    return np.pad(kept, widths, mode="edge") if padding == "edge" else np.pad(kept, widths)


def fit_picture(
    picture: Array, height: int, width: int, resize: Resize, interpolation: Interpolation, shorter_side: int = 0
) -> Array:
    """uint8 (h, w, channels) at (height, width).

    `stretch` changes the proportions. `crop` scales until both sides are covered and keeps the centre: for a square
    the shorter side gets the size and the longer one size * longer // shorter, as in torchvision's `Resize(size)`,
    then `CenterCrop(size)` begins at half the surplus, rounded down; `shorter_side` is for another size of `Resize`
    (256 before 224). `pad` scales until the whole picture fits, rounded down, and puts black around it, as
    `tf.image.resize_with_pad` does.
    """
    h, w = picture.shape[:2]
    if resize == "stretch":
        return scale_picture(picture, height, width, interpolation)
    tall, wide = (shorter_side, shorter_side) if shorter_side else (height, width)
    by_height = (tall * w >= wide * h) == (resize == "crop")  # which side gets its size exactly
    rows, columns = (tall, max(1, tall * w // h)) if by_height else (max(1, wide * h // w), wide)
    scaled = scale_picture(picture, rows, columns, interpolation)
    if resize == "crop":
        top, left = (rows - height) // 2, (columns - width) // 2
        return scaled[top : top + height, left : left + width]
    out = np.zeros((height, width, picture.shape[2]), picture.dtype)
    top, left = (height - rows) // 2, (width - columns) // 2
    out[top : top + rows, left : left + columns] = scaled
    return out


def scale_picture(picture: Array, height: int, width: int, interpolation: Interpolation) -> Array:
    """uint8 (h, w, channels) at (height, width).

    `area` averages when shrinking and is bilinear when growing, with OpenCV. `linear` and `cubic` are those of Pillow,
    torchvision and Hugging Face, whose filters widen when shrinking; OpenCV's own leave out pixels there.
    """
    import cv2

    if picture.shape[:2] == (height, width):
        return picture
    if interpolation in ("linear", "cubic"):
        rows, columns = (_weights(*sizes, interpolation) for sizes in zip(picture.shape, (height, width), strict=False))
        return _apply_weights(rows, _apply_weights(columns, picture.swapaxes(0, 1)).swapaxes(0, 1))
    shrinks = height * width < picture.shape[0] * picture.shape[1]
    area = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    method = cv2.INTER_NEAREST_EXACT if interpolation == "nearest" else area
    scaled = cv2.resize(np.ascontiguousarray(picture), (width, height), interpolation=method)
    return scaled.reshape(height, width, picture.shape[2])


def _apply_weights(weights: Any, picture: Array) -> Array:
    """(before, other, channels) by (after, before) weights along the first axis, as whole grey levels."""
    flat: Array = weights @ picture.reshape(len(picture), -1).astype(np.float32)
    return np.clip(np.floor(flat + 0.5), 0, 255).astype(np.uint8).reshape(-1, *picture.shape[1:])


@lru_cache(maxsize=64)
def _weights(before: int, after: int, interpolation: Interpolation) -> Any:
    """A sparse (after, before) matrix: Pillow's triangle, or Keys' cubic (a = -0.5), widened where it shrinks."""
    from scipy.sparse import csr_matrix

    step = before / after
    wide, reach = max(step, 1.0), 1 if interpolation == "linear" else 2
    centre = (np.arange(after) + 0.5) * step
    x = np.abs((np.arange(before) + 0.5 - centre[:, None]) / wide)
    if interpolation == "linear":
        found = np.maximum(1 - x, 0)
    else:
        near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
        found = np.where(x < 1, near, np.where(x < reach, far, 0))
    return csr_matrix((found / found.sum(1, keepdims=True)).astype(np.float32))
