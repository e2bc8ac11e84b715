"""What every character fault does to a text, measured on the text that comes out."""

import re
import unicodedata
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from robustmm.corruptions import corrupt, find_corruption
from robustmm.corruptions.text.pieces import split_graphemes, split_words
from robustmm.errors import UsageError

RATES = (0.05, 0.10, 0.15, 0.20, 0.30)
FAMILY = "👩‍👩‍👧"
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
SENTENCE = "The Quick, brown fox (aged 42) was NOT modest: it jumps over 105 lazy dogs, again! "
TEXT = SENTENCE * 40


def run(name, x, severity=5, seed=0, **options):
    chosen = find_corruption(name, "text").with_options(**options)
    return corrupt(x, chosen, severity / 5, seed=seed, sample_id="s", modality="t")


def all_struck(name, x, seed=0):
    everywhere = replace(find_corruption(name, "text"), table=(1,) * 5)
    return corrupt(x, everywhere, 1, seed=seed, sample_id="s", modality="t")


def plain(letter):
    return "".join(c for c in unicodedata.normalize("NFD", letter) if not unicodedata.combining(c))


def name_of(letter):
    return unicodedata.name(letter).split()[0]


ONE_FOR_ONE = {  # name: (which characters can be struck, what may come out for them)
    "keyboard": (str.isalnum, lambda a, b: b.isupper() == a.isupper() and b.isdigit() == a.isdigit()),
    "homoglyphs": (
        lambda a: a in LETTERS and a not in "bfgzDFLQRUbf",
        lambda a, b: name_of(b) in ("CYRILLIC", "GREEK"),
    ),
    "leetspeak": (lambda a: a.lower() in "abegilostz", lambda a, b: b in "0123456789@!$"),
    "substitute-characters": (str.isalnum, lambda a, b: b.isalnum() and b.isupper() in (a.isupper(), False)),
    "casing": (str.isalpha, lambda a, b: b == a.swapcase()),
    "accents": (lambda a: a.lower() in "aceinosuyz", lambda a, b: plain(b) == a),
}


@pytest.mark.parametrize("severity", range(1, 6))
@pytest.mark.parametrize("name", ONE_FOR_ONE)
def test_the_fraction_of_the_eligible_characters_is_struck_and_turned_into_what_fits(name, severity):
    eligible, fits = ONE_FOR_ONE[name]
    y = run(name, TEXT, severity)
    assert len(y) == len(TEXT)
    changed = [(a, b) for a, b in zip(TEXT, y, strict=True) if a != b]
    assert all(eligible(a) and fits(a, b) for a, b in changed), changed
    assert abs(len(changed) - RATES[severity - 1] * sum(map(eligible, TEXT))) <= 1
    assert {a for a, _ in changed} == {a for a in TEXT if eligible(a)} or severity < 5


@pytest.mark.parametrize("name", ONE_FOR_ONE)
def test_a_struck_character_stays_struck_as_it_is(name):
    found = [run(name, TEXT, severity) for severity in range(1, 6)]
    for mild, harsh in pairwise(found):
        assert all(b in (a, c) for a, b, c in zip(TEXT, mild, harsh, strict=True))


ONE_EACH = {  # name: a text of many units between newlines, with one place in each
    "insert-characters": "a\nb\nc\n",
    "delete-characters": "a\n.\n" + FAMILY + "\n",
    "repeat-characters": "a.\né1\n我\n",
    "swap-characters": "ab\n12\n我是\n",
    "zero-width": "a\n.\nש\n",
    "punctuation": "a\n.\nb,\n",
    "ocr": "m\nrn\n0\n",
}


@pytest.mark.parametrize("name", ONE_EACH)
def test_places_are_struck_at_the_rate_and_stay_struck_as_they_are(name):
    text = ONE_EACH[name] * 200
    units = text.split("\n")
    found = [units, *(run(name, text, severity).split("\n") for severity in range(1, 6))]
    places = sum(a != b for a, b in zip(units, all_struck(name, text).split("\n"), strict=True))
    if name != "swap-characters":  # there a word whose pairs start at its second character has none
        assert places == 600
    for mild, harsh in pairwise(found[1:]):
        assert all(b in (a, c) for a, b, c in zip(units, mild, harsh, strict=True))
    if name != "swap-characters":
        shares = [np.mean([a != b for a, b in zip(units[:600], y, strict=False)]) for y in found[1:]]
        assert shares == pytest.approx(RATES, abs=1 / 500)


@pytest.mark.parametrize(
    ("layout", "keys"),
    [
        ("qwerty", {"s": "adwezx", "G": "FHTYVB", "p": "ol", "q": "wa", "5": "46", "0": "9"}),
        ("qwertz", {"z": "tuhg", "y": "xas", "p": "oüöl", "Ä": "ÖÜ", "1": "2"}),
        ("azerty", {"a": "zq", "m": "lp", "W": "XQS", "9": "80"}),
    ],
)
def test_a_key_slips_to_each_of_its_neighbours_and_no_other(layout, keys):
    for key, beside in keys.items():
        assert set(run("keyboard", key * 1000, layout=layout)) == {key, *beside}
    assert run("keyboard", TEXT) == run("keyboard", TEXT, layout="qwerty") != run("keyboard", TEXT, layout="azerty")


