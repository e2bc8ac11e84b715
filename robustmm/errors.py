"""Errors a user can cause: one sentence each, with the exit code the command line ends on."""

import difflib
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class RobustmmError(Exception):
    """A sentence for the user: what was expected, what was found, where, and what to do."""

    exit_code = 2


class UsageError(RobustmmError):
    """A wrong option, recipe or suite."""


class DivergedError(UsageError):
    """A training whose numbers stopped being finite: another rate may keep them."""


class DataError(RobustmmError):
    """A manifest or a media file that cannot be used."""

    exit_code = 3


class ParityError(RobustmmError):
    """An exported file that does not answer as the trained model does."""

    exit_code = 4
    proof: object = None
    """The proof that failed, of an export."""


class InterruptedRun(RobustmmError):
    """Long work stopped by the user; the message says how to continue it."""

    exit_code = 5


NO_FILES = {stat.S_IFIFO: "a pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket"}
"""What a path, or the end of a link, can be that opens for ever or never ends."""


def check_regular(path: Path, error: type[RobustmmError] = DataError) -> None:
    """Raises `error` for a pipe, a device or a socket, before it is opened: a pipe that nobody writes to would be
    waited for, and a device may never end. Folders, and what is not there, are left to the one who opens them."""
    try:
        found = NO_FILES.get(stat.S_IFMT(path.stat().st_mode))
    except (OSError, ValueError):
        return
    if found:
        raise error(f"{path} should be a file, found {found}")


class UnwritableError(DataError):
    """A file or a folder that the system does not write, for the `reason` it gives; and what of longer work is kept."""

    def __init__(self, told: str, reason: str, kept: str = "") -> None:
        super().__init__(f"{told}: {reason}; {kept}" if kept else f"{told}: {reason}")
        self.told, self.reason, self.kept = told, reason, kept

    def __reduce__(self) -> tuple[type["UnwritableError"], tuple[str, str, str]]:
        """For a worker's way home: by default an exception is made again of its sentence alone."""
        return type(self), (self.told, self.reason, self.kept)


@contextmanager
def explain_write(path: Path, refusal: str = "cannot be written") -> Iterator[None]:
    """What the system refuses inside raises UnwritableError: a sentence on the user's own path, whichever file of the
    work on it was met, and one exit code for every disk that is full, read-only or not there."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error).partition("\n")[0]
        raise UnwritableError(f"{path} {refusal}", reason) from error


MAX_LISTED = 25
"""Names that a sentence can list; of more it lists the near ones."""


def suggest(name: str, names: Iterable[str]) -> str:
    """The tail of an "unknown name" sentence: `, did you mean "dgl"? (known: arl, dgl)`."""
    listed = sorted(names)
    if len(listed) <= MAX_LISTED:
        return f"{did_you_mean(name, listed)} (known: {', '.join(listed) or 'none'})"
    alike = dict.fromkeys([*_close_names(name, listed), *(n for n in listed if name.lower()[:3] in n.lower())])
    return f"{did_you_mean(name, listed)} ({', '.join([*list(alike)[:MAX_LISTED], f'{len(listed)} are known'])})"


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """`, did you mean "dgl"?` where a name is near, else nothing."""
    near = _close_names(name, names)
    return f', did you mean "{near[0]}"?' if near else ""


def _close_names(name: str, names: Iterable[str]) -> list[str]:
    lowered = {candidate.lower(): candidate for candidate in sorted(names)}
    return [lowered[found] for found in difflib.get_close_matches(name.lower(), list(lowered), n=5)]


def printable(text: str) -> str:
    """A stranger's text without the control characters that a terminal or a page would obey."""
    return "".join(c if is_harmless(c) else "�" for c in text)


LONGEST_LINE = 2_000
"""Characters of a sentence that are shown: it may quote a cell of megabytes."""


def shorten(line: str) -> str:
    """A line of more than `LONGEST_LINE` characters with the middles of its long words left out, such as paths that
    are none, and then its own: what is wrong stands beside them, and at both ends."""
    if len(line) > LONGEST_LINE:
        line = re.sub(r"\S{500,}", lambda found: _leave_out_middle(found[0], 400), line)
    return _leave_out_middle(line, LONGEST_LINE) if len(line) > LONGEST_LINE else line


def _leave_out_middle(text: str, kept: int) -> str:
    half = kept // 2
    return f"{text[:half]} […{len(text) - 2 * half:,} characters…] {text[-half:]}"


def is_harmless(c: str) -> bool:
    """Whether a character is only drawn. So are the spaces of every script, and the joiners inside Persian and Hindi
    words and emoji, which Python does not call printable; a separator of lines or a mark of direction is obeyed."""
    return c.isprintable() or unicodedata.category(c) == "Zs" or c in "\u200c\u200d"


def escape_unprintable(literal: str) -> str:
    """JSON or TOML whose strings read back as they were, with what a terminal would obey as `\\uXXXX`.

    Terminals obey the controls up to U+009F and the marks that turn a line's direction; all of them have four digits.
    Surrogates stay: TOML has no escape for them.
    """
    return re.sub("[\x7f-\ud7ff\ue000-\uffff]", _escape_one, literal)


def _escape_one(found: re.Match[str]) -> str:
    return found[0] if is_harmless(found[0]) else f"\\u{ord(found[0]):04x}"
