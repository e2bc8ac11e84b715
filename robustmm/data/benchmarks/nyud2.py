"""NYU Depth v2, scenes of 10 classes in colour and depth (Silberman et al. 2012).

`nyu_depth_v2_labeled.mat` is HDF5 with reversed axes: `images` (1449, 3, 640, 480) uint8, `depths` (1449, 640, 480)
metres with holes filled, `sceneTypes` references to columns of character codes; `splits.mat` (MATLAB 5) has the
official `trainNdxs` and `testNdxs`, from 1. Of the 27 scene types nine are classes and the rest is others. Depth is
written as 16-bit PNG in millimetres. Papers that follow TRecgNet use HHA instead, which needs the camera and gravity
and is not made here. QMF's archive of PNG files, colour left and depth right in `train/<class>` and `test/<class>`, is
read as well: each is cut in the middle.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from robustmm.data.folder import SPLIT_NAMES
from robustmm.data.preparing.benchmark import BENCHMARKS, Benchmark, Cell, Made, Row
from robustmm.data.preparing.clips import safe_name
from robustmm.data.preparing.raw import RawTree
from robustmm.data.preparing.splits import SplitList
from robustmm.errors import DataError, UsageError
from robustmm.modalities.image import read_pixels

CLASSES = {
    "bedroom", "kitchen", "living_room", "bathroom", "dining_room", "office", "home_office", "classroom", "bookstore",
}  # fmt: skip
TABLE = "nyu_depth_v2_labeled.mat"


@BENCHMARKS.register("nyud2")
class NyuDepth2(Benchmark):
    title = "NYU Depth v2"
    inputs = ("rgb", "depth")
    origin = f"{TABLE} of the NYU Depth V2 page and splits.mat of its toolbox"
    rule = "official: trainNdxs and testNdxs of splits.mat"
    sizes = {"the official split": {"train": 795, "test": 654}}
    remarks = ("depth of the .mat file is written in millimetres (16-bit PNG); it is not HHA",)

    def collect(self, tree: RawTree, chosen: SplitList) -> Iterator[Row]:
        table = tree.find(TABLE)
        if table is None and (pairs := [path for path in tree.files if path.suffix.lower() == ".png"]):
            yield from map(read_pair, pairs)
            return
        table = tree.require(TABLE, why="the labelled frames")
        official = {} if chosen else read_splits(tree.require("splits.mat", why="the official split"))
        for number, scene in enumerate(read_scenes(table), 1):
            name = f"{number:04d}"
            inputs: dict[str, Cell] = {
                column: Made(f"{column}/{name}.png", (table,), partial(read_frame, table, number - 1, column))
                for column in ("rgb", "depth")
            }
            yield Row(name, official.get(number, ""), scene if scene in CLASSES else "others", inputs, {"scene": scene})


def read_splits(path: Path) -> dict[int, str]:
    """Splits by the number of a frame, from 1."""
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=["trainNdxs", "testNdxs"])
        found = {split: np.ravel(content[f"{split}Ndxs"]).astype(int).tolist() for split in ("train", "test")}
    except Exception as error:  # loadmat fails in many ways
        raise DataError(f"{path} should hold trainNdxs and testNdxs ({type(error).__name__}: {error})") from error
    return {number: split for split, numbers in found.items() for number in numbers}


def open_table(path: Path) -> Any:
    """The HDF5 file. Raises UsageError without h5py, DataError for a file that is none."""
    try:
        import h5py
    except ImportError as error:
        raise UsageError(f"reading {path.name} needs h5py: pip install 'robustmm[prepare]'") from error
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"{path} is not a whole MATLAB 7.3 (HDF5) file: {error}") from error


def read_scenes(path: Path) -> list[str]:
    """The scene type of every frame."""
    with open_table(path) as file:
        if lacking := [name for name in ("images", "depths", "sceneTypes") if name not in file]:
            raise DataError(f"{path} should hold {', '.join(lacking)}, found {', '.join(sorted(file)[:8])}")
        return ["".join(map(chr, np.ravel(file[one]))) for one in np.ravel(file["sceneTypes"])]


def read_frame(path: Path, row: int, column: str) -> bytes:
    """A frame as PNG: 8-bit colour, or depth in millimetres as 16 bits."""
    with open_table(path) as file:
        try:
            stored = np.asarray(file["images" if column == "rgb" else "depths"][row])
        except (OSError, ValueError, IndexError) as error:
            raise DataError(f"{path} is damaged at frame {row + 1} ({error})") from error
    if column == "rgb":
        return encode_png(stored.transpose(2, 1, 0)[..., ::-1])
    millimetres = np.rint(1000 * np.nan_to_num(stored.T.astype(np.float64)))
    return encode_png(np.clip(millimetres, 0, 65535).astype(np.uint16))


def read_pair(path: Path) -> Row:
    """A PNG with colour left and depth right, in the folder of its class, in that of its split."""
    label, split = path.parent.name, SPLIT_NAMES.get(path.parents[1].name.lower())
    if split is None:
        raise DataError(f"{path} should stand in a folder of its class in train or test")
    name = f"{split}-{label}-{safe_name(path.stem)}"
    inputs: dict[str, Cell] = {
        column: Made(f"{column}/{name}.png", (path,), partial(cut_half, path, column)) for column in ("rgb", "depth")
    }
    return Row(f"{split}/{label}/{path.stem}", split, label, inputs)


def cut_half(path: Path, column: str) -> bytes:
    pixels = read_pixels(path.name, path.parent)
    half = pixels.shape[1] // 2
    cut = pixels[:, :half] if column == "rgb" else pixels[:, half : 2 * half]
    return encode_png(cut[..., ::-1] if cut.ndim == 3 else cut)


def encode_png(picture: Any) -> bytes:
    """A picture (h, w[, 3]), blue first, as a PNG file."""
    import cv2

    _, coded = cv2.imencode(".png", np.ascontiguousarray(picture))
    return bytes(coded)
