"""JPEG files: every coding of whole ones passes, cuts and holes are refused; other formats find what they can."""

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from robustmm.errors import DataError
from robustmm.modalities import Image
from robustmm.modalities.files.jpeg import find_jpeg_damage

RNG = np.random.default_rng(0)
WAVES = 128 + 100 * np.sin(np.arange(160) / 17)[:, None] * np.cos(np.arange(200) / 23)
PICTURE = (WAVES[..., None] + RNG.normal(0, 12, (160, 200, 3))).clip(0, 255).astype(np.uint8)
IMAGE = Image(name="image", size=(32, 32, 3))


def jpeg(picture: Any = PICTURE, mode: str = "", **options: Any) -> bytes:
    file = io.BytesIO()
    whole = Pillow.fromarray(picture)
    (whole.convert(mode) if mode else whole).save(file, "JPEG", **{"quality": 90} | options)
    return file.getvalue()


def turned() -> Any:
    tags = Pillow.Exif()
    tags[0x112] = 6
    return tags


CODINGS: dict[str, dict[str, Any]] = {
    "4:2:0": {"subsampling": 2}, "4:2:2": {"subsampling": 1}, "4:4:4": {"subsampling": 0},
    "progressive": {"progressive": True}, "optimised": {"optimize": True}, "coarse": {"quality": 10},
    "restarts": {"restart_marker_rows": 1}, "grey": {"mode": "L"}, "CMYK": {"mode": "CMYK"}, "EXIF": {"exif": turned()},
}  # fmt: skip


def refusal(content: bytes, path: Path) -> str:
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        IMAGE.read(path.name, path.parent)
    return str(error.value)


@pytest.mark.parametrize("coding", CODINGS)
def test_a_whole_file_passes(tmp_path: Path, coding: str) -> None:
    content = jpeg(**CODINGS[coding])
    for tail in (b"", bytes(600), b"\xff\xd8\xff\xe0 another picture", b"SAMSUNG"):
        assert find_jpeg_damage(content + tail) == ""
    (tmp_path / "a.jpg").write_bytes(content)
    assert IMAGE.read("a.jpg", tmp_path).std() > 20
    assert IMAGE.size_of("a.jpg", tmp_path).startswith("200 x 160" if coding == "EXIF" else "160 x 200")


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("share", [0.4, 0.7, 0.99])
@pytest.mark.parametrize("end", [b"", b"\xff\xd9", b"zeros"])
def test_a_cut_file_is_refused(tmp_path: Path, coding: str, share: float, end: bytes) -> None:
    content = jpeg(**CODINGS[coding])
    kept = int(share * len(content))
    tail = bytes(len(content) - kept) if end == b"zeros" else end
    assert "a.jpg is cut off or damaged (" in refusal(content[:kept] + tail, tmp_path / "a.jpg")


@pytest.mark.parametrize("coding", sorted(set(CODINGS) - {"progressive", "coarse"}))
@pytest.mark.parametrize("noise", [False, True])
def test_a_file_damaged_inside_is_refused(tmp_path: Path, coding: str, noise: bool) -> None:
    content = jpeg(**CODINGS[coding])
    for seed in range(6):
        rng = np.random.default_rng(seed)
        at = int(rng.integers(1000, len(content) - 1200))
        hole = rng.integers(0, 256, 1024, dtype=np.uint8).tobytes() if noise else bytes(1024)
        assert "is cut off or damaged" in refusal(content[:at] + hole + content[at + 1024 :], tmp_path / "a.jpg")


FLAT = [np.full((300, 300, 3), value, np.uint8) for value in (0, 128, 255)]


@pytest.mark.parametrize("coding", sorted(set(CODINGS) - {"EXIF"}))
def test_flat_pictures_are_no_holes(coding: str) -> None:
    """With tables of their own they are zeros to a large part."""
    half = PICTURE.copy()
    half[40:] = 255
    for picture in (*FLAT, half):
        assert find_jpeg_damage(jpeg(picture, **CODINGS[coding])) == ""
    assert bytes(48) in jpeg(FLAT[1], optimize=True)


def test_zeros_outside_the_picture_are_no_holes() -> None:
    """Cameras leave some in their notes, a thumbnail's scan before them."""
    whole, thumbnail = jpeg(), jpeg(PICTURE[:32, :32])
    notes = b"Exif\x00\x00" + thumbnail + bytes(500)
    content = whole[:2] + b"\xff\xe1" + (len(notes) + 2).to_bytes(2) + notes + whole[2:] + bytes(300) + thumbnail
    assert find_jpeg_damage(content) == ""


def test_odd_headers_are_no_damage() -> None:
    content = bytearray(jpeg())
    at = content.find(b"JFIF\x00") + 5
    content[at] = 9  # a version that libjpeg warns about
    assert find_jpeg_damage(bytes(content)) == ""
    odd = bytearray(jpeg(subsampling=0))
    frame = odd.find(b"\xff\xc0")
    odd[frame + 11] = 0x31  # a sampling that TurboJPEG has no name for
    assert find_jpeg_damage(bytes(odd)) == ""
    assert find_jpeg_damage(b"") == find_jpeg_damage(b"\x89PNG") == find_jpeg_damage(b"\xff\xd8\xff") == ""


@pytest.mark.parametrize("suffix", [".png", ".gif", ".avif"])
def test_formats_with_checksums_find_holes_by_themselves(tmp_path: Path, suffix: str) -> None:
    content = cv2.imencode(suffix, PICTURE)[1].tobytes()
    middle, size = len(content) // 2, len(content) // 8
    sentence = refusal(content[:middle] + bytes(size) + content[middle + size :], tmp_path / f"a{suffix}")
    assert ("has a wrong checksum" if suffix == ".png" else "is not an image OpenCV can decode") in sentence


@pytest.mark.parametrize("suffix", [".gif", ".tif", ".webp", ".png"])
def test_further_pictures_in_a_file_are_told(tmp_path: Path, suffix: str) -> None:
    pages = [Pillow.fromarray(np.full((20, 20, 3), value, np.uint8)) for value in (10, 90, 200)]
    pages[0].save(tmp_path / f"one{suffix}")
    pages[0].save(tmp_path / f"more{suffix}", save_all=True, append_images=pages[1:])
    assert IMAGE.find_faults(f"one{suffix}", tmp_path) == []
    assert IMAGE.find_faults(f"more{suffix}", tmp_path) == ["of its 3 pictures only the first is read"]


def test_a_small_picture_that_is_enlarged_is_told(tmp_path: Path) -> None:
    for side, told in ((8, []), (7, ["its 7 x 8 pixels are enlarged to 32 x 32"])):
        np.save(tmp_path / "a.npy", np.zeros((side, 8, 3), np.uint8))
        np.save(tmp_path / "planes.npy", np.zeros((3, side, 8), np.uint8))
        assert IMAGE.find_faults("a.npy", tmp_path) == IMAGE.find_faults("planes.npy", tmp_path) == told
