"""Files that are cut off or damaged, and that decoders read all the same."""

import re

HARMFUL = re.compile(
    r"Premature end of JPEG file|Corrupt JPEG data(?!: bad ICC)|[Bb]ad Huffman|Inconsistent progression"
)
"""libjpeg's warnings that concern pixels; the others (JFIF versions, the parameters of a scan) are of odd headers."""


def find_jpeg_damage(coded: bytes) -> str:
    """libjpeg's warning about the pixels of a JPEG, which OpenCV only prints; empty where there is none, and for other
    files.

    Found is what is cut off, and nearly every damage of 64 bytes or more: in our trials all of 300 runs of 256 random
    bytes and all of 1024 zeros, in progressive files two of three of these. Single flipped bits mostly decode to other
    pixels without a word. The file is decoded for it once more, in grey.
    """
    if not coded.startswith(b"\xff\xd8\xff"):
        return ""
    import simplejpeg

    try:
        simplejpeg.decode_jpeg(coded, "GRAY", strict=True)
    except ValueError as error:
        return str(error) if HARMFUL.search(str(error)) else ""
    return ""
