"""Text: str, any script, and how a text is taken apart: into characters as a reader sees them, and into words."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

from robustmm.corruptions.draws import draw_subset

RATES = (0.05, 0.10, 0.15, 0.20, 0.30)
SOURCE = "the rates of MM_Robustness and Giskard"
# Han, kana and their extensions: written without spaces, so that every character counts as a word.
_UNSPACED = "\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
_PIECE = re.compile(rf"{WORD.pattern}|\s+")
_SOLID = re.compile(f"[{_UNSPACED}]")

_JOINER = 0x200D
_FLAGS = range(0x1F1E6, 0x1F200)  # regional indicators, two to a flag
_EXTENDERS = {
    *(0x200C, 0x0E33, 0x0EB3),  # the non-joiner, and the Thai and Lao vowel sign am
    *range(0x1160, 0x1200),  # the vowels and final consonants of a Korean syllable
    *range(0x1F3FB, 0x1F400),  # skin tones
    *range(0xE0020, 0xE0080),  # the tags of regional flags
}
_VIRAMA = 9  # Unicode's combining class of the sign that ties two consonants of an Indian script together


class _Roles(dict[int, str]):
    """What a code point does to its neighbours, looked up once: the table of `str.translate`."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        role = "l" if category == "Lo" else "o"
        if character.isspace():
            role = " "
        elif code == _JOINER:
            role = "j"
        elif code in _FLAGS:
            role = "f"
        elif unicodedata.combining(character) == _VIRAMA:
            role = "v"
        elif category[0] == "M" or code in _EXTENDERS:
            role = "m"
        self[code] = role
        return role


_ROLES = _Roles()
_ALONE = frozenset(" lo")
_CLUSTER = re.compile(r" |(?:ff|.)(?:j[^ jmv]|v[jm]*l|[jmv])*")


def split_graphemes(x: str) -> list[str]:
    """The characters that a reader sees: a letter with its marks, an emoji with its joiners; together they are `x`."""
    roles = x.translate(_ROLES)
    if _ALONE.issuperset(roles):
        return list(x)
    return [x[found.start() : found.end()] for found in _CLUSTER.finditer(roles)]


def word_spans(parts: Sequence[str]) -> list[range]:
    """Where letters and digits stand side by side: the words without their punctuation."""
    out, start = [], 0
    for i, part in enumerate((*parts, " ")):
        if not part[0].isalnum():
            if start < i:
                out.append(range(start, i))
            start = i + 1
    return out


def split_words(x: str) -> list[str]:
    """Words and the white space between them; together they are `x`. A mark stays with the character before it."""
    found: list[str] = _PIECE.findall(x)
    if x.isascii():
        return found
    out: list[str] = []
    for piece in found:
        if out and _ROLES[ord(piece[0])] in "jmv" and not out[-1].isspace():
            out[-1] += piece
        else:
            out.append(piece)
    return out


def nonspace_indices(parts: Sequence[str]) -> list[int]:
    """The places of the parts that are not white space."""
    return [i for i, part in enumerate(parts) if not part.isspace()]


def leave_out(parts: Sequence[str], places: Iterable[int]) -> str:
    """The text without some words, each with the white space after it; the last one with that before it."""
    kept = list(parts)
    for i in places:
        kept[i] = ""
        beside = i + 1 if i + 1 < len(kept) else i - 1
        kept[beside] = "" if kept[beside].isspace() else kept[beside]
    return "".join(kept)


def separator(word: str) -> str:
    """The separator of this word and a new one: a space, except in scripts written without."""
    return "" if _SOLID.match(word) else " "


def draw_places(places: Sequence[int], fraction: float, rng: np.random.Generator) -> list[tuple[int, float]]:
    """The corrupted places, in order, each with a number in [0, 1) of its own, the same whatever the fraction."""
    own = rng.random(len(places))
    return [(places[i], float(own[i])) for i in np.flatnonzero(draw_subset(len(places), fraction, rng)).tolist()]


def pick(choices: Sequence[str], draw: float) -> str:
    """The choice that a number in [0, 1) selects."""
    return choices[int(draw * len(choices))]
