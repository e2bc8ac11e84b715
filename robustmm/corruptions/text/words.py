"""Text, word by word: what is lost, doubled, swapped, misheard."""

import re
from collections.abc import Iterable
from typing import Annotated

import numpy as np
from pydantic import Field

from robustmm.corruptions.base import corruption
from robustmm.corruptions.signals import Array
from robustmm.corruptions.text.numerals import NUMERALS, ONES, SPELLING_LIMIT, spell_number
from robustmm.corruptions.text.pieces import (
    RATES,
    SOURCE,
    WORD,
    draw_places,
    leave_out,
    nonspace_indices,
    pick,
    separator,
    split_graphemes,
    split_words,
    word_spans,
)
from robustmm.corruptions.text.tables import EMOJI, ENDINGS, FILLERS, HOMOPHONES

_NUMBER = re.compile(
    r"(?<![\w.,:/'’-])(?:[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?|[A-Za-z]+(?:-[A-Za-z]+)?)(?![\w:/'’-]|[.,][0-9])"
)
_ENGLISH = re.compile(r"\W*([A-Za-z]+(?:['’][A-Za-z]+)*)\W*")


@corruption(
    "blank",
    kind="text",
    unit="probability per word",
    table=RATES,
    source='the rates of MM_Robustness and Giskard; "_" for a word as in QMF',
)
def blank(x: str, fraction: float, rng: np.random.Generator) -> str:
    """Words replaced by "_"; white space stays. A word ends at white space, and a Han or kana character is one."""
    return WORD.sub(lambda word: "_" if rng.random() < fraction else word[0], x)


@corruption("drop-words", kind="text", unit="fraction of the words", table=RATES, source=SOURCE)
def drop_words(x: str, fraction: float, rng: np.random.Generator) -> str:
    """Words lost, each with the white space after it; the last one with that before it."""
    parts = split_words(x)
    return leave_out(parts, [i for i, _ in draw_places(nonspace_indices(parts), fraction, rng)])


@corruption("repeat-words", kind="text", unit="fraction of the words", table=RATES, source="ours")
def repeat_words(x: str, fraction: float, rng: np.random.Generator) -> str:
    """Words written twice."""
    parts = split_words(x)
    for i, _ in draw_places(nonspace_indices(parts), fraction, rng):
        parts[i] += separator(parts[i]) + parts[i]
    return "".join(parts)


@corruption("insert-words", kind="text", unit="fraction of the words", table=RATES, source=SOURCE)
def insert_words(x: str, fraction: float, rng: np.random.Generator) -> str:
    """Words of the same text put in where they do not belong, each after another."""
    parts = split_words(x)
    places = nonspace_indices(parts)
    words = [parts[i] for i in places]
    for i, draw in draw_places(places, fraction, rng):
        parts[i] += separator(parts[i]) + pick(words, draw)
    return "".join(parts)


@corruption(
    "swap-words",
    kind="text",
    unit="fraction of the pairs of neighbours, every word in one pair at most",
    table=RATES,
    source=SOURCE,
)
def swap_words(x: str, fraction: float, rng: np.random.Generator) -> str:
    """Neighbouring words change places; pairs start at the first or second word by lot, white space stays."""
    parts = split_words(x)
    words = nonspace_indices(parts)[int(rng.integers(2)) :]
    pairs = {i: j for i, j in zip(words[::2], words[1::2], strict=False) if parts[i] != parts[j]}
    for i, _ in draw_places(list(pairs), fraction, rng):
        parts[i], parts[pairs[i]] = parts[pairs[i]], parts[i]
    return "".join(parts)


@corruption(
    "shuffle-words", kind="text", unit="fraction of the windows of neighbouring words", table=RATES, source="ours"
)
def shuffle_words(x: str, fraction: float, rng: np.random.Generator, window: Annotated[int, Field(ge=2)] = 5) -> str:
    """Windows of five neighbouring words put in another order; white space stays."""
    parts = split_words(x)
    words = nonspace_indices(parts)
    groups = [words[start : start + window] for start in range(0, len(words), window)]
    draws = rng.random((len(groups), window))
    for k, _ in draw_places(
        [k for k, group in enumerate(groups) if _can_shuffle(parts[i] for i in group)], fraction, rng
    ):
        mixed = _shuffle_items([parts[i] for i in groups[k]], draws[k])
        for i, word in zip(groups[k], mixed, strict=True):
            parts[i] = word
    return "".join(parts)


