"""Text whose characters go wrong: typing, reading print, encodings. A character is what a reader sees as one."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from robustmm.corruptions.base import corruption
from robustmm.corruptions.text.pieces import (
    RATES,
    SOURCE,
    draw_places,
    nonspace_indices,
    pick,
    split_graphemes,
    word_spans,
)
from robustmm.corruptions.text.tables import (
    ACCENTS,
    HOMOGLYPHS,
    INVISIBLE,
    KEYBOARDS,
    LEET,
    LOOKALIKE_PAIRS,
    LOOKALIKES,
    MARKS,
)


@corruption(
    "keyboard", kind="text", unit="fraction of the letters and digits on the keyboard", table=RATES, source=SOURCE
)
def keyboard(
    x: str, fraction: float, rng: np.random.Generator, layout: Literal["qwerty", "qwertz", "azerty"] = "qwerty"
) -> str:
    """A key beside the right one is hit: a letter for a letter in the same case, a digit for a digit."""
    keys = KEYBOARDS[layout]
    parts = split_graphemes(x)
    for i, draw in draw_places([i for i, part in enumerate(parts) if part.lower() in keys], fraction, rng):
        parts[i] = _match_case(pick(keys[parts[i].lower()], draw), parts[i])
    return "".join(parts)


@corruption(
    "ocr", kind="text", unit="fraction of the characters and pairs with a lookalike", table=RATES, source=SOURCE
)
def ocr(x: str, fraction: float, rng: np.random.Generator) -> str:
    """Characters and pairs misread in print as what looks like them: 0 and O, 1 and l, 5 and S, rn and m."""
    parts: list[str] = []
    for part in split_graphemes(x):
        if parts and parts[-1] + part in LOOKALIKE_PAIRS:
            parts[-1] += part
        else:
            parts.append(part)
    return _replace_characters(parts, LOOKALIKES, fraction, rng)


@corruption("homoglyphs", kind="text", unit="fraction of the letters with a homoglyph", table=RATES, source="ours")
def homoglyphs(x: str, fraction: float, rng: np.random.Generator) -> str:
    """Latin letters replaced by the Cyrillic or Greek ones that look the same."""
    return _replace_characters(split_graphemes(x), HOMOGLYPHS, fraction, rng)


@corruption("leetspeak", kind="text", unit="fraction of the letters with a digit or sign", table=RATES, source="ours")
def leetspeak(x: str, fraction: float, rng: np.random.Generator) -> str:
    """Letters written as the digits and signs that resemble them, 3 for e, as done to get past filters."""
    return _replace_characters(split_graphemes(x), LEET, fraction, rng)


@corruption("substitute-characters", kind="text", unit="fraction of the letters and digits", table=RATES, source=SOURCE)
def substitute_characters(x: str, fraction: float, rng: np.random.Generator) -> str:
    """Letters and digits replaced by others that the text holds, in the same case; a text of one letter stays."""
    parts = split_graphemes(x)
    places = [i for i, part in enumerate(parts) if part[0].isalnum()]
    order = {part: k for k, part in enumerate(dict.fromkeys(parts[i].lower() for i in places))}
    alphabet = list(order)
    for i, draw in draw_places(places, fraction, rng):
        step = 1 + int(draw * (len(alphabet) - 1))  # never back to itself, unless there is no other
        parts[i] = _match_case(alphabet[(order[parts[i].lower()] + step) % len(alphabet)], parts[i])
    return "".join(parts)


@corruption("insert-characters", kind="text", unit="fraction of the letters and digits", table=RATES, source=SOURCE)
def insert_characters(x: str, fraction: float, rng: np.random.Generator) -> str:
    """A letter or digit that the text holds is put in after another, in the case of that one."""
    parts = split_graphemes(x)
    places = [i for i, part in enumerate(parts) if part[0].isalnum()]
    alphabet = list(dict.fromkeys(parts[i].lower() for i in places))
    for i, draw in draw_places(places, fraction, rng):
        parts[i] += _match_case(pick(alphabet, draw), parts[i])
    return "".join(parts)


@corruption(
    "delete-characters", kind="text", unit="fraction of the characters but white space", table=RATES, source=SOURCE
)
def delete_characters(x: str, fraction: float, rng: np.random.Generator) -> str:
    """Characters lost, each with its accents and joiners; white space stays."""
    parts = split_graphemes(x)
    for i, _ in draw_places(nonspace_indices(parts), fraction, rng):
        parts[i] = ""
    return "".join(parts)


@corruption("repeat-characters", kind="text", unit="fraction of the letters", table=RATES, source="ours")
def repeat_characters(x: str, fraction: float, rng: np.random.Generator) -> str:
    """Letters written two, three or four times, as in sooo."""
    parts = split_graphemes(x)
    for i, draw in draw_places([i for i, part in enumerate(parts) if part[0].isalpha()], fraction, rng):
        parts[i] *= 2 + int(3 * draw)
    return "".join(parts)


@corruption(
    "swap-characters",
    kind="text",
    unit="fraction of the pairs of neighbours within a word, every character in one pair at most",
    table=RATES,
    source=SOURCE,
)
def swap_characters(x: str, fraction: float, rng: np.random.Generator) -> str:
    """Neighbouring letters or digits of a word change places; pairs start at its first or second character by lot."""
    parts = split_graphemes(x)
    words = word_spans(parts)
    late = (rng.random(len(words)) < 0.5).tolist()
    pairs = [i for word, skip in zip(words, late, strict=True) for i in word[skip:-1:2]]
    for i, _ in draw_places([i for i in pairs if parts[i] != parts[i + 1]], fraction, rng):
        parts[i], parts[i + 1] = parts[i + 1], parts[i]
    return "".join(parts)


@corruption("zero-width", kind="text", unit="fraction of the characters but white space", table=RATES, source="ours")
def zero_width(x: str, fraction: float, rng: np.random.Generator) -> str:
    """Invisible characters after visible ones: a zero-width space, a word joiner or a byte order mark."""
    parts = split_graphemes(x)
    for i, draw in draw_places(nonspace_indices(parts), fraction, rng):
        parts[i] += pick(INVISIBLE, draw)
    return "".join(parts)


@corruption("casing", kind="text", unit="fraction of the letters that have a case", table=RATES, source=SOURCE)
def casing(x: str, fraction: float, rng: np.random.Generator) -> str:
    """Small letters become capitals and capitals small ones."""
    parts = split_graphemes(x)
    for i, _ in draw_places([i for i, part in enumerate(parts) if part != part.swapcase()], fraction, rng):
        parts[i] = parts[i].swapcase()
    return "".join(parts)


@corruption(
    "accents", kind="text", unit="fraction of the letters with or open to an accent", table=RATES, source=SOURCE
)
def accents(x: str, fraction: float, rng: np.random.Generator) -> str:
    """Accented letters lose their accents, Latin letters without one that are often accented get one."""
    parts = split_graphemes(x)
    for i, draw in draw_places(
        [i for i, part in enumerate(parts) if part in ACCENTS or _strip_accents(part) != part], fraction, rng
    ):
        parts[i] = pick(ACCENTS[parts[i]], draw) if parts[i] in ACCENTS else _strip_accents(parts[i])
    return "".join(parts)


@corruption("punctuation", kind="text", unit="fraction of the marks and the bare word ends", table=RATES, source=SOURCE)
def punctuation(x: str, fraction: float, rng: np.random.Generator) -> str:
    """Punctuation marks lost, and marks put at the ends of words that have none."""
    parts = split_graphemes(x)
    marks = [unicodedata.category(part[0])[0] == "P" for part in parts] + [False]
    bare = [word.stop - 1 for word in word_spans(parts) if not marks[word.stop]]
    places = sorted([i for i, mark in enumerate(marks) if mark] + bare)
    for i, draw in draw_places(places, fraction, rng):
        parts[i] = "" if marks[i] else parts[i] + pick(MARKS, draw)
    return "".join(parts)


@corruption("whitespace", kind="text", unit="fraction of the white space characters", table=RATES, source="ours")
def whitespace(x: str, fraction: float, rng: np.random.Generator) -> str:
    """White space lost, so that words stick together, or doubled."""
    parts = split_graphemes(x)
    for i, draw in draw_places([i for i, part in enumerate(parts) if part.isspace()], fraction, rng):
        parts[i] *= 2 * int(2 * draw)
    return "".join(parts)


def _replace_characters(
    parts: list[str], table: Mapping[str, Sequence[str]], fraction: float, rng: np.random.Generator
) -> str:
    """Parts that are in the table, replaced by one of their entries there."""
    for i, draw in draw_places([i for i, part in enumerate(parts) if part in table], fraction, rng):
        parts[i] = pick(table[parts[i]], draw)
    return "".join(parts)


def _match_case(new: str, old: str) -> str:
    """The new letter, a capital where the old one was."""
    return new.upper() if old.isupper() else new


def _strip_accents(part: str) -> str:
    """A letter without accents: the marks above and below it, whose combining classes are 200 and more."""
    if part.isascii():
        return part
    apart = unicodedata.normalize("NFD", part)
    kept = "".join(c for c in apart if unicodedata.combining(c) < 200)
    return part if kept == apart else unicodedata.normalize("NFC", kept)
