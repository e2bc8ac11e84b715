"""Tables of strangers: no cell may name a file outside a folder, by a path from the root, by `..` or by a link."""

import os
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from robustmm.errors import DataError
from robustmm.modalities import KINDS
from robustmm.modalities.base import TABLE_COLUMNS, named_file

if TYPE_CHECKING:
    from robustmm.data.manifest import Manifest

MEDIA = {suffix for kind in KINDS.values() for suffix in kind.suffixes}


def manifest_folder(path: Path) -> Path:
    """The folder of a manifest, which is given as a file or as the folder itself."""
    return path if path.is_dir() else path.parent


def check_inside(manifest: "Manifest", folder: Path) -> None:
    """Raises DataError, with row and column, for the first cell that leads out of `folder` when its links are resolved.

    It is looked for in all columns but `id`, `split` and `label`, for a kind may be guessed from any; a text that is
    neither a file's name nor the name of a file that is there is no path. No file is opened.
    """
    root = Path(os.path.realpath(folder))
    for column, cells in manifest.columns.items():
        if column in TABLE_COLUMNS:
            continue
        for row, cell in enumerate(cells):
            if cell and _leads_out(manifest.folder / named_file(cell), root):
                raise DataError(
                    f"{manifest.cell_location(row, column)}: {cell} should lie in {folder}, found a file outside of it "
                    "(--inside)"
                )


def _leads_out(path: Path, root: Path) -> bool:
    try:
        found = Path(os.path.realpath(path))
        if found.is_relative_to(root):
            return False
        return PurePath(path).suffix.lower() in MEDIA or (os.path.lexists(path) and not path.is_dir())
    except (OSError, ValueError):  # a name too long, or with a NUL in it: it cannot be opened either
        return False
