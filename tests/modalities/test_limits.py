"""Small files that claim a lot: a sentence with the limit and how to raise it, before anything is allocated."""

import struct
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import soundfile
from pydantic import TypeAdapter, ValidationError

from robustmm.errors import DataError, UsageError
from robustmm.modalities import AnyModality, Audio, Features, Image, Modality, Series, Video
from robustmm.modalities.base import is_array
from robustmm.modalities.features import is_number
from robustmm.modalities.files.limits import VARIABLE, check_claim, max_bytes
from robustmm.modalities.files.pictures import read_size
from robustmm.modalities.files.table import read_table

SOUND = Audio(name="a", rate=8000, seconds=0.5)
PICTURE = Image(name="i", size=(8, 8, 3))
ANY: TypeAdapter[Modality] = TypeAdapter(AnyModality)


@pytest.mark.parametrize("cell", ["a.npy", "a.npy#0"])
def test_a_sparse_array_is_not_copied(tmp_path: Path, cell: str) -> None:
    np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.float32, (1, 1500 * 2**18))
    with pytest.raises(DataError, match=f"takes 1,500 MiB, expected at most 1,024; .*{VARIABLE}=1500"):
        Features(name="f", length=3).read(cell, tmp_path)


def test_a_row_is_judged_by_itself_and_not_by_its_file(tmp_path: Path) -> None:
    np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.float32, (2**20, 1500))  # sparse, 6 GB
    assert Features(name="f", length=1500).read("a.npy#17", tmp_path).shape == (1500,)


def test_bytes_are_counted_as_the_floats_that_they_become(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "a.npy", np.zeros(2**20, np.uint8))
    monkeypatch.setenv(VARIABLE, "3")
    with pytest.raises(DataError, match="takes 4 MiB, expected at most 3"):
        Features(name="f", length=3).read("a.npy", tmp_path)


def write_wave(path: Path, rate: int = 8000, samples: int = 100, channels: int = 1) -> None:
    """A WAV of 16 bits without a sound in it, sparse where it is long."""
    size = 2 * samples * channels
    head = struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * 2 * channels % 2**32, 2 * channels, 16)
    with path.open("wb") as file:
        file.write(b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + head + b"data" + struct.pack("<I", size))
        file.truncate(44 + size)


@pytest.mark.parametrize("rate", [1, 3, 999, 768_001, 9_999_991, 2**31 - 1])
def test_rates_that_no_recording_has(tmp_path: Path, rate: int) -> None:
    write_wave(tmp_path / "a.wav", rate)
    for read in (SOUND.read, SOUND.size_of):
        with pytest.raises(DataError, match="Hz, expected 1,000 to 768,000"):
            read("a.wav", tmp_path)


@pytest.mark.parametrize("rate", [1_000, 768_000])
def test_rates_that_recordings_may_have(tmp_path: Path, rate: int) -> None:
    write_wave(tmp_path / "a.wav", rate, 1_000)
    assert SOUND.read("a.wav", tmp_path).shape == (4000,)


def test_what_resampling_takes_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wave(tmp_path / "a.wav", 1000, 2**18)
    monkeypatch.setenv(VARIABLE, "7")
    with pytest.raises(DataError, match=r"samples at 1,000 Hz, at 8,000 Hz here, which takes 8 MiB"):
        SOUND.read("a.wav", tmp_path)


@pytest.mark.parametrize(("samples", "channels"), [(2**20, 1), (2**10, 1024)])
def test_long_sounds_and_many_channels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, samples: int, channels: int
) -> None:
    write_wave(tmp_path / "a.wav", 8000, samples, channels)
    monkeypatch.setenv(VARIABLE, "3")
    with pytest.raises(DataError, match=f"claims {samples:,} x {channels:,} samples, which takes 4 MiB"):
        SOUND.read("a.wav", tmp_path)


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3"])
def test_the_limit_is_raised_and_lowered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    soundfile.write(tmp_path / f"a.{suffix}", np.zeros(2**20), 48_000)
    monkeypatch.setenv(VARIABLE, "2")
    with pytest.raises(DataError, match="expected at most 2;"):
        SOUND.read(f"a.{suffix}", tmp_path)
    monkeypatch.setenv(VARIABLE, "64")
    assert SOUND.read(f"a.{suffix}", tmp_path).shape == (4000,)


def test_a_limit_is_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "64")
    check_claim(64 * 2**20, tmp_path, "as much as it may")
    for wrong in ("", "0", "-1", "many", "9" * 30, "²"):
        monkeypatch.setenv(VARIABLE, wrong)
        with pytest.raises(UsageError, match="whole number of MiB"):
            max_bytes()


def write_tiff(width: int, height: int, bits: int, sign: str) -> bytes:
    """A TIFF's first directory, in either order of bytes."""
    entries = [(256, 4, 1, width), (257, 4, 1, height)]
    packed = b"".join(struct.pack(sign + "HHII", *entry) for entry in entries)
    packed += struct.pack(sign + "HHI", 258, 3, 3) + struct.pack(sign + "I", 60)  # three numbers stand elsewhere
    head = {"<": b"II*\0", ">": b"MM\0*"}[sign] + struct.pack(sign + "IH", 8, 3)
    return (head + packed).ljust(60, b"\0") + struct.pack(sign + "HHH", bits, bits, bits)


def coded(suffix: str, *options: int) -> bytearray:
    return bytearray(cv2.imencode(suffix, np.zeros((12, 20, 3), np.uint8), options)[1].tobytes())


