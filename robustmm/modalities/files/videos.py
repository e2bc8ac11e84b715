"""Video files that are cut off or damaged, and that decoders read up to the damage, or around it.

Looked at is how a file is put together, by AVI's chunks, the elements of Matroska and WebM (RFC 9559) and the boxes of
MP4 and MOV (ISO/IEC 14496-12): they say their sizes, and must fill what they stand in. An intact file always passes.
Damage within the picture data of one frame is found only where Matroska has a checksum; decoders conceal it.
"""

import zlib
from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path

Data = bytes | mmap
Part = tuple[bytes, int, int]
"""A box: its name, where its content begins, and where it ends."""

SEGMENT, CLUSTER, CHECKSUM = 0x18538067, 0x1F43B675, 0xBF
IN_SEGMENT = {
    0x114D9B74, 0x1549A966, 0x1654AE6B, CLUSTER, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367, 0xEC, CHECKSUM,
}  # fmt: skip
IN_CLUSTER = {0xE7, 0xA3, 0xA0, 0xAB, 0xA7, 0xAF, 0x5854, 0xEC, CHECKSUM}


def find_video_damage(path: Path) -> str:
    """What is missing or damaged in the file, or nothing; nothing too for other formats."""
    if not path.stat().st_size:
        return ""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        if data[:4] == b"RIFF" and data[8:12] == b"AVI ":
            return _walk_chunks(data)
        if data[:4] == b"\x1a\x45\xdf\xa3":
            return _walk_segment(data)
        ends = [end for _, _, end in walk_boxes(data, 0, len(data))] if is_boxes(data) else []
        return _say_short(ends[-1], len(data)) if ends and ends[-1] > len(data) else ""


def counts_every_frame(path: Path) -> bool:
    """Whether a file's own number of frames is that of the frames it shows: an MP4 or MOV that is neither in fragments
    nor trimmed by an edit list. Other formats have an estimate, or count frames that were dropped."""
    try:
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            return _shows_all(data)
    except (KeyError, IndexError, ValueError):  # a header that lacks a part; an empty file
        return False


def _shows_all(data: Data) -> bool:
    parts = dict(_named(data, 0, len(data))) if is_boxes(data) else {}
    if b"moov" not in parts or b"moof" in parts:
        return False
    movie = dict(_named(data, *parts[b"moov"]))
    for name, begin, end in walk_boxes(data, *parts[b"moov"]):
        track = dict(_named(data, begin, end)) if name == b"trak" else {}
        media = dict(_named(data, *track[b"mdia"])) if b"mdia" in track else {}
        handler = media[b"hdlr"][0] + 8 if b"hdlr" in media else 0
        if data[handler : handler + 4] == b"vide":
            unit = _read_times(data, movie[b"mvhd"][0], 12)[0]
            rate, length = _read_times(data, media[b"mdhd"][0], 12)
            shown = _read_times(data, track[b"tkhd"][0], 16)[1]
            return unit > 0 and rate > 0 and shown / unit >= 0.99 * length / rate
    return False


def is_boxes(data: Data) -> bool:
    return data[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


def walk_boxes(data: Data, at: int, end: int) -> Iterator[Part]:
    """The boxes between two bytes; the last may say that it ends behind them."""
    while at + 8 <= end and data[at + 4 : at + 8].isascii() and any(data[at : at + 8]):
        size, begin = int.from_bytes(data[at : at + 4]), at + 8
        if size == 1:
            size, begin = int.from_bytes(data[at + 8 : at + 16]), at + 16
        size = size or end - at
        if size < begin - at:
            return
        yield data[at + 4 : at + 8], begin, at + size
        at += size


def _named(data: Data, begin: int, end: int) -> Iterator[tuple[bytes, tuple[int, int]]]:
    return ((name, (start, stop)) for name, start, stop in walk_boxes(data, begin, end))


def _read_times(data: Data, at: int, where: int) -> tuple[int, int]:
    """A header's unit (a second's parts) and duration; version 1 has dates and durations of 64 bits."""
    at, wide = (at + where + 8, 8) if data[at] else (at + where, 4)
    return int.from_bytes(data[at : at + 4]), int.from_bytes(data[at + 4 : at + 4 + wide])


def _say_short(said: int, found: int) -> str:
    return f"its header says {said} bytes, found {found}"


def _walk_chunks(data: Data) -> str:
    """AVI: RIFFs one after the other, whose lists of frames are filled by chunks."""
    at = 0
    while data[at : at + 4] == b"RIFF":
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if not 0 < size < 2**32 - 2**16:
            return ""  # written into a pipe
        end = at + 8 + size
        if end > len(data):
            return _say_short(end, len(data))
        if damaged := _find_torn_chunk(data, at + 12, end, [b"movi", b"rec "]):
            return f"the chunk at byte {damaged} is damaged"
        at = end + size % 2
    return ""


def _find_torn_chunk(data: Data, at: int, end: int, lists: list[bytes]) -> int:
    """Where a chunk does not end within its list; 0 where all do. `lists` stand in each other."""
    while at + 8 <= end:
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if not data[at : at + 4].isascii() or not any(data[at : at + 4]) or at + 8 + size > end:
            return at
        inside = data[at : at + 4] == b"LIST" and data[at + 8 : at + 12] == (lists[0] if lists else b"")
        if inside and (damaged := _find_torn_chunk(data, at + 12, at + 8 + size, lists[1:])):
            return damaged
        at += 8 + size + size % 2
    return 0


def _walk_segment(data: Data) -> str:
    """Matroska and WebM: a segment, its clusters, and their blocks."""
    at = 0
    while at < len(data):
        kind, begin, size = _read_element(data, at)
        if size is None or not kind:
            return ""  # written while it was streamed
        if begin + size > len(data):
            return _say_short(begin + size, len(data))
        if kind == SEGMENT:
            return _find_torn_element(data, begin, begin + size, IN_SEGMENT)
        at = begin + size
    return ""


def _find_torn_element(data: Data, at: int, end: int, known: set[int]) -> str:
    while at < end:
        kind, begin, size = _read_element(data, at)
        if size is None and kind in known:
            return ""
        if kind not in known or size is None or begin + size > end:
            return f"the element at byte {at} is damaged"
        if kind == CHECKSUM and size == 4 and known is IN_CLUSTER:
            said = int.from_bytes(data[begin : begin + 4], "little")
            if zlib.crc32(data[begin + 4 : end]) != said:
                return f"the cluster before byte {end} is damaged"
        if kind == CLUSTER and (damaged := _find_torn_element(data, begin, begin + size, IN_CLUSTER)):
            return damaged
        at = begin + size
    return ""


def _read_element(data: Data, at: int) -> tuple[int, int, int | None]:
    """An element's kind, where its content begins, and its size (None: unknown)."""
    if at >= len(data) or not data[at]:
        return 0, at, 0
    width = 9 - data[at].bit_length()
    kind, at = int.from_bytes(data[at : at + width]), at + width
    if at >= len(data) or not data[at]:
        return 0, at, 0
    width = 9 - data[at].bit_length()
    size = int.from_bytes(data[at : at + width]) & ((1 << 7 * width) - 1)
    return kind, at + width, None if size == (1 << 7 * width) - 1 else size