def test_an_unknown_layout_is_a_sentence():
    with pytest.raises(UsageError, match="layout"):
        find_corruption("keyboard", "text").with_options(layout="dvorak")


def test_print_is_misread_as_what_looks_like_it():
    seen = {key: set(all_struck("ocr", f"{key} " * 500).split()) for key in ("0", "l", "5", "m", "rn", "cl", "w", "B")}
    assert seen["0"] == {"O", "o"}
    assert seen["l"] == {"1", "I", "i", "|"}
    assert seen["5"] == {"S", "s"}
    assert "rn" in seen["m"]
    assert seen["rn"] == {"m"}
    assert "d" in seen["cl"]
    assert "vv" in seen["w"]
    assert "8" in seen["B"]


def test_every_homoglyph_is_one_letter_of_the_same_case_and_nothing_latin():
    y = all_struck("homoglyphs", LETTERS * 50)
    assert len(y) == len(LETTERS) * 50
    struck = {(a, b) for a, b in zip(LETTERS * 50, y, strict=True) if a != b}
    assert len({a for a, _ in struck}) > 40
    assert {name_of(b) for _, b in struck} == {"CYRILLIC", "GREEK"}
    assert all(a.isupper() == b.isupper() for a, b in struck - {("l", "ӏ")})


@pytest.mark.parametrize("severity", range(1, 6))
def test_letters_are_put_in_after_others_and_all_of_them_stay(severity):
    y = run("insert-characters", TEXT, severity)
    letters = sum(map(str.isalnum, TEXT))
    assert abs(len(y) - len(TEXT) - RATES[severity - 1] * letters) <= 1
    rest = iter(y)
    assert all(a in rest for a in TEXT)
    assert sum(map(str.isalnum, y)) - letters == len(y) - len(TEXT)
    assert {c.lower() for c in y} == {c.lower() for c in TEXT}


def test_a_letter_put_in_has_the_case_of_the_one_before():
    assert all_struck("insert-characters", "AB " * 50).isupper()
    assert all_struck("insert-characters", "ab " * 50).islower()


@pytest.mark.parametrize("severity", range(1, 6))
def test_characters_are_lost_at_the_rate_and_white_space_is_not(severity):
    y = run("delete-characters", TEXT, severity)
    assert abs(len(TEXT) - len(y) - RATES[severity - 1] * sum(not c.isspace() for c in TEXT)) <= 1
    assert y.count(" ") == TEXT.count(" ")
    rest = iter(TEXT)
    assert all(a in rest for a in y)


def test_letters_are_written_two_to_four_times():
    y = all_struck("repeat-characters", "a1 " * 300)
    lengths = [len(found) for found in re.findall("a+", y)]
    assert set(lengths) == {2, 3, 4}
    assert np.bincount(lengths)[2:] == pytest.approx([100, 100, 100], abs=30)
    assert re.sub("a+", "a", y) == "a1 " * 300


@pytest.mark.parametrize("severity", range(1, 6))
def test_neighbours_in_a_word_change_places_at_the_rate(severity):
    word = "abcdefghijk."  # 11 letters: five pairs wherever they start, and the mark is in none
    text = f"{word} " * 400
    found = run("swap-characters", text, severity).split()
    assert all(sorted(y) == sorted(word) and y[-1] == "." for y in found)
    moved = np.array([[a != b for a, b in zip(word, y, strict=True)] for y in found])
    assert moved.sum() / 2 == pytest.approx(RATES[severity - 1] * 5 * 400, abs=1)
    starts = [k for y in found for k in range(10) if y[k] == word[k + 1] and y[k + 1] == word[k]]
    assert len(starts) == moved.sum() / 2
    assert {k % 2 for k in starts} == {0, 1}


def test_equal_neighbours_are_no_pair():
    y = all_struck("swap-characters", "aab " * 200)
    assert set(y.split()) == {"aab", "aba"}
    places = all_struck("swap-characters", "aab " * 4000).count("aba")
    found = [run("swap-characters", "aab " * 4000, severity).count("aba") for severity in range(1, 6)]
    assert found == pytest.approx([rate * places for rate in RATES], abs=1)


@pytest.mark.parametrize("severity", range(1, 6))
def test_what_has_no_width_is_put_in_at_the_rate_and_the_text_looks_the_same(severity):
    y = run("zero-width", TEXT, severity)
    extra = [c for c in y if unicodedata.category(c) == "Cf"]
    assert abs(len(extra) - RATES[severity - 1] * sum(not c.isspace() for c in TEXT)) <= 1
    assert "".join(c for c in y if unicodedata.category(c) != "Cf") == TEXT
    assert set(extra) == {"\u200b", "\u2060", "\ufeff"}
    assert not re.search(r"(^|\s)[\u200b\u2060\ufeff]", y)


