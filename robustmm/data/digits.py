"""The embedded data set: handwritten digits paired with spoken digits, unpacked to real files and a manifest.

`scripts/make_digits.py` made the archive and names its sources. PNG and WAV are written by the few lines below, without
compression, so that the same bytes come out whatever the versions of the libraries.
"""

import csv
import hashlib
import os
import shutil
import struct
import uuid
import zlib
from pathlib import Path

import cv2
import numpy as np
import platformdirs
import soundfile
from numpy.typing import NDArray

from robustmm.errors import DataError, UsageError
from robustmm.files import make_folder, write_file

ARCHIVE = Path(__file__).resolve().parent / "_digits"
FORMAT = 1  # raise it whenever the same archive unpacks to other bytes
RATE, SIDE = 8000, 16


def write(directory: Path) -> Path:
    """The manifest of the data set in `directory`, which is new or empty, or holds exactly this data set already."""
    content = build_files()
    if is_vacant(directory):
        write_folder(directory, content)
    elif not has_files(directory, content):
        raise UsageError(f"{directory}: expected a new or empty folder for the digits, found something else there")
    return directory / "manifest.csv"


def unpack_to_cache() -> Path:
    """The manifest of the data set in the user's cache: unpacked on first use, mended file by file when damaged."""
    archive = b"".join((ARCHIVE / name).read_bytes() for name in ("images.png", "clips.flac", "index.csv"))
    name = f"digits-{FORMAT}-{hashlib.sha256(archive).hexdigest()[:12]}"
    directory, content = platformdirs.user_cache_path("robustmm") / name, build_files()
    if is_vacant(directory):
        write_folder(directory, content)
    for name, data in content.items():
        if not has_bytes(directory / name, data):
            repair_file(directory / name, data)
    return directory / "manifest.csv"


def build_files() -> dict[str, bytes]:
    """Every file of the unpacked data set by its relative path."""
    with (ARCHIVE / "index.csv").open(newline="", encoding="utf-8") as file:
        index = list(csv.DictReader(file))
    sheet = np.asarray(cv2.imdecode(np.fromfile(ARCHIVE / "images.png", np.uint8), cv2.IMREAD_GRAYSCALE), np.uint8)
    images = sheet.reshape(len(sheet) // SIDE, SIDE, -1, SIDE).swapaxes(1, 2).reshape(-1, SIDE, SIDE)
    sound = soundfile.read(ARCHIVE / "clips.flac", dtype="int16")[0]
    content, table = dict[str, bytes](), ["id,split,label,speaker,image,audio\n"]
    for row, image in zip(index, images, strict=False):  # the last row of the sheet is filled up with blanks
        picture, clip = f"image/{row['id']}.png", f"audio/{row['id']}.wav"
        content[picture] = encode_png(image)
        content[clip] = encode_wav(sound[int(row["start"]) :][: int(row["length"])])
        table.append(",".join((row["id"], row["split"], row["label"], row["speaker"], picture, clip)) + "\n")
    return content | {"manifest.csv": "".join(table).encode()}


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """A grey image (H, W) as an uncompressed PNG file."""
    header = struct.pack(">IIBBBBB", image.shape[1], image.shape[0], 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + line.tobytes() for line in image), 0)  # \0: a line without a filter
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    framed = (struct.pack(">I", len(x)) + tag + x + struct.pack(">I", zlib.crc32(tag + x)) for tag, x in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def encode_wav(sound: NDArray[np.int16]) -> bytes:
    """A clip (T,) as a 16-bit PCM WAV file."""
    data = sound.astype("<i2").tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVE" + form + b"data" + struct.pack("<I", len(data)) + data


def is_vacant(directory: Path) -> bool:
    return not os.path.lexists(directory) or (directory.is_dir() and not any(directory.iterdir()))


def has_bytes(path: Path, data: bytes) -> bool:
    return path.is_file() and path.read_bytes() == data


def has_files(directory: Path, content: dict[str, bytes]) -> bool:
    """Whether the folder holds these files and no others."""
    folders = (folder for folder in (directory, directory / "image", directory / "audio") if folder.is_dir())
    found = {path.relative_to(directory).as_posix() for folder in folders for path in folder.iterdir()}
    return found == {"image", "audio", *content} and all(has_bytes(directory / name, content[name]) for name in content)


def repair_file(path: Path, data: bytes) -> None:
    """Puts one file there at once: no reader sees half of it."""
    make_folder(path.parent)
    write_file(path, data)


def write_folder(directory: Path, content: dict[str, bytes]) -> None:
    """Puts the folder there at once: a killed process leaves no more than a hidden draft beside it."""
    place = directory.absolute()  # the current folder has no name of its own
    draft = place.with_name(f".{place.name}-{uuid.uuid4().hex}")
    try:
        for folder in (draft / "image", draft / "audio"):
            folder.mkdir(parents=True)
        for name, data in content.items():
            (draft / name).write_bytes(data)
        if os.name == "nt" and place.is_dir():
            place.rmdir()  # Windows does not rename onto an empty folder
        draft.rename(place)
    except OSError as e:
        if not has_files(directory, content):  # it does when another process came first
            raise DataError(f"{directory} cannot hold the digits: {e.strerror}") from e
    finally:
        shutil.rmtree(draft, ignore_errors=True)
