"""The kind and size of a column from some of its cells: what most of them are, never what the first one is."""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from math import ceil
from pathlib import Path, PurePath
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from robustmm.errors import RobustmmError
from robustmm.modalities import KINDS, Audio, Features, Image, Modality, Series, Text, Video
from robustmm.modalities.audio import read_header
from robustmm.modalities.base import find_file, named_file, read_array
from robustmm.modalities.image import read_pixels
from robustmm.modalities.series import read_csv

T = TypeVar("T")

MEDIA = {suffix for kind in KINDS.values() for suffix in kind.suffixes}


FULL_SCALES = (1.0, 2.0**15, 2.0**31)
"""Full scale of floats, and of floats that hold 16-bit or 32-bit integers."""
SIDE = 8
"""Fewest pixels of a side from which an array of floats or 16 bits may be a picture: (steps, joints, 3) is none."""


def guess_modality(base: dict[str, Any], cells: list[str], folder: Path) -> Modality | None:
    """What these cells are, or None where they are metadata. `base` holds the modality's name and column."""
    kind = common_suffix(cells)
    if kind not in MEDIA:
        words = bool(cells) and np.mean([len(cell.split()) for cell in cells]) >= 3
        return Text(**base) if words and not names_files(cells, folder) else None
    if kind == ".npy":
        arrays = [found for found in read_cells(read_array, cells, folder) if found.size]
        return _guess_array(base, arrays) if arrays else None
    if kind in Image.suffixes:
        pictures = read_cells(read_pixels, cells, folder)
        return _guess_image(base, pictures, 224) if pictures else None
    if kind in Video.suffixes:
        files = read_cells(find_file, cells, folder)
        return Video(**base, frames=16, size=(112, 112, 3)) if files else None
    if kind in Series.suffixes:
        tables = read_cells(lambda cell, folder: read_csv(find_file(cell, folder)), cells, folder)
        tables = [found for found in tables if found.size]
        return _guess_array(base, tables) if tables else None
    headers = read_cells(lambda cell, folder: read_header(find_file(cell, folder)), cells, folder)
    return _guess_audio(base, headers, cells, folder) if headers else None


def read_cells(read: Callable[[str, Path], T], cells: list[str], folder: Path) -> list[T]:
    """The contents of the cells that can be read. The check reports the others; they do not change the guess."""
    found = []
    for cell in cells:
        with suppress(RobustmmError, OSError, ValueError):
            found.append(read(cell, folder))
    return found


def common_suffix(cells: list[str]) -> str:
    """The commonest suffix."""
    every = Counter(PurePath(named_file(cell)).suffix for cell in cells)
    return every.most_common(1)[0][0].lower() if every else ""


def names_files(cells: list[str], folder: Path) -> bool:
    """Whether most of the cells name files that exist."""
    return 2 * len(read_cells(find_file, cells, folder)) > len(cells)


def most_common(values: Iterable[T]) -> T:
    """The commonest value; of equally common ones the largest, so that the first does not decide."""
    counts = Counter(values)
    return max(counts, key=lambda value: (counts[value], value))


def _guess_audio(base: dict[str, Any], headers: list[tuple[int, int]], cells: list[str], folder: Path) -> Audio:
    seconds = max(length / rate for length, rate in headers)
    rate = min(16_000, most_common([rate for _, rate in headers]))
    audio = Audio(**base, rate=rate, seconds=min(600.0, max(1, ceil(100 * seconds - 1e-6)) / 100))
    scaled = (audio.model_copy(update={"full_scale": scale}) for scale in FULL_SCALES)
    fits = (one for one in scaled if 2 * len(read_cells(one.read, cells, folder)) > len(headers))
    return next(fits, audio)


def _guess_array(base: dict[str, Any], arrays: list[NDArray[Any]]) -> Modality | None:
    kind = most_common(_array_kind(array) for array in arrays)
    alike = [array for array in arrays if _array_kind(array) == kind]
    steps = int(np.median([len(array) if array.ndim else 1 for array in alike]))
    if kind == "vector":
        sizes = {array.size for array in alike}
        return Features(**base, length=sizes.pop()) if len(sizes) == 1 else Series(**base, steps=steps, channels=1)
    if kind == "picture":
        return _guess_image(base, alike, 224)
    if kind == "film":
        size = common_size([array.shape[1:] for array in alike], 112)
        return Video(**base, frames=min(16, steps), size=size)
    return Series(**base, steps=steps, channels=most_common(a.shape[1] for a in alike)) if kind == "series" else None


def _array_kind(array: NDArray[Any]) -> str:
    """Pixels are unsigned, or have an axis of 1, 3 or 4 channels: three axes of which the first is 1 or 3 are channels
    first, as torch saves pictures, and no film of one or three frames."""
    if array.ndim <= 1:
        return "vector"
    pixels = array.dtype == np.uint8
    if array.ndim == 2:
        return "picture" if pixels or (array.dtype == np.uint16 and min(array.shape) >= SIDE) else "series"
    if array.ndim == 3 and (array.shape[2] in (1, 3, 4) or array.shape[0] in (1, 3)):
        deep = array.dtype.kind in "fu" and min(channels_last(array.shape)[:2]) >= SIDE
        return "picture" if pixels or deep else ""
    return "film" if pixels and array.ndim in (3, 4) else ""


def _guess_image(base: dict[str, Any], pictures: list[NDArray[Any]], largest: int) -> Image:
    deep = [picture for picture in pictures if picture.dtype != np.uint8]
    table = base | ({"range": guess_range(deep)} if 2 * len(deep) > len(pictures) else {})
    return Image(**table, size=common_size([channels_last(picture.shape) for picture in pictures], largest))


def channels_last(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(h, w, channels) of (channels, h, w), where only the first axis can be channels; other shapes as they are."""
    first = len(shape) == 3 and shape[0] in (1, 3) and shape[2] not in (1, 3, 4)
    return (*shape[1:], shape[0]) if first else shape


def guess_range(pictures: list[NDArray[Any]]) -> list[float]:
    """The stored values that are black and white: 0 to 1, -1 to 1 or 0 to 255 where floats lie in it and fill more than
    a fourth, else the lowest and the highest that occur."""
    finite = [picture[np.isfinite(picture)] for picture in pictures]
    low = min((float(values.min()) for values in finite if values.size), default=0.0)
    high = max((float(values.max()) for values in finite if values.size), default=1.0)
    if pictures[0].dtype.kind == "f":
        for known in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)):
            if known[0] <= low and high <= known[1] and 4 * high > known[1]:
                return list(known)
    return [low, high if high > low else low + 1]


def common_size(shapes: list[tuple[int, ...]], largest: int) -> tuple[int, int, Literal[1, 3]]:
    """Height, width, channels: the size of more than half, else the medians; shrunk to a longest side of `largest`."""
    (side, count), *_ = Counter(shape[:2] for shape in shapes).most_common(1)
    height, width = side if 2 * count > len(shapes) else np.median([shape[:2] for shape in shapes], axis=0)
    channels: Literal[1, 3] = most_common(1 if len(shape) == 2 or shape[2] == 1 else 3 for shape in shapes)
    shrink = min(1.0, largest / max(height, width))
    return max(1, round(height * shrink)), max(1, round(width * shrink)), channels
