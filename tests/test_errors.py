"""Errors, and a stranger's text in them: what is only drawn stays, what would be obeyed does not."""

import json
import pickle
import sys
import unicodedata

import pytest

from robustmm.errors import RobustmmError, UnwritableError, escape_unprintable, printable

DRAWN = {
    "a full-width space": "音声\u3000画像",
    "a space that does not break": "10\u00a0kHz",
    "a thin space": "1\u202f000",
    "a joiner in a word": "می\u200cخواهم",
    "a joiner in an emoji": "👩\u200d🔬",
    "plain": "é ü 漢字 🎈",
}
OBEYED = {
    "a colour": "\x1b[31m",
    "a new line": "\n",
    "a separator of lines": "\u2028",
    "a separator of paragraphs": "\u2029",
    "text from the right": "\u202e",
    "an isolate": "\u2066",
    "a mark of direction": "\u200f",
    "an old control": "\x9b31m",
    "a byte that is no text": "\udcff",
}


@pytest.mark.parametrize("text", DRAWN.values(), ids=DRAWN)
def test_what_is_only_drawn_stays(text: str) -> None:
    assert printable(text) == text
    assert escape_unprintable(text) == text


@pytest.mark.parametrize("text", OBEYED.values(), ids=OBEYED)
def test_what_would_be_obeyed_does_not(text: str) -> None:
    assert printable(f"a{text}b") == f"a�{text[1:]}b"


def test_every_space_and_no_control_is_drawn() -> None:
    for code in range(sys.maxunicode + 1):
        kind = unicodedata.category(chr(code))
        if kind == "Zs":
            assert printable(chr(code)) == chr(code)
        elif kind in ("Cc", "Zl", "Zp", "Cs") or chr(code) in "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e":
            assert printable(chr(code)) == "�"


def test_what_is_escaped_reads_back() -> None:
    text = "".join(text for text in (*DRAWN.values(), *OBEYED.values()) if text != "\udcff")
    escaped = escape_unprintable(json.dumps(text, ensure_ascii=False))
    assert json.loads(escaped) == text
    assert printable(escaped) == escaped


def test_every_error_comes_home_from_another_process() -> None:
    """An exception whose arguments are not its sentence cannot be made again there, and the work ends in another one's
    name."""
    kinds: list[type[RobustmmError]] = [RobustmmError]
    for kind in kinds:
        kinds += kind.__subclasses__()
        given = ("out cannot be written", "No space left on device", "2 of 3 cells are kept")
        error = kind(*given) if kind is UnwritableError else kind("a sentence")
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (kind, str(error), vars(error))
    assert len(kinds) >= 7
