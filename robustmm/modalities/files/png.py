"""PNG files that are cut off or damaged, of which libpng itself prints lines."""

import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def find_png_damage(content: bytes) -> str:
    """What is wrong with the chunks of a PNG (ISO/IEC 15948), each of which has a length and a checksum; nothing for a
    whole file, and for other files."""
    if not content.startswith(SIGNATURE):
        return ""
    at = len(SIGNATURE)
    while at + 12 <= len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        if end > len(content):
            break
        if zlib.crc32(content[at + 4 : end - 4]) != int.from_bytes(content[end - 4 : end], "big"):
            return f"the chunk at byte {at} has a wrong checksum"
        if content[at + 4 : at + 8] == b"IEND":
            return ""
        at = end
    return "it ends within a chunk" if at < len(content) else "its last chunk is missing"