@corruption(
    "scramble-words",
    kind="text",
    unit="fraction of the words whose inner letters can change places",
    table=RATES,
    source="MultiBench's middle shuffle of words longer than three letters, at the rates of MM_Robustness",
)
def scramble_words(x: str, fraction: float, rng: np.random.Generator) -> str:
    """Words of more than three letters between whose first and last letter the others change places."""
    parts = split_graphemes(x)
    draws = rng.random(len(parts))
    inner = [slice(word.start + 1, word.stop - 1) for word in word_spans(parts) if len(word) > 3]
    for k, _ in draw_places([k for k, middle in enumerate(inner) if _can_shuffle(parts[middle])], fraction, rng):
        parts[inner[k]] = _shuffle_items(parts[inner[k]], draws[inner[k]])
    return "".join(parts)


@corruption(
    "truncation",
    kind="text",
    unit="fraction of the characters, from the end",
    table=(0.1, 0.2, 0.3, 0.4, 0.5),
    source="ours",
)
def truncation(x: str, fraction: float, rng: np.random.Generator) -> str:
    """The end of the text is cut off, between any two characters."""
    parts = split_graphemes(x)
    return "".join(parts[: len(parts) - round(len(parts) * fraction)])


@corruption(
    "numbers-to-words",
    kind="text",
    unit="fraction of the numbers",
    table=(0.2, 0.4, 0.6, 0.8, 1),
    source="Giskard, which rewrites every number: severity 5",
)
def numbers_to_words(x: str, fraction: float, rng: np.random.Generator) -> str:
    """Numbers in digits written in English words, and English words up to ninety-nine in digits.

    Dates, times, and whatever else joins digits to letters or signs stays.
    """
    found = [m for m in _NUMBER.finditer(x) if m[0][0].isdigit() or m[0].lower() in NUMERALS]
    out, end = [], 0
    for k, _ in draw_places(range(len(found)), fraction, rng):
        out += [x[end : found[k].start()], _convert_number(found[k][0])]
        end = found[k].end()
    return "".join(out) + x[end:]


@corruption("emoji", kind="text", unit="fraction of the words", table=RATES, source="ours")
def emoji(x: str, fraction: float, rng: np.random.Generator) -> str:
    """An emoji in the place of the punctuation after a word; after a bare word, or in its place, by lot."""
    parts = split_words(x)
    instead = rng.random(len(parts)) < 0.5
    for i, draw in draw_places(nonspace_indices(parts), fraction, rng):
        stem = parts[i].rstrip(ENDINGS)
        if stem == parts[i] and instead[i]:
            stem = ""
        parts[i] = stem + (separator(stem) if stem else "") + pick(EMOJI, draw)
    return "".join(parts)


@corruption("speech", kind="text", unit="fraction of the English words", table=RATES, source=SOURCE)
def speech(x: str, fraction: float, rng: np.random.Generator) -> str:
    """Words as a recogniser of speech writes them: a homophone (their for there), without one a filler (um) before it.

    A corrupted word also loses its capitals and punctuation.
    """
    parts = split_words(x)
    spoken = {i: m[1].lower().replace("’", "'") for i, part in enumerate(parts) if (m := _ENGLISH.fullmatch(part))}
    for i, draw in draw_places(list(spoken), fraction, rng):
        word = spoken[i]
        parts[i] = pick(HOMOPHONES[word], draw) if word in HOMOPHONES else f"{pick(FILLERS, draw)} {word}"
    return "".join(parts)


def _can_shuffle(items: Iterable[str]) -> bool:
    return len(set(items)) > 1


def _shuffle_items(items: list[str], draws: Array) -> list[str]:
    """The items in an order of chance, never the one they have: then they move up by one."""
    mixed = [items[k] for k in draws[: len(items)].argsort()]
    return mixed if mixed != items else items[1:] + items[:1]


def _convert_number(number: str) -> str:
    """A number in digits for one in words, and the reverse. Long numbers and leading zeros are read out by digit."""
    if number.lower() in NUMERALS:
        return NUMERALS[number.lower()]
    whole, point, decimals = number.replace(",", "").partition(".")
    counted = whole[0] != "0" and int(whole) < SPELLING_LIMIT
    spelled = spell_number(int(whole)) if counted else _spell_digits(whole)
    return f"{spelled} point {_spell_digits(decimals)}" if point else spelled


def _spell_digits(number: str) -> str:
    return " ".join(ONES[int(digit)] for digit in number)
