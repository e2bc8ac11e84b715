"""Images: whatever OpenCV decodes becomes uint8 at the recipe's size; what it does not is a sentence."""

import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from robustmm.errors import DataError
from robustmm.modalities import Image
from robustmm.modalities.image import resize_image

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (12, 20), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (12, 20, 3), dtype=np.uint8)  # RGB


def saved(path: Path, pixels: Any) -> str:
    """A file of RGB (or RGBA, or grey) pixels, as OpenCV's encoder has it: BGR."""
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(pixels.shape[-1] if pixels.ndim == 3 else 0)
    coded = cv2.imencode(path.suffix, pixels if order is None else pixels[..., order])[1]
    path.write_bytes(coded.tobytes())
    return path.name


def image(*size: int) -> Image:
    return Image.model_validate({"name": "image", "size": size})


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".dib", ".tif", ".tiff", ".pnm", ".pam"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_lossless_files_are_read_to_the_pixel(tmp_path: Path, suffix: str, channels: int, pixels: Any) -> None:
    modality = image(12, 20, channels)
    found = modality.read(saved(tmp_path / f"a{suffix}", pixels), tmp_path)
    assert (found.dtype, found.shape) == (modality.dtype, modality.shape) == (np.dtype(np.uint8), (12, 20, channels))
    expected = pixels[:, :, None] if pixels.ndim == 2 else pixels
    if channels == 1 and pixels.ndim == 3:
        expected = np.rint(pixels @ [0.299, 0.587, 0.114])[:, :, None]
        assert np.abs(found - expected).max() <= 1
    else:
        assert (found == expected).all()


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".jpe", ".webp", ".JPG", ".jp2", ".avif", ".gif", ".ppm"])
def test_lossy_files_keep_their_colours(tmp_path: Path, suffix: str) -> None:
    red = np.zeros((64, 64, 3), np.uint8) + np.array([200, 30, 60], np.uint8)
    found = image(8, 8, 3).read(saved(tmp_path / f"a{suffix}", red), tmp_path)
    assert np.abs(found.astype(int) - [200, 30, 60]).max() <= (20 if suffix == ".gif" else 6)  # a palette of 256


def test_alpha_is_left_out(tmp_path: Path) -> None:
    seen = RNG.integers(0, 256, (5, 6, 4), dtype=np.uint8)
    assert (image(5, 6, 3).read(saved(tmp_path / "a.png", seen), tmp_path) == seen[:, :, :3]).all()
    np.save(tmp_path / "a.npy", seen)
    assert (image(5, 6, 3).read("a.npy", tmp_path) == seen[:, :, :3]).all()


@pytest.mark.parametrize("shape", [(12, 20), (12, 20, 1), (12, 20, 3)])
def test_arrays_are_pictures_too(tmp_path: Path, shape: tuple[int, ...]) -> None:
    stack = RNG.integers(0, 256, (3, *shape), dtype=np.uint8)
    np.save(tmp_path / "all.npy", stack)
    found = image(12, 20, 3).read("all.npy#2", tmp_path)
    assert (found == np.broadcast_to(stack[2].reshape(12, 20, -1), (12, 20, 3))).all()
    assert image(12, 20, 3).size_of("all.npy#2", tmp_path) == " x ".join(map(str, shape))


@pytest.mark.parametrize("shape", [(3, 12, 20), (1, 12, 20), (3, 3, 7)])
def test_arrays_may_have_their_channels_first(tmp_path: Path, shape: tuple[int, ...]) -> None:
    planes = RNG.integers(0, 256, shape, dtype=np.uint8)
    np.save(tmp_path / "a.npy", planes)
    assert (image(*shape[1:], shape[0]).read("a.npy", tmp_path) == planes.transpose(1, 2, 0)).all()
    np.save(tmp_path / "last.npy", RNG.integers(0, 256, (3, 9, 3), dtype=np.uint8))
    assert (image(3, 9, 3).read("last.npy", tmp_path) == np.load(tmp_path / "last.npy")).all(), "channels last go first"


def test_shrinking_averages_and_growing_interpolates() -> None:
    checks = np.indices((16, 16)).sum(0).astype(np.uint8) % 2 * 255
    assert np.abs(resize_image(checks, (4, 4, 1), "a").astype(int) - 128).max() <= 1
    ramp = resize_image(np.array([[0, 200]], np.uint8), (1, 8, 1), "a")[0, :, 0]
    assert (np.diff(ramp.astype(int)) >= 0).all()
    assert len(set(ramp.tolist())) > 3


@pytest.mark.parametrize("shape", [(1, 1), (1, 1, 3), (1, 40), (40, 1, 3)])
def test_odd_shapes_become_the_size(shape: tuple[int, ...]) -> None:
    for channels in (1, 3):
        found = resize_image(np.full(shape, 7, np.uint8), (5, 9, channels), "a")
        assert found.shape == (5, 9, channels)
        assert (found == 7).all()


def chunk(tag: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))


@pytest.mark.parametrize("suffix", sorted(set(Image.suffixes) - {".npy", ".pbm", ".hdr", ".pfm", ".pgm"}))
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.97])
def test_a_cut_file_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    whole = (tmp_path / saved(tmp_path / f"a{suffix}", np.kron(COLOUR, np.ones((4, 4, 1), np.uint8)))).read_bytes()
    (tmp_path / f"a{suffix}").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match=f"a{suffix} (is not an image OpenCV can decode|is cut off or damaged)"):
        image(8, 8, 3).read(f"a{suffix}", tmp_path)


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"garbage" * 50)
    header = struct.pack(">IIBBBBB", 200_000, 200_000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(bomb)
    np.save(tmp_path / "float.npy", np.zeros((4, 4, 3)))
    np.save(tmp_path / "planes.npy", np.zeros((5, 8, 8), np.uint8))
    np.save(tmp_path / "empty.npy", np.zeros((0, 8, 3), np.uint8))
    np.save(tmp_path / "words.npy", np.full((2, 2), "a"))
    for cell, sentence in {
        "a.png": "is not an image OpenCV can decode",
        "bomb.png": "claims 200,000 x 200,000 pixels, which takes",
        "none.png": "does not exist",
        ".": "is not a file",
        "float.npy": "float.npy holds float64 from 0 to 0: the modality should say which values are black and white",
        "planes.npy": "found uint8 (5, 8, 8)",
        "empty.npy": "found uint8 (0, 8, 3)",
        "words.npy": "should be a picture of numbers, found <U1 (2, 2)",
        "a\0b.png": "does not exist",
        "../../etc": "is not a file" if (tmp_path / "../../etc").exists() else "does not exist",
    }.items():
        with pytest.raises(DataError) as error:
            image(8, 8, 3).read(cell, tmp_path)
        assert sentence in str(error.value)
