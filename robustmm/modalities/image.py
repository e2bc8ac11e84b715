"""Images: uint8 (height, width, channels) at the recipe's size, decoded with OpenCV."""

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, FiniteFloat, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from robustmm.errors import DataError
from robustmm.modalities.base import Modality, Positive, Signal, find_file, is_array, read_array
from robustmm.modalities.depth import share_outside, to_eight_bits
from robustmm.modalities.files.jpeg import find_jpeg_damage
from robustmm.modalities.files.limits import PIXEL_BYTES, VARIABLE, max_bytes, read_whole
from robustmm.modalities.files.pictures import check_picture
from robustmm.modalities.files.png import find_png_damage
from robustmm.modalities.fitting import Interpolation, Resize, fit_picture

MOST_OUTSIDE = 0.01
"""The share of values outside `range` that is told."""
MOST_ENLARGED = 4
"""How many times a side can grow before it is told."""


class Image(Modality):
    """A still picture. `size` is (height, width, channels); channels is 1 (grey) or 3 (RGB).

    `resize` says how other sizes become it (see `fit_picture`), `interpolation` with what; `shorter_side` is that
    before the centre is cropped, where it is not that of the crop. `colours = "bgr"` turns the channels round
    before they enter the graph, after corruptions, which see RGB. `range` are the stored values that become 0 and
    255, of pictures with more than 8 bits (see `to_eight_bits`). Arrays may have the channels first.
    """

    suffixes = (
        ".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".npy", ".jp2", ".avif", ".gif",
        ".hdr", ".pbm", ".pgm", ".ppm", ".pnm", ".pam", ".pfm",
    )  # fmt: skip

    kind: Literal["image"] = "image"
    size: tuple[Positive, Positive, Literal[1, 3]]
    resize: Resize = "stretch"
    shorter_side: Annotated[int, Field(ge=0)] = 0
    interpolation: Interpolation = "area"
    colours: Literal["rgb", "bgr"] = "rgb"
    range: tuple[FiniteFloat, FiniteFloat] | None = None

    @field_validator("range")
    @classmethod
    def _check_range(cls, range: tuple[float, float] | None) -> tuple[float, float] | None:
        if range and range[0] >= range[1]:
            raise PydanticCustomError("range", "should be [low, high], low below high")
        return range

    @field_validator("shorter_side")
    @classmethod
    def _check_shorter_side(cls, side: int, given: ValidationInfo) -> int:
        if side and (given.data.get("resize") != "crop" or side < max(given.data.get("size", (0, 0))[:2])):
            raise PydanticCustomError("side", 'should be at least the size, beside resize = "crop"')
        return side

    @property
    def shape(self) -> tuple[int, ...]:
        return self.size

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint8)

    def read(self, cell: str, folder: Path) -> NDArray[np.uint8]:
        picture = to_eight_bits(read_pixels(cell, folder), self.range, cell)
        return resize_image(picture, self.size, cell, self.resize, self.interpolation, self.shorter_side)

    def find_faults(self, cell: str, folder: Path) -> list[str]:
        picture, found = put_channels_last(read_pixels(cell, folder)), []
        if self.range is not None and (share := share_outside(picture, self.range)) >= MOST_OUTSIDE:
            found.append(f"{share:.0%} of the values lie outside range = [{self.range[0]:g}, {self.range[1]:g}]")
        elif self.range is None and picture.dtype != np.uint8:
            found.append(f"of its 16 bits ({picture.min()} to {picture.max()}) only the upper 8 are read")
        found += tell_enlarged(picture.shape, self.size)
        pages = 1 if is_array(cell) else count_pictures(find_file(cell, folder))
        return [*found, f"of its {pages} pictures only the first is read"] if pages > 1 else found

    def feed(self, signal: Signal) -> NDArray[np.uint8]:
        return order_colours(np.asarray(signal), self.colours)

    def size_of(self, cell: str, folder: Path) -> str:
        return " x ".join(map(str, read_pixels(cell, folder).shape))


