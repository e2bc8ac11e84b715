"""Pictures, sounds, videos, arrays and texts: damaged bytes, headers that claim too much, files of another kind."""

import random
import struct
import zlib
from pathlib import Path

import numpy as np

from hostile.base import Base
from hostile.judge import Case
from hostile.mutations import NASTY, NUMBERS, damage

COMMANDS = (
    ["data", "check", "media"],
    ["data", "check", "media", "--model", "films.onnx"],
    ["attack", "films.onnx", "--data", "media", "--missing", "text=0.5", "--split", "train"],
    [
        "attack",
        "films.onnx",
        "--data",
        "media",
        "--noise",
        "gaussian",
        "--level",
        "0.5",
        "--on",
        "image",
        "--split",
        "train",
        "--on-bad-input",
        "missing",
        "--json",
    ],
    ["data", "recipe", "media"],
)


def try_media(base: Base, folder: Path, rng: random.Random) -> Case:
    """One file of a data set damaged, replaced or forged, and a command that decodes it."""
    files = sorted(path for path in (folder / "media").iterdir() if path.suffix != ".csv")
    path = rng.choice(files)
    content = path.read_bytes()
    kind = rng.randrange(6)
    if kind <= 2:
        content = damage(content, rng)
    elif kind == 3:
        content = rng.choice(files).read_bytes()
    elif kind == 4:
        content = forge(path.suffix, rng)
    else:
        content = rng.choice((b"", rng.choice(NASTY).encode("utf-8", "replace"), bytes(4096), rng.randbytes(2000)))
    path.unlink()
    path.write_bytes(content)
    return Case(list(rng.choice(COMMANDS)))


def forge(suffix: str, rng: random.Random) -> bytes:
    """A small file of a whole header with numbers that no file of its size bears out."""
    number = [rng.choice([n for n in NUMBERS if isinstance(n, int) and 0 <= n < 2**32]) for _ in range(4)]
    if suffix == ".wav":
        rate, size, channels, bits = number[0], number[1], number[2] & 0xFFFF, rng.choice((0, 1, 8, 16, 24, 32, 64))
        head = struct.pack(
            "<4sI4s4sIHHIIHH",
            b"RIFF",
            2**32 - 1,
            b"WAVE",
            b"fmt ",
            16,
            rng.choice((1, 3)),
            channels,
            rate,
            number[3],
            2,
            bits,
        )
        return head + struct.pack("<4sI", b"data", size) + rng.randbytes(400)
    if suffix == ".npy":
        shape = [rng.choice((0, 1, 7, 10**5, 2**40, -1)) for _ in range(rng.randrange(4))]
        kind = rng.choice(("<f4", "|u1", "|O", "<M8[s]", "<c16", "|S900000000", "|V8", "<f2", "x"))
        fields = f"{{'descr': '{kind}', 'fortran_order': {rng.random() < 0.5}, 'shape': {tuple(shape)}, }}"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(fields)) + fields.encode() + rng.randbytes(200)
    if suffix in (".bmp", ".avi"):
        head = struct.pack(
            "<2sIHHIIiiHHIIiiII",
            b"BM",
            number[0],
            0,
            0,
            54,
            40,
            number[1] & 0x7FFFFFFF,
            number[2] & 0x7FFFFFFF,
            1,
            rng.choice((1, 8, 24, 32)),
            0,
            number[3],
            0,
            0,
            0,
            0,
        )
        return head + rng.randbytes(300)
    width, height = number[0] or 5, number[1] or 5
    size = struct.pack(">IIBBBBB", width, height, rng.choice((1, 8, 16)), rng.choice((0, 2, 3, 6)), 0, 0, 0)
    parts = [(b"IHDR", size), (b"IDAT", zlib.compress(bytes(10**6))), (b"IEND", b"")]
    found = b"\x89PNG\r\n\x1a\n"
    for name, data in parts:
        found += struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return found


def try_array(base: Base, folder: Path, rng: random.Random) -> Case:
    """The `.npy` files of features and series: their bytes, their numbers, their shapes."""
    path = folder / "data" / rng.choice(("vector.npy", "series.npy"))
    x = np.load(path)
    kind = rng.randrange(5)
    path.unlink()
    if kind == 0:
        path.write_bytes(damage((base.folder / "data" / path.name).read_bytes(), rng))
    elif kind == 1:
        x[rng.randrange(len(x))] = rng.choice((np.nan, np.inf, 3e38, -3e38, 1e-40))
        np.save(path, x)
    elif kind == 2:
        np.save(path, rng.choice((x[:7], x[..., :1], x.reshape(-1), x[None], x.astype(np.complex64), x.astype("U8"))))
    elif kind == 3:
        path.write_bytes(forge(".npy", rng))
    else:
        np.save(path, np.zeros(0, np.float32))
    words = rng.choice(
        (
            ["data", "check", "data"],
            ["attack", "model.onnx", "--data", "data", "--noise", "gaussian", "--level", "1", "--on", "series"],
            [
                "attack",
                "foreign.onnx",
                "--describe",
                "foreign.toml",
                "--data",
                "data",
                "--missing",
                "vector=1",
                "--json",
            ],
            ["train", "tiny.toml", "--epochs", "1"],
        )
    )
    return Case(list(words))
