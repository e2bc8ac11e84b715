"""What makes an input a find: the command did what no input may make it do."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from hostile.fork import MEMORY, OPEN, SECONDS, Ended
from robustmm.errors import is_harmless


class Case(NamedTuple):
    """An input that lies ready in a folder, and what may come of it."""

    words: list[str]
    codes: Collection[int] = (0, 2, 3)
    """Exit codes that may be right; one alone where it is known."""
    streams: Sequence[str] = OPEN
    """Its stdin, stdout and stderr: open, closed or full."""
    differs: Callable[[Ended, Path], bool] = lambda ended, folder: False
    """Whether a command that ended well gave another result than of the undamaged input, and did not say why."""


def find_faults(case: Case, ended: Ended, folder: Path) -> list[str]:
    """What is wrong with the way the command ended, in words; nothing where it is right."""
    found = []
    lines = ended.err.splitlines()
    if ended.seconds > SECONDS:
        found.append(f"more than {SECONDS} s")
    elif ended.code < 0:
        found.append(f"signal {-ended.code}")
    elif ended.code not in case.codes:
        found.append(f"exit code {ended.code}, expected {' or '.join(map(str, sorted(case.codes)))}")
    if ended.peak > MEMORY:
        found.append(f"{ended.peak / 2**30:.1f} GiB")
    if ended.left:
        found.append(f"{ended.left} processes left")
    if "Traceback (most recent call last)" in ended.out + ended.err:
        found.append("a traceback")
    sentence = (lines and lines[-1].startswith("error: ")) or "Usage:" in ended.out
    if ended.code in (2, 3) and not sentence and case.streams[2] == "open":
        found.append("no sentence")
    for name, text in (("stdout", ended.out), ("stderr", ended.err)):
        if wrong := next((c for c in text if c != "\n" and not is_harmless(c)), ""):
            found.append(f"U+{ord(wrong):04X} on {name}")
    if ended.code == 0 and case.differs(ended, folder):
        found.append("another result without a word")
    return found
