"""Motion JPEG in AVI: the frames of a clip as JPEG files, in one file that every video reader takes.

The JPEG bytes stand in it as they are, so that frames that somebody extracted lose nothing by it, and the same frames
give the same file on every machine. The layout is that of Microsoft's "AVI RIFF File Reference" (AVI 1.0, one stream).
"""

import struct
from collections.abc import Sequence

HAS_INDEX, KEY_FRAME = 0x10, 0x10


def write_avi(frames: Sequence[bytes], size: tuple[int, int], per_second: int) -> bytes:
    """A whole AVI file of JPEG files, all of `size` (height, width)."""
    height, width = size
    largest = max(map(len, frames))
    main = struct.pack(
        "<14I", 1_000_000 // per_second, largest * per_second, 0, HAS_INDEX, len(frames), 0, 1, largest, width, height,
        0, 0, 0, 0,
    )  # fmt: skip
    stream = b"vidsMJPG" + struct.pack(
        "<IHHIIIIIIII4H", 0, 0, 0, 0, 1, per_second, 0, len(frames), largest, 0xFFFFFFFF, 0, 0, 0, width, height
    )
    bitmap = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"MJPG", 3 * width * height, 0, 0, 0, 0)
    header = b"hdrl" + _chunk(b"avih", main)
    header += _chunk(b"LIST", b"strl" + _chunk(b"strh", stream) + _chunk(b"strf", bitmap))
    movie, index = bytearray(b"movi"), bytearray()
    for frame in frames:
        index += b"00dc" + struct.pack("<III", KEY_FRAME, len(movie), len(frame))
        movie += _chunk(b"00dc", frame)
    parts = _chunk(b"LIST", header) + _chunk(b"LIST", bytes(movie)) + _chunk(b"idx1", bytes(index))
    return _chunk(b"RIFF", b"AVI " + parts)


def _chunk(name: bytes, content: bytes) -> bytes:
    """A RIFF chunk; its content is filled up to an even length."""
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
