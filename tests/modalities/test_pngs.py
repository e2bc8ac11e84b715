"""PNG files that are cut off or damaged: whole ones pass, and every changed or missing byte is found."""

import cv2
import numpy as np
import pytest

from robustmm.modalities.files.png import find_png_damage

WHOLE = cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8))[1].tobytes()


def test_whole_files_and_other_files_pass() -> None:
    assert find_png_damage(WHOLE) == ""
    assert find_png_damage(WHOLE + b"what stands behind the end is not read") == ""
    assert find_png_damage(b"") == find_png_damage(b"\xff\xd8\xff") == ""


@pytest.mark.parametrize("at", [9, 13, 17, 24, 29, 41, 60, 100])
def test_a_changed_byte_is_found(at: int) -> None:
    content = bytearray(WHOLE)
    content[at] ^= 1
    assert find_png_damage(bytes(content)) != ""


@pytest.mark.parametrize("length", [8, 20, 33, 50, len(WHOLE) - 12, len(WHOLE) - 1])
def test_a_cut_is_found(length: int) -> None:
    assert find_png_damage(WHOLE[:length]) in ("it ends within a chunk", "its last chunk is missing")


def test_the_chunk_is_named() -> None:
    content = WHOLE.replace(b"IDAT", b"IDAX", 1)
    assert find_png_damage(content) == "the chunk at byte 33 has a wrong checksum"
