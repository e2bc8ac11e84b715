"""How large a picture says that it is, read from its header before anything is decoded.

PNG (ISO/IEC 15948), JPEG (ITU T.81), TIFF 6 and BigTIFF, WebP (RFC 9649), BMP and GIF. OpenCV holds other formats
against the number of pixels that `robustmm/__init__.py` tells it.
"""

import struct
from pathlib import Path

from robustmm.modalities.files.limits import PIXEL_BYTES, check_claim

Size = tuple[int, int, int]
"""Width and height in pixels, and the bits of a sample."""
TIFF_TYPES = {3: "H", 4: "I", 16: "Q"}
"""Short, long, and BigTIFF's long of 64 bits, as `struct` names them."""


def check_picture(coded: bytes, path: Path) -> None:
    """Raises DataError for a picture that takes more than a cell may once it is decoded."""
    try:
        width, height, bits = read_size(coded)
    except (struct.error, IndexError):  # a header that is cut off: decoders say so
        return
    check_claim(PIXEL_BYTES * width * height * max(1, bits // 8), path, f"{width:,} x {height:,} pixels")


def read_size(coded: bytes) -> Size:
    """What the header says; zeros for other formats. Raises struct.error or IndexError for a header that is cut off."""
    if coded.startswith(b"\x89PNG"):
        return *struct.unpack_from(">II", coded, 16), coded[24]
    if coded.startswith(b"\xff\xd8"):
        return _read_jpeg(coded)
    if coded[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _read_tiff(coded)
    if coded.startswith(b"RIFF") and coded[8:12] == b"WEBP":
        return _read_webp(coded)
    if coded.startswith(b"BM"):
        old = coded[14] == 12
        width, height = struct.unpack_from("<HH" if old else "<ii", coded, 18)
        return abs(width), abs(height), 8
    if coded.startswith(b"GIF8"):
        return *struct.unpack_from("<HH", coded, 6), 8
    return 0, 0, 0


def _read_jpeg(coded: bytes) -> Size:
    """The frame header is the first of the segments C0 to CF that is neither tables nor reserved."""
    at = 2
    while coded[at] == 0xFF:
        if coded[at + 1] in (0xFF, 0x01, *range(0xD0, 0xD9)):  # filling, or a marker without a segment
            at += 1 + (coded[at + 1] != 0xFF)
            continue
        length, bits, height, width = struct.unpack_from(">HBHH", coded, at + 2)
        if 0xC0 <= coded[at + 1] <= 0xCF and coded[at + 1] not in (0xC4, 0xC8, 0xCC):
            return width, height, bits
        at += 2 + length
    return 0, 0, 0


def _read_tiff(coded: bytes) -> Size:
    """The first directory's width (256), length (257) and bits of a sample (258)."""
    order, big = "<" if coded[:1] == b"I" else ">", b"+" in coded[2:4]
    directory = struct.unpack_from(order + ("Q" if big else "I"), coded, 8 if big else 4)[0]
    entries = struct.unpack_from(order + ("Q" if big else "H"), coded, directory)[0]
    first, step, inside = (8, 20, 8) if big else (2, 12, 4)
    found = {256: 0, 257: 0, 258: 8}
    for at in range(directory + first, min(directory + first + entries * step, len(coded)), step):
        tag, kind, count = struct.unpack_from(order + ("HHQ" if big else "HHI"), coded, at)
        if tag not in found or kind not in TIFF_TYPES or not count:
            continue
        place = at + step - inside
        if struct.calcsize(TIFF_TYPES[kind]) * count > inside:
            place = struct.unpack_from(order + ("Q" if big else "I"), coded, place)[0]
        found[tag] = struct.unpack_from(order + TIFF_TYPES[kind], coded, place)[0]
    return found[256], found[257], found[258]


def _read_webp(coded: bytes) -> Size:
    if coded[12:16] == b"VP8X":
        return 1 + int.from_bytes(coded[24:27], "little"), 1 + int.from_bytes(coded[27:30], "little"), 8
    if coded[12:16] == b"VP8L":
        both = struct.unpack_from("<I", coded, 21)[0]
        return 1 + (both & 0x3FFF), 1 + (both >> 14 & 0x3FFF), 8
    width, height = struct.unpack_from("<HH", coded, 26)
    return width & 0x3FFF, height & 0x3FFF, 8
