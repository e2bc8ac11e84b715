"""Images: uint8 (height, width, channels) at the recipe's size, decoded with OpenCV."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from robustmm.errors import DataError
from robustmm.modalities.base import Modality, Positive, find_file, is_array, read_array


class Image(Modality):
    """A still picture. `size` is (height, width, channels); channels is 1 (grey) or 3 (RGB)."""

    suffixes = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".npy")

    kind: Literal["image"] = "image"
    size: tuple[Positive, Positive, Literal[1, 3]]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.size

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint8)

    def read(self, cell: str, folder: Path) -> NDArray[np.uint8]:
        return resize_image(read_pixels(cell, folder), self.size, cell)

    def size_of(self, cell: str, folder: Path) -> str:
        return " x ".join(map(str, read_pixels(cell, folder).shape))


def read_pixels(cell: str, folder: Path) -> NDArray[Any]:
    """An image file in RGB (or grey) at its own size, or an array as it is."""
    import cv2

    if is_array(cell):
        return read_array(cell, folder)
    path = find_file(cell, folder)
    coded = np.fromfile(path, np.uint8)
    try:
        decoded = cv2.imdecode(coded, cv2.IMREAD_ANYCOLOR) if coded.size else None
    except cv2.error as error:
        raise DataError(f"{path} is larger than OpenCV decodes ({error.err})") from error
    if decoded is None:
        raise DataError(f"{path} is not an image OpenCV can decode")
    return decoded if decoded.ndim == 2 else np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))


def resize_image(picture: NDArray[Any], size: tuple[int, int, int], cell: str) -> NDArray[np.uint8]:
    """uint8 pixels (h, w) or (h, w, 1|3|4) at `size`; area averaging when shrinking, bilinear when growing."""
    import cv2

    height, width, channels = size
    if picture.ndim == 2:
        picture = picture[:, :, None]
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (1, 3, 4) or 0 in picture.shape:
        raise DataError(f"{cell} should be uint8 (height, width, 1 or 3), found {picture.dtype} {picture.shape}")
    picture = picture[:, :, :3]
    if channels == 1 and picture.shape[2] == 3:
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[:, :, None]
    elif channels == 3 and picture.shape[2] == 1:
        picture = np.repeat(picture, 3, axis=2)
    if picture.shape[:2] != (height, width):
        shrinks = height * width < picture.shape[0] * picture.shape[1]
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        picture = cv2.resize(np.ascontiguousarray(picture), (width, height), interpolation=method)
    return np.ascontiguousarray(picture.reshape(size))
