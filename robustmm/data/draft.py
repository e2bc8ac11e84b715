"""A first recipe for a manifest that has none: which columns are modalities, of what kind and size."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from math import ceil
from pathlib import Path, PurePath
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from robustmm.config.recipe import RESERVED
from robustmm.data.manifest import REQUIRED, Manifest
from robustmm.errors import DataError, RobustmmError
from robustmm.modalities import KINDS, Audio, Features, Image, Modality, Series, Text, Video
from robustmm.modalities.audio import read_header
from robustmm.modalities.base import find_file, modality_name, read_array
from robustmm.modalities.image import read_pixels
from robustmm.modalities.series import read_csv

T = TypeVar("T")

CELLS_PER_COLUMN = 24
"""Cells read per column."""

MEDIA = {suffix for kind in KINDS.values() for suffix in kind.suffixes}


def guess_modalities(manifest: Manifest) -> list[Modality]:
    """A modality per column that looks like one; columns of short words and numbers are taken for metadata."""
    found: list[Modality] = []
    for column in manifest.columns:
        cells = sample_cells(manifest, column)
        name = modality_name(column, [*RESERVED, *(m.name for m in found)])
        modality = _guess_modality({"name": name, "column": "" if name == column else column}, cells, manifest.folder)
        found += [modality] if modality is not None else []
    if not found:
        listed = "; ".join(find_unreadable_columns(manifest, [])) or f"found none in {', '.join(manifest.columns)}"
        raise DataError(f"{manifest.path} should have a column of paths or texts: {listed}")
    return found


def sample_cells(manifest: Manifest, column: str) -> list[str]:
    """Some cells of a column, spread evenly; none of the columns that cannot be a modality."""
    cells = [cell for cell in manifest.columns[column] if cell and column not in REQUIRED]
    return (
        [cells[i * len(cells) // CELLS_PER_COLUMN] for i in range(CELLS_PER_COLUMN)]
        if len(cells) > CELLS_PER_COLUMN
        else cells
    )


def find_unreadable_columns(manifest: Manifest, modalities: list[Modality]) -> list[str]:
    """Columns that name media files and are taken for metadata all the same, since none looked at can be read."""
    taken = {m.column_name for m in modalities}
    paths = {
        c: cells
        for c in manifest.columns
        if c not in taken and common_suffix(cells := sample_cells(manifest, c)) in MEDIA
    }
    return [f'none of the files in column "{c}" can be read, such as {cells[0]}' for c, cells in paths.items()]


def common_suffix(cells: list[str]) -> str:
    """The commonest suffix."""
    every = Counter(PurePath(cell.partition(".npy#")[0] + ".npy" if ".npy#" in cell else cell).suffix for cell in cells)
    return every.most_common(1)[0][0].lower() if every else ""


def _read_cells(read: Callable[[str, Path], T], cells: list[str], folder: Path) -> list[T]:
    """The contents of the cells that can be read. The check reports the others; they do not change the guess."""
    found = []
    for cell in cells:
        with suppress(RobustmmError, OSError, ValueError):
            found.append(read(cell, folder))
    return found


def _guess_modality(base: dict[str, Any], cells: list[str], folder: Path) -> Modality | None:
    kind = common_suffix(cells)
    if kind not in MEDIA:
        return Text(**base) if cells and np.mean([len(cell.split()) for cell in cells]) >= 3 else None
    if kind == ".npy":
        arrays = [found for found in _read_cells(read_array, cells, folder) if found.size]
        return _guess_array_modality(base, arrays) if arrays else None
    if kind in Image.suffixes:
        pictures = _read_cells(read_pixels, cells[:4], folder) or _read_cells(read_pixels, cells[4:], folder)
        return Image(**base, size=_shrink_size(pictures[0].shape, 224)) if pictures else None
    files = _read_cells(find_file, cells, folder)
    if kind in Video.suffixes:
        return Video(**base, frames=16, size=(112, 112, 3)) if files else None
    if kind in Series.suffixes:
        tables = [
            found for found in _read_cells(lambda cell, folder: read_csv(folder / cell), cells, folder) if found.size
        ]
        return _guess_array_modality(base, tables) if tables else None
    headers = _read_cells(lambda cell, folder: read_header(folder / cell), cells, folder)
    if not headers:
        return None
    seconds = max(length / rate for length, rate in headers)
    rate = min(16_000, max(1000, headers[0][1]))
    return Audio(**base, rate=rate, seconds=min(600.0, max(1, ceil(100 * seconds - 1e-6)) / 100))


def _guess_array_modality(base: dict[str, Any], arrays: list[NDArray[Any]]) -> Modality | None:
    first, steps = arrays[0], int(np.median([len(a) if a.ndim else 1 for a in arrays]))
    if first.ndim <= 1:
        same = all(a.shape == first.shape for a in arrays)
        return Features(**base, length=first.size) if same else Series(**base, steps=steps, channels=1)
    if first.dtype == np.uint8 and (first.ndim == 2 or (first.ndim == 3 and first.shape[2] in (1, 3, 4))):
        return Image(**base, size=_shrink_size(first.shape, 224))
    if first.dtype == np.uint8 and first.ndim in (3, 4):
        return Video(**base, frames=min(16, len(first)), size=_shrink_size(first.shape[1:], 112))
    return Series(**base, steps=steps, channels=first.shape[1]) if first.ndim == 2 else None


def _shrink_size(shape: tuple[int, ...], largest: int) -> tuple[int, int, Literal[1, 3]]:
    shrink = min(1.0, largest / max(shape[:2]))
    channels: Literal[1, 3] = 1 if len(shape) == 2 or shape[2] == 1 else 3
    return max(1, round(shape[0] * shrink)), max(1, round(shape[1] * shrink)), channels


def draft_recipe(modalities: list[Modality], manifest: str) -> dict[str, object]:
    """The tables of a recipe over these modalities: the dozen lines a user starts from."""
    tables = {}
    for m in modalities:
        fields = m.model_dump(exclude_defaults=True, exclude={"name"})
        tables[m.name] = {"kind": m.kind, **{k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}}
    return {"data": {"manifest": manifest}, "modality": tables, "method": {"name": "cal+mce"}}
