"""Sound files that are cut off or damaged, and that libsndfile reads all the same."""

import re
import zlib
from math import prod

from robustmm.modalities.files.mp3 import walk_frames

SHORT = re.compile(r"\b(?:data|SSND|BODY|riff|Data Size|Riff size) *: (\d+) \(should be (\d+)\)")
"""libsndfile's log line for a file that is shorter than its header says; it reads such a file anyway."""
UNKNOWN = 2**31 - 2**16
"""Sizes from here on are written by programs that do not know the length yet (ffmpeg and sox into a pipe)."""
MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Every byte with its bits in the other order."""


def find_sound_damage(content: bytes) -> str:
    """What is missing or damaged in an MP3 or OGG file, by its frames or pages, and missing in a NIST file, by its
    header; empty for other files."""
    if content.startswith(b"OggS"):
        return find_page_damage(content)
    if content.startswith(b"NIST_1A"):
        facts = dict(re.findall(rb"^(\w+) -i (\d+)", content[:1024], re.MULTILINE))
        said = prod(int(facts.get(name, 1)) for name in (b"sample_count", b"channel_count", b"sample_n_bytes"))
        return f"its header says {said} bytes of audio" if len(content) < 1024 + said else ""
    stream = walk_frames(content)
    return stream.find_damage() if stream else ""


def find_unread_frames(content: bytes, length: int) -> str:
    """Whether a decoder gave much less than an MP3 holds: libsndfile guesses the length of files without a table, and
    stops there. Encoders' delay and padding are up to four frames."""
    stream = walk_frames(content)
    if not stream or length >= (stream.frames - 4) / max(stream.frames, 1) * stream.samples:
        return ""
    return (
        f"{stream.samples} samples, of which libsndfile reads {length}, since it has no table of its frames; "
        "`ffmpeg -i old.mp3 -c copy new.mp3` writes one"
    )


def find_page_damage(content: bytes) -> str:
    """What is wrong with the pages of an OGG file (RFC 3533), each of which has a number and a checksum; or nothing."""
    numbers: dict[bytes, int] = {}
    at, last = 0, False
    while content.startswith(b"OggS", at):
        segments = at + 27, at + 27 + content[at + 26] if at + 26 < len(content) else len(content)
        end = segments[1] + sum(content[slice(*segments)])
        if segments[1] >= len(content) or end > len(content):
            return "it ends within a page"
        page = content[at:end]
        if int.from_bytes(page[22:26], "little") != page_checksum(page):
            return f"the page at byte {at} is damaged"
        stream, number = page[14:18], int.from_bytes(page[18:22], "little")
        if number != numbers.get(stream, number - 1) + 1:
            return f"pages before byte {at} are missing"
        numbers[stream], at, last = number, end, bool(page[5] & 4)
    if content.find(b"OggS", at) >= 0:
        return f"the page at byte {at} is damaged"
    return "" if last else "its last page is missing"


def page_checksum(page: bytes) -> int:
    """An OGG page's CRC-32, its own field taken as zero: zlib's polynomial with the bits in the other order."""
    blank = page[:22] + bytes(4) + page[26:]
    mirrored = zlib.crc32(blank.translate(MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)


def find_short_data(log: str) -> str:
    """What libsndfile's log says of a file that is shorter than its header says, or nothing."""
    if "Seems to be a truncated file" in log:
        return "its header says more bytes than there are"
    for said, found in SHORT.findall(log):
        if int(found) < int(said) < UNKNOWN:
            return f"its header says {said} bytes of audio, found {found}"
    return ""
