"""How large a cell may be once it is decoded. Headers are a stranger's: they are believed within this limit only."""

import os
from pathlib import Path

from robustmm.errors import DataError, UsageError

VARIABLE = "ROBUSTMM_MAX_MIB"
"""The environment variable that holds the limit, in MiB; `robustmm/__init__.py` sets its default."""
RATES = 1_000, 768_000
"""Hz of sounds: from below a telephone's to twice that of the fastest converters. Filters grow with the rate."""
NUMBER_BYTES = 16
"""What a number of a signal takes while it is answered: as float32, in double precision where it is corrupted or drawn,
and as the graph's input."""
CLASS_BYTES = 1024
"""What a class takes: its name, its line in tables, and its probability in every row and subset that is held."""
PIXEL_BYTES = 6
"""What a pixel takes: OpenCV's colours, and the same in the order RGB. `robustmm/__init__.py` tells OpenCV."""


def max_bytes() -> int:
    """The bytes that one cell may take. Raises UsageError for a limit that is no number."""
    said = os.environ.get(VARIABLE, "")
    if not (said.isascii() and said.isdecimal() and len(said) < 12 and int(said) > 0):
        raise UsageError(f'{VARIABLE} should be a whole number of MiB above 0, found "{said}"')
    return int(said) * 2**20


def describe_excess(size: int) -> str:
    """The tail of a sentence on what takes more bytes than one cell may; empty where it does not."""
    if size <= max_bytes():
        return ""
    need = -(-size // 2**20)
    return (
        f"which takes {need:,} MiB, expected at most {max_bytes() // 2**20:,}; "
        f"if that is meant, set the environment variable {VARIABLE}={need}"
    )


def check_claim(size: int, file: Path | str, what: str) -> None:
    """Raises DataError where `what`, that a file holds or says that it holds, takes more bytes than one cell may."""
    if excess := describe_excess(size):
        raise DataError(f"{file} claims {what}, {excess}")


def check_rate(rate: int, file: Path) -> None:
    """Raises DataError for a rate that no recording has."""
    if not RATES[0] <= rate <= RATES[1]:
        raise DataError(f"{file} claims a rate of {rate:,} Hz, expected {RATES[0]:,} to {RATES[1]:,}")


def read_whole(file: Path) -> bytes:
    """A file's bytes. Raises DataError for more of them than one cell may take."""
    size = file.stat().st_size
    check_claim(size, file, f"{size:,} bytes")
    return file.read_bytes()
