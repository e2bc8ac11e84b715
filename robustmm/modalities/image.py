"""Images: uint8 (height, width, channels) at the recipe's size, decoded with OpenCV."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import FiniteFloat, field_validator

from robustmm.errors import DataError
from robustmm.modalities.base import Modality, Positive, Signal, find_file, is_array, read_array
from robustmm.modalities.fitting import Interpolation, Resize, fit_picture


class Image(Modality):
    """A still picture. `size` is (height, width, channels); channels is 1 (grey) or 3 (RGB).

    `resize` says how other sizes become it (see `fit_picture`), `interpolation` with what. `colours = "bgr"` turns the
    channels round before they enter the graph, after corruptions, which see RGB. `range` are the stored values that
    become 0 and 255, of pictures with more than 8 bits.
    """

    suffixes = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".npy")

    kind: Literal["image"] = "image"
    size: tuple[Positive, Positive, Literal[1, 3]]
    resize: Resize = "stretch"
    interpolation: Interpolation = "area"
    colours: Literal["rgb", "bgr"] = "rgb"
    range: tuple[FiniteFloat, FiniteFloat] | None = None

    @field_validator("range")
    @classmethod
    def _check_range(cls, range: tuple[float, float] | None) -> tuple[float, float] | None:
        if range and range[0] >= range[1]:
            raise ValueError(f"range should be [low, high] with low below high, found {list(range)}")
        return range

    @property
    def shape(self) -> tuple[int, ...]:
        return self.size

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint8)

    def read(self, cell: str, folder: Path) -> NDArray[np.uint8]:
        picture = read_pixels(cell, folder, deep=self.range is not None)
        picture = picture if self.range is None else apply_range(picture, *self.range, cell)
        return resize_image(picture, self.size, cell, self.resize, self.interpolation)

    def feed(self, signal: Signal) -> NDArray[np.uint8]:
        return order_colours(np.asarray(signal), self.colours)

    def size_of(self, cell: str, folder: Path) -> str:
        return " x ".join(map(str, read_pixels(cell, folder).shape))


def read_pixels(cell: str, folder: Path, deep: bool = False) -> NDArray[Any]:
    """An image file in RGB (or grey) at its own size, or an array as it is. `deep` keeps more than 8 bits."""
    import cv2

    depth = cv2.IMREAD_ANYDEPTH if deep else 0

    if is_array(cell):
        return read_array(cell, folder)
    path = find_file(cell, folder)
    coded = np.fromfile(path, np.uint8)
    try:
        decoded = cv2.imdecode(coded, cv2.IMREAD_ANYCOLOR | depth) if coded.size else None
    except cv2.error as error:
        raise DataError(f"{path} is larger than OpenCV decodes ({error.err})") from error
    if decoded is None:
        raise DataError(f"{path} is not an image OpenCV can decode")
    return decoded if decoded.ndim == 2 else np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))


def apply_range(picture: NDArray[Any], low: float, high: float, cell: str) -> NDArray[np.uint8]:
    """Stored values as uint8: `low` becomes 0 and `high` 255, linearly, rounded; what lies outside is clipped."""
    if picture.dtype.kind not in "fiu":
        raise DataError(f"{cell} should be a picture of numbers, found {picture.dtype} {picture.shape}")
    if np.isnan(picture).any():
        raise DataError(f"{cell} holds {np.isnan(picture).sum()} NaN pixels")
    scaled = (picture.astype(np.float64) - low) * (255 / (high - low))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)


def order_colours(pixels: NDArray[np.uint8], colours: Literal["rgb", "bgr"]) -> NDArray[np.uint8]:
    """RGB (..., channels) in the model's order; grey stays."""
    return np.ascontiguousarray(pixels[..., ::-1]) if colours == "bgr" else pixels


def resize_image(
    picture: NDArray[Any],
    size: tuple[int, int, int],
    cell: str,
    resize: Resize = "stretch",
    interpolation: Interpolation = "area",
) -> NDArray[np.uint8]:
    """uint8 pixels (h, w) or (h, w, 1|3|4) at `size`, in its channels."""
    import cv2

    height, width, channels = size
    if picture.ndim == 2:
        picture = picture[:, :, None]
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (1, 3, 4) or 0 in picture.shape:
        raise DataError(f"{cell} should be uint8 (height, width, 1 or 3), found {picture.dtype} {picture.shape}")
    picture = picture[:, :, :3]
    if channels == 1 and picture.shape[2] == 3:
        picture = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)[:, :, None]
    elif channels == 3 and picture.shape[2] == 1:
        picture = np.repeat(picture, 3, axis=2)
    return np.ascontiguousarray(fit_picture(picture, height, width, resize, interpolation))