def read_pixels(cell: str, folder: Path) -> NDArray[Any]:
    """An image file in RGB (or grey) at its own size and depth, or an array as it is. Raises DataError for what OpenCV
    cannot decode, and for a JPEG or PNG that is cut off or damaged (see `modalities/files`). OpenCV itself refuses
    other files that are cut off, and GIF and AVIF that are damaged; damage inside the rest (TIFF, WebP, JPEG 2000, BMP,
    PNM) is not found."""
    import cv2

    if is_array(cell):
        return read_array(cell, folder)
    path = find_file(cell, folder)
    coded = read_whole(path)
    check_picture(coded, path)
    if damage := find_jpeg_damage(coded) or find_png_damage(coded):
        raise DataError(f"{path} is cut off or damaged ({damage})")
    try:
        flags = cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH
        decoded = cv2.imdecode(np.frombuffer(coded, np.uint8), flags) if coded else None
    except cv2.error as error:
        raise DataError(
            f"{path} claims more than {max_bytes() // PIXEL_BYTES:,} pixels (or 1,048,576 a side), which take more "
            f"than {max_bytes() // 2**20:,} MiB; if that is meant, raise the environment variable {VARIABLE}"
            if "MAX_IMAGE" in error.err
            else f"{path} cannot be decoded ({error.err})"
        ) from error
    if decoded is None:
        raise DataError(f"{path} is not an image OpenCV can decode")
    if decoded.ndim == 2:
        return np.asarray(decoded)
    fast = decoded.dtype in (np.uint8, np.uint16, np.float32)  # what cvtColor takes
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)) if fast else order_colours(decoded, "bgr")


def count_pictures(path: Path) -> int:
    """How many pictures a file holds: pages of a TIFF, frames of a GIF."""
    import cv2

    return int(cv2.imcount(str(path)))


def tell_enlarged(shape: tuple[int, ...], size: tuple[int, ...]) -> list[str]:
    """A sentence where (h, w, ...) pixels become a picture whose side is more than four times as long."""
    if max(size[0] / shape[0], size[1] / shape[1]) <= MOST_ENLARGED:
        return []
    return [f"its {shape[0]} x {shape[1]} pixels are enlarged to {size[0]} x {size[1]}"]


def put_channels_last(picture: NDArray[Any]) -> NDArray[Any]:
    """(h, w, channels) from that, from (h, w), or from (channels, h, w) where only the first axis can be channels."""
    if picture.ndim == 2:
        return picture[:, :, None]
    channels_first = picture.ndim == 3 and picture.shape[0] in (1, 3) and picture.shape[2] not in (1, 3, 4)
    return np.moveaxis(picture, 0, 2) if channels_first else picture


def order_colours(pixels: NDArray[Any], colours: Literal["rgb", "bgr"]) -> NDArray[Any]:
    """RGB (..., channels) in this order; grey stays."""
    return np.ascontiguousarray(pixels[..., ::-1]) if colours == "bgr" else pixels


def resize_image(
    picture: NDArray[Any],
    size: tuple[int, int, int],
    cell: str,
    resize: Resize = "stretch",
    interpolation: Interpolation = "area",
    shorter_side: int = 0,
) -> NDArray[np.uint8]:
    """uint8 pixels (h, w), (h, w, 1|3|4) or (1|3, h, w) at `size`, in its channels."""
    import cv2

    height, width, channels = size
    picture = put_channels_last(picture)
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in (1, 3, 4) or 0 in picture.shape:
        raise DataError(f"{cell} should be uint8 (height, width, 1 or 3), found {picture.dtype} {picture.shape}")
    picture = picture[:, :, :3]
    if channels == 1 and picture.shape[2] == 3:
        picture = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)[:, :, None]
    elif channels == 3 and picture.shape[2] == 1:
        picture = np.repeat(picture, 3, axis=2)
    return np.ascontiguousarray(fit_picture(picture, height, width, resize, interpolation, shorter_side))