def test_punctuation_is_lost_and_bare_words_get_some():
    y = all_struck("punctuation", "Wait, don't go! (or) do_it so... no " * 100)
    assert set(re.findall(r"Wait\S*", y)) == {"Wait"}
    assert set(re.findall(r"dont[^g]", y)) >= {f"dont{mark}" for mark in ",.;:!?"}
    assert set(re.findall(r"so\S*", y)) == {"so"}
    assert "(" not in y
    assert "doit" in y
    assert set(re.findall(r"no\S?", y)) == {f"no{mark}" for mark in ",.;:!?"}


def test_accents_go_and_come():
    assert all_struck("accents", "Éłñ e\u0301 ằ ё") == "Ełn e a е"
    assert {plain(c) for c in all_struck("accents", "e" * 100)} == {"e"}
    assert set(all_struck("accents", "e" * 100)) == set("èéêë")


@pytest.mark.parametrize("severity", range(1, 6))
def test_white_space_is_lost_or_doubled_half_and_half(severity):
    text = "a\t" * 2000
    gaps = run("whitespace", text, severity).split("a")[1:]
    assert set(gaps) == {"\t", "", "\t\t"}
    assert sum(gap != "\t" for gap in gaps) == pytest.approx(RATES[severity - 1] * 2000, abs=1)
    assert gaps.count("") / sum(gap != "\t" for gap in gaps) == pytest.approx(0.5, abs=0.12)
    for gap, harsher in zip(gaps, run("whitespace", text, 5).split("a")[1:], strict=True):
        assert gap in ("\t", harsher)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("keyboard", text) for text in ("שלום עולם", "我喜歡貓", "हिन्दी", "привет", "e\u0301 🙂 " + FAMILY)),
        *(("homoglyphs", text) for text in ("приветα", "我喜歡貓", "123 !")),
        *(("leetspeak", text) for text in ("привет", "我喜歡貓", "cdf 123")),
        *(("casing", text) for text in ("我喜歡貓", "שלום", "123 🙂", "हिन्दी")),
        *(("accents", text) for text in ("がぎぐ", "हिन्दी", "각", "שָׁלוֹם", "xkq", "ก็")),
        *(("whitespace", text) for text in ("我喜歡貓", "one", "🙂")),
        *(("ocr", text) for text in ("我喜歡貓", "שלום")),
        *((name, "aaa a") for name in ("substitute-characters", "swap-characters")),
        ("substitute-characters", "!? 🙂"),
        ("swap-characters", "a-b c 🙂🙃"),
        ("repeat-characters", "12 !"),
    ],
)
def test_where_a_fault_has_no_place_the_text_stays(name, text):
    assert all_struck(name, text) == text


def test_characters_are_what_a_reader_sees():
    for whole in (
        *(
            "a",
            "e\u0301",
            "\u0301",
            "नि",
            "न्दी",
            "क्\u200dष",
            "각",
            "\u1100\u1161\u11a8",
            "นำ",
            "か\u3099",
            "葛\U000e0100",
        ),
        *(FAMILY, "👍🏽", "🏳️‍🌈", "🇫🇷", "1️⃣", "🏴\U000e0067\U000e0062\U000e007f", "\ud800"),
    ):
        assert split_graphemes(whole) == [whole]
        assert split_graphemes(f"x{whole}y" if whole != "\u0301" else whole)[-2:] in (["y"], [whole, "y"], [whole])
    assert split_graphemes("🇫🇷🇩🇪🇮") == ["🇫🇷", "🇩🇪", "🇮"]
    assert split_graphemes("हिन्दी") == ["हि", "न्दी"]
    assert split_graphemes("a \u0301b\u200d c") == ["a", " ", "\u0301", "b\u200d", " ", "c"]
    assert split_graphemes("") == []


def test_a_mark_stays_with_the_word_before_it():
    assert split_words("か\u3099き  葛\U000e0100") == ["か\u3099", "き", "  ", "葛\U000e0100"]
    assert split_words(" \u0301a") == [" ", "\u0301a"]


@example("🇫🇷🇩🇪 e\u0301\u200d\u200dन्\u200dदी\ud800 \r\n")
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.text(st.characters() | st.sampled_from("\u200d\u0301न्दि👩👍🏽🇫🇷 \u3099か"), max_size=30))
def test_a_text_taken_apart_is_still_the_text(x):
    for parts in (split_graphemes(x), split_words(x)):
        assert "".join(parts) == x
        assert "" not in parts
    assert not [part for part in split_graphemes(x) if len(part) > 1 and part[0].isspace()]


@pytest.mark.parametrize("name", ["delete-characters", "swap-characters", "insert-characters", "repeat-characters"])
def test_no_character_is_taken_apart(name):
    whole = ["e\u0301", "नि", "न्दी", FAMILY, "👍🏽", "🇫🇷", "각", "か\u3099"]
    y = all_struck(name, "".join(whole[:3]) * 40 + " " + " ".join(whole * 20))
    assert set(split_graphemes(y)) <= {*whole, *(part.upper() for part in whole), " "}
    mild = run(name, "".join(whole[:3]) * 40 + " " + " ".join(whole * 20))
    assert set(split_graphemes(mild)) <= {*whole, " "}
