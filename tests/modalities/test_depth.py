"""Pictures of more than 8 bits: exactly as `range` says, by the full scale where that is certain, else refused."""

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from robustmm.errors import DataError
from robustmm.modalities import Image

RNG = np.random.default_rng(0)
MILLIMETRES = RNG.integers(500, 4001, (20, 30), dtype=np.uint16)
MILLIMETRES[0, :2] = 500, 4000


def image(channels: int = 1, **keys: Any) -> Image:
    return Image.model_validate({"name": "depth", "size": (20, 30, channels), **keys})


def saved(path: Path, pixels: Any) -> str:
    """A file with these pixels (grey, or RGB) at their own depth."""
    if path.suffix == ".npy":
        np.save(path, pixels)
    else:
        assert cv2.imwrite(str(path), pixels if pixels.ndim == 2 else pixels[..., ::-1])
    return path.name


def refusal(cell: str, folder: Path, **keys: Any) -> str:
    with pytest.raises(DataError) as error:
        image(**keys).read(cell, folder)
    return str(error.value)


MEMBERS: dict[str, tuple[Any, tuple[float, float]]] = {
    "depth.png": (MILLIMETRES, (500, 4000)),
    "depth.tif": (MILLIMETRES, (500, 4000)),
    "depth.pgm": (MILLIMETRES, (500, 4000)),
    "metres.npy": ((MILLIMETRES / 1000).astype(np.float32), (0.5, 4)),
    "metres.tiff": ((MILLIMETRES / 1000).astype(np.float32), (0.5, 4)),
    "metres.pfm": ((MILLIMETRES / 1000).astype(np.float32), (0.5, 4)),
    "unit.npy": (RNG.random((20, 30)), (0, 1)),
    "signed.npy": (MILLIMETRES.astype(np.int64) - 2000, (-1500, 2000)),
    "counts.tif": (MILLIMETRES.astype(np.int32), (500, 4000)),
    "colour.png": (RNG.integers(0, 4096, (20, 30, 3), dtype=np.uint16), (0, 4095)),
    "mask.npy": (RNG.random((20, 30)) < 0.5, (0, 1)),
}


@pytest.mark.parametrize("name", MEMBERS)
def test_range_is_a_line_from_black_to_white(tmp_path: Path, name: str) -> None:
    stored, (low, high) = MEMBERS[name]
    cell = saved(tmp_path / name, stored)
    channels = 3 if stored.ndim == 3 else 1
    found = image(channels, range=(low, high)).read(cell, tmp_path)
    wide = stored.astype(np.float32 if stored.dtype == np.float32 else np.float64).astype(np.float64)
    expected = np.rint((wide - low) / (high - low) * 255).astype(np.uint8)
    assert np.abs(found.reshape(expected.shape).astype(int) - expected).max() <= 0
    assert len(np.unique(found)) > (200 if stored.dtype != bool else 1), "not fifteen grey levels"
    half = image(channels, range=(low, (low + high) / 2)).read(cell, tmp_path)
    assert (half.reshape(stored.shape)[wide >= (low + high) / 2] == 255).all(), "what lies above is white"
    assert image(channels, range=(low, high)).find_faults(cell, tmp_path) == []


@pytest.mark.parametrize("name", MEMBERS)
def test_without_range_the_found_values_and_the_key_are_named(tmp_path: Path, name: str) -> None:
    stored, (low, high) = MEMBERS[name]
    cell = saved(tmp_path / name, stored)
    sentence = refusal(cell, tmp_path, channels=3 if stored.ndim == 3 else 1)
    assert f"holds {stored.dtype} from {stored.min():g} to {stored.max():g}" in sentence
    asked = re.search(r"such as range = \[(.+), (.+)\]$", sentence)
    assert asked, sentence
    assert float(asked[1]) == pytest.approx(low, abs=high / 500)
    assert float(asked[2]) == pytest.approx(high, rel=1e-2)
    image(3 if stored.ndim == 3 else 1, range=(float(asked[1]), float(asked[2]))).read(cell, tmp_path)


def test_full_sixteen_bits_need_no_range_and_are_told(tmp_path: Path) -> None:
    deep = RNG.integers(0, 2**16, (20, 30), dtype=np.uint16)
    cell = saved(tmp_path / "a.png", deep)
    found = image().read(cell, tmp_path)
    assert (found[:, :, 0] == np.rint(deep / 257)).all()
    assert image().find_faults(cell, tmp_path) == [
        f"of its 16 bits ({deep.min()} to {deep.max()}) only the upper 8 are read"
    ]
    assert (image(range=(0, 65535)).read(cell, tmp_path) == found).all()


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_fewer_bits_in_sixteen_are_not_taken_for_sixteen(tmp_path: Path, bits: int) -> None:
    cell = saved(tmp_path / "a.png", RNG.integers(0, 2**bits, (20, 30), dtype=np.uint16))
    assert "should say which values are black and white" in refusal(cell, tmp_path)


@pytest.mark.parametrize("hole", [65535, 0])
def test_a_value_for_nothing_measured_does_not_make_depth_sixteen_bits(tmp_path: Path, hole: int) -> None:
    depth = MILLIMETRES.copy()
    depth[5, 5] = hole
    assert f"from {depth.min()} to {depth.max()}" in refusal(saved(tmp_path / "a.png", depth), tmp_path)


def test_eight_bits_stay_and_do_not_fit_a_wider_range(tmp_path: Path) -> None:
    stored = RNG.integers(0, 4, (20, 30), dtype=np.uint8)
    cell = saved(tmp_path / "a.png", stored)
    assert (image().read(cell, tmp_path)[:, :, 0] == stored).all()
    assert (image(range=(0, 3)).read(cell, tmp_path)[:, :, 0] == 85 * stored).all()
    sentence = "a.png has 8 bits a value, expected values up to 4000 (its modality's range)"
    assert refusal(cell, tmp_path, range=(500, 4000)) == sentence


def test_nan_has_no_grey_level(tmp_path: Path) -> None:
    depth = MILLIMETRES / 1000
    depth[3, :4] = np.nan
    cell = saved(tmp_path / "a.npy", depth)
    assert refusal(cell, tmp_path, range=(0, 4)) == "a.npy holds NaN in 4 of its 600 values"
    depth[3, :4] = np.inf
    saved(tmp_path / "a.npy", depth)
    assert (image(range=(0, 4)).read(cell, tmp_path)[3, :4] == 255).all(), "farther than everything"


def test_what_range_clips_is_told_with_its_share(tmp_path: Path) -> None:
    cell = saved(tmp_path / "a.tif", MILLIMETRES)
    share = np.mean(MILLIMETRES > 3000)
    told = image(range=(500, 3000)).find_faults(cell, tmp_path)
    assert told == [f"{share:.0%} of the values lie outside range = [500, 3000]"]
    assert "(20, 30)" not in "".join(told)


def test_the_orientation_of_a_deep_picture_is_kept(tmp_path: Path) -> None:
    from PIL import Image as Pillow

    turned = Pillow.Exif()
    turned[0x112] = 6  # a quarter to the right
    Pillow.fromarray(MILLIMETRES).save(tmp_path / "a.png", exif=turned)
    modality = Image(name="depth", size=(30, 20, 1), range=(500, 4000))
    saved(tmp_path / "b.png", np.rot90(MILLIMETRES, -1))
    assert (modality.read("a.png", tmp_path) == modality.read("b.png", tmp_path)).all()