def claim_picture(form: str) -> bytes:
    """A picture of 20 x 12 pixels whose header says 30,000 x 30,000, or the most that its format can."""
    content = coded(f".{form}")
    if form == "png":
        content[16:24] = struct.pack(">II", 30_000, 30_000)
    elif form == "jpg":
        at = content.index(b"\xff\xc0")
        content[at + 5 : at + 9] = struct.pack(">HH", 30_000, 30_000)
    elif form == "bmp":
        content[18:26] = struct.pack("<ii", 30_000, -30_000)
    elif form == "gif":
        content[6:10] = struct.pack("<HH", 30_000, 30_000)
    elif form == "webp":
        content[12:25] = b"VP8L" + bytes(4) + b"\x2f" + struct.pack("<I", 16_382 << 14 | 16_382)
    elif form == "tif":
        return write_tiff(30_000, 30_000, 8, "<")
    else:  # ppm
        return b"P6 30000 30000 255\n" + bytes(100)
    return bytes(content)


@pytest.mark.parametrize("form", ["png", "jpg", "bmp", "gif", "webp", "tif", "ppm"])
def test_a_picture_is_not_decoded_beyond_the_limit(tmp_path: Path, form: str) -> None:
    (tmp_path / "a").write_bytes(claim_picture(form))
    with pytest.raises(DataError, match=f"claims .*pixels.*MiB.*{VARIABLE}"):
        PICTURE.read("a", tmp_path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".gif", ".tif", ".webp"])
def test_sizes_of_pictures_are_read(tmp_path: Path, suffix: str) -> None:
    assert read_size(bytes(coded(suffix))) == (20, 12, 8)
    for cut in range(24):  # a header that is cut off is no failure here
        (tmp_path / "a").write_bytes(bytes(coded(suffix))[:cut])
        with pytest.raises(DataError, match=r"not an image|cut off or damaged"):
            PICTURE.read("a", tmp_path)


@pytest.mark.parametrize("sign", ["<", ">"])
@pytest.mark.parametrize("bits", [8, 16, 32])
def test_deep_pictures_count_for_more(tmp_path: Path, sign: str, bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tif").write_bytes(write_tiff(1024, 1024, bits, sign))
    monkeypatch.setenv(VARIABLE, "5")
    with pytest.raises(DataError, match=f"takes {6 * bits // 8} MiB, expected at most 5"):
        PICTURE.read("a.tif", tmp_path)


def test_lossless_webp(tmp_path: Path) -> None:
    assert read_size(bytes(coded(".webp", cv2.IMWRITE_WEBP_QUALITY, 101)))[:2] == (20, 12)
    assert read_size(bytes(coded(".webp", cv2.IMWRITE_WEBP_QUALITY, 50)))[:2] == (20, 12)


def test_frames_and_numbers_of_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (1024, 512))
    for level in range(4):
        writer.write(np.full((512, 1024, 3), level, np.uint8))
    writer.release()
    content = bytearray((tmp_path / "a.avi").read_bytes())
    at = content.index(b"strh")
    content[48:52] = content[at + 40 : at + 44] = struct.pack("<I", 2**31 - 1)  # frames
    (tmp_path / "a.avi").write_bytes(content)
    clip = Video(name="v", frames=2, size=(8, 8, 3))
    assert clip.read("a.avi", tmp_path).shape == (2, 8, 8, 3)
    monkeypatch.setenv(VARIABLE, "1")
    with pytest.raises(DataError, match="frames of 1,024 x 512 pixels, which takes 2 MiB"):
        clip.read("a.avi", tmp_path)


def test_cells_of_a_table_take_more_than_their_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text("1\n" * 5_000)
    monkeypatch.setenv(VARIABLE, "1")
    with pytest.raises(DataError, match="5,001 cells, which takes 2 MiB"):
        Series(name="s", steps=3, channels=1).read("a.csv", tmp_path)


@pytest.mark.parametrize(
    "table",
    [
        {"kind": "audio", "rate": 192_000, "seconds": 600},
        {"kind": "image", "size": [40_000, 40_000, 3]},
        {"kind": "video", "frames": 10**9, "size": [8, 8, 3]},
        {"kind": "video", "frames": 128, "size": [256, 256, 3]},  # a long file is thinned from 64 times as many frames
        {"kind": "series", "steps": 10**9, "channels": 2},
        {"kind": "features", "length": 10**9},
        {"kind": "text", "length": 10**12},
    ],
)
def test_a_sample_takes_as_much_as_a_cell(table: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match=f"a sample has .* numbers, which takes .*{VARIABLE}="):
        ANY.validate_python({**table, "name": "x"})
    monkeypatch.setenv(VARIABLE, "99999999999")
    assert ANY.validate_python({**table, "name": "x"}).name == "x"


@pytest.mark.parametrize("cell", ["1" * 2**20 + "x", "1." + "1" * 2**20 + "x", "." + "1" * 2**20 + "e"])
def test_numbers_are_told_in_linear_time(cell: str) -> None:
    began = time.perf_counter()
    assert not is_number(cell)
    assert time.perf_counter() - began < 1


def test_names_of_arrays_and_dates_are_told_in_linear_time(tmp_path: Path) -> None:
    began = time.perf_counter()
    assert not is_array(".npy#" * 200_000 + "/")
    assert is_array("a/b.npy#7")
    (tmp_path / "a.csv").write_text("time,a\n" + "1:" * 50_000 + "x,2\n")
    with pytest.raises(DataError, match="expected a number"):
        read_table(tmp_path / "a.csv")
    assert time.perf_counter() - began < 1
