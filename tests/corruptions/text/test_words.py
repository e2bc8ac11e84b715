"""What every word fault does to a text, measured on the text that comes out."""

import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from robustmm.corruptions import corrupt, find_corruption
from robustmm.corruptions.text.numerals import spell_number
from robustmm.corruptions.text.pieces import split_graphemes
from robustmm.corruptions.text.tables import EMOJI, FILLERS, HOMOPHONES
from robustmm.errors import UsageError

RATES = (0.05, 0.10, 0.15, 0.20, 0.30)
WORDS = [f"w{i}" for i in range(1000)]
TEXT = " ".join(WORDS)
severities = pytest.mark.parametrize("severity", range(1, 6))


def run(name, x, severity=5, seed=0, **options):
    chosen = find_corruption(name, "text").with_options(**options)
    return corrupt(x, chosen, severity / 5, seed=seed, sample_id="s", modality="t")


def all_struck(name, x, seed=0):
    everywhere = replace(find_corruption(name, "text"), table=(1,) * 5)
    return corrupt(x, everywhere, 1, seed=seed, sample_id="s", modality="t")


def struck_words(name, severity):
    """The words of TEXT that are not as they were, with what stands for them."""
    y = run(name, TEXT, severity).split()
    if name == "drop-words":
        return dict.fromkeys(sorted(set(WORDS) - set(y)), "")
    if name in ("repeat-words", "insert-words"):  # a word put in stands after the one it was struck for
        own, out = iter(WORDS), {}
        due = next(own)
        for word in y:
            if word == due:
                due, last = next(own, None), word
            else:
                out[last] = word
        return out
    return {a: b for a, b in zip(WORDS, y, strict=True) if a != b}


@severities
@pytest.mark.parametrize("name", ["drop-words", "repeat-words", "insert-words"])
def test_words_are_struck_at_the_rate_and_stay_struck_as_they_are(name, severity):
    found = struck_words(name, severity)
    assert len(found) == pytest.approx(RATES[severity - 1] * 1000, abs=1)
    assert found.items() <= struck_words(name, min(severity + 1, 5)).items()


def test_words_are_lost_with_one_gap_each():
    y = run("drop-words", TEXT)
    assert y == " ".join(y.split())
    assert all_struck("drop-words", "a\tb\n\nc") == ""
    assert {run("drop-words", "one two", seed=seed) for seed in range(30)} == {"one two", "one", "two"}
    assert {run("drop-words", "我喜 貓", seed=seed) for seed in range(60)} >= {"喜 貓", "我貓", "我喜"}


def test_a_word_twice_is_apart_by_a_space_but_where_scripts_have_none():
    assert all_struck("repeat-words", "so it\tis, 我們 か\u3099") == "so so it it\tis, is, 我我們們 か\u3099か\u3099"


def test_words_put_in_are_the_texts_own():
    y = all_struck("insert-words", "a b c d " * 100).split()
    assert y[::2] == ["a", "b", "c", "d"] * 100
    assert Counter(y[1::2]) == pytest.approx(dict.fromkeys("abcd", 100), abs=30)
    assert re.fullmatch("[我貓]{4}", all_struck("insert-words", "我貓"))


@severities
def test_neighbours_change_places_at_the_rate(severity):
    y = run("swap-words", TEXT, severity).split()
    moved = [k for k in range(1000) if y[k] != WORDS[k]]
    assert len(moved) / 2 == pytest.approx(RATES[severity - 1] * 500, abs=2)
    first, second = moved[::2], moved[1::2]
    assert [k + 1 for k in first] == second
    assert all((y[k], y[k + 1]) == (WORDS[k + 1], WORDS[k]) for k in first)
    assert len({k % 2 for k in first}) == 1
    assert struck_words("swap-words", severity).items() <= struck_words("swap-words", 5).items()


def test_pairs_start_at_the_first_or_the_second_word():
    found = {all_struck("swap-words", "a\tb\nc", seed) for seed in range(20)}
    assert found == {"b\ta\nc", "a\tc\nb"}


@pytest.mark.parametrize(
    ("name", "text", "width"),
    [("swap-words", "a b a a a b a a ", 2), ("shuffle-words", "a a a a a b a a a a ", 5)],
)
def test_what_would_come_out_the_same_is_no_place(name, text, width):
    def moved(y):
        changed = np.array([a != b for a, b in zip((text * 1000).split(), y.split(), strict=True)])
        return changed[: len(changed) // width * width].reshape(-1, width).any(axis=1).sum()

    assert all_struck(name, "a a a a a a") == "a a a a a a"
    assert moved(run(name, text * 1000)) == pytest.approx(0.3 * moved(all_struck(name, text * 1000)), abs=1)


@severities
@pytest.mark.parametrize("window", [5, 2, 10])
def test_windows_of_words_are_mixed_at_the_rate_and_no_word_leaves_its_own(severity, window):
    y = run("shuffle-words", TEXT, severity, window=window).split()
    groups = [(WORDS[k : k + window], y[k : k + window]) for k in range(0, 1000, window)]
    assert all(sorted(a) == sorted(b) for a, b in groups)
    assert sum(a != b for a, b in groups) == pytest.approx(RATES[severity - 1] * len(groups), abs=1)
    mixed = {tuple(a.index(word) for word in b) for a, b in groups if a != b}
    assert len(mixed) > 1 or window == 2 or severity == 1
    harsher = run("shuffle-words", TEXT, 5, window=window).split()
    assert all(b in (a, c) for a, b, c in zip(WORDS, y, harsher, strict=True))


def test_the_window_of_five_is_the_default_and_one_is_no_window():
    assert run("shuffle-words", TEXT) == run("shuffle-words", TEXT, window=5)
    assert all_struck("shuffle-words", "a\tb  a") != "a\tb  a"
    assert all_struck("shuffle-words", "a a") == "a a"
    with pytest.raises(UsageError, match="window"):
        find_corruption("shuffle-words", "text").with_options(window=1)


@severities
def test_inner_letters_are_mixed_at_the_rate_between_the_first_and_the_last(severity):
    text = "abcdefg, abc aBBc 123456 " * 200
    y = run("scramble-words", text, severity).split()
    pairs = list(zip(text.split(), y, strict=True))
    assert all(sorted(a) == sorted(b) for a, b in pairs)
    assert all((a.strip(",")[0], a.strip(",")[-1]) == (b.strip(",")[0], b.strip(",")[-1]) for a, b in pairs)
    changed = [(a, b) for a, b in pairs if a != b]
    assert {a for a, _ in changed} == {"abcdefg,", "123456"}
    assert len(changed) == pytest.approx(RATES[severity - 1] * 400, abs=1)
    assert len(set(changed)) > 0.5 * len(changed)
    harsher = run("scramble-words", text, 5).split()
    assert all(b in (a, c) for (a, b), c in zip(pairs, harsher, strict=True))


def test_no_character_is_taken_apart_when_letters_are_mixed():
    word = "नकिदीe\u0301रन"
    y = all_struck("scramble-words", word)
    assert y != word
    assert sorted(split_graphemes(y)) == sorted(split_graphemes(word))
    assert all_struck("scramble-words", "abcd") == "acbd"


@severities
def test_the_end_is_lost_by_the_fraction(severity):
    y = run("truncation", TEXT, severity)
    assert TEXT.startswith(y)
    assert 1 - len(y) / len(TEXT) == pytest.approx((0.1, 0.2, 0.3, 0.4, 0.5)[severity - 1], abs=1e-3)


def test_the_cut_goes_between_characters_and_never_takes_all():
    family = "👩‍👩‍👧"
    assert run("truncation", family * 3) == family
    assert run("truncation", "a") == "a"
    assert run("truncation", "ab") == "a"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        *(
            ("12", "twelve"),
            ("twelve", "12"),
            ("Twenty-one", "21"),
            ("0", "zero"),
            ("40", "forty"),
            ("110", "one hundred ten"),
        ),
        *(("1,005", "one thousand five"), ("2000000", "two million"), ("3.05", "three point zero five")),
        *(
            ("0.5", "zero point five"),
            ("007", "zero zero seven"),
            ("1" * 13, "one " * 12 + "one"),
            ("999999999999", spell_number(999_999_999_999)),
        ),
        *(("$5!", "$five!"), ("(9)", "(nine)"), ("12.", "twelve."), ("3, 4", "three, four"), ("one two", "1 2")),
        *((stays, stays) for stays in ("A4", "10:30", "2024-01-05", "1/2", "-5", "3rd", "v1.2.3", "1,23", "someone")),
        *((stays, stays) for stays in ("١٢", "我有12只貓", "one's", "twenty-fivefold", "five-a-side", "", "12_", "²")),
    ],
)
def test_numbers_and_their_words(before, after):
    assert all_struck("numbers-to-words", before) == after


def test_numerals_are_spelled_as_in_english():
    assert spell_number(19) == "nineteen"
    assert spell_number(90) == "ninety"
    assert spell_number(123_456) == "one hundred twenty-three thousand four hundred fifty-six"
    assert spell_number(10**9 + 10**6) == "one billion one million"
    assert len({spell_number(n) for n in range(3000)}) == 3000


@severities
def test_numbers_are_rewritten_at_the_rate(severity):
    text = "cats 12 dogs seven, " * 250
    before, after = text.split(), run("numbers-to-words", text, severity).split()
    changed = {(a, b) for a, b in zip(before, after, strict=True) if a != b}
    assert changed == {("12", "twelve"), ("seven,", "7,")}
    assert np.sum([a != b for a, b in zip(before, after, strict=True)]) == pytest.approx(100 * severity, abs=1)
    harsher = run("numbers-to-words", text, min(severity + 1, 5)).split()
    assert all(b in (a, c) for a, b, c in zip(before, after, harsher, strict=True))


@severities
def test_emoji_come_at_the_rate_and_stay(severity):
    text = "alpha, beta " * 500
    found = [run("emoji", text, severity) for severity in (severity, min(severity + 1, 5))]
    for y in found:
        assert set(y.split()) <= {"alpha,", "alpha", "beta", *EMOJI}
    count = Counter(found[0].split())
    assert sum(count[e] for e in EMOJI) == pytest.approx(RATES[severity - 1] * 1000, abs=1)
    mild, harsh = (Counter(y.split()) for y in found)
    assert all(mild[e] <= harsh[e] for e in EMOJI)


def test_an_emoji_takes_the_place_of_punctuation_or_of_every_second_bare_word():
    y = all_struck("emoji", "alpha?! beta " * 500)
    assert "?" not in y
    assert "!" not in y
    assert y.count("alpha ") == 500
    assert y.count("beta") == pytest.approx(250, abs=50)
    assert set(y.split()) == {"alpha", "beta", *EMOJI}
    assert set(all_struck("emoji", "。" * 100)) <= set("".join(EMOJI))
    assert all_struck("emoji", "我").lstrip("我") in EMOJI


@severities
def test_words_are_misheard_at_the_rate(severity):
    text = "There, Elephant 我 שלום a4 " * 300
    y = run("speech", text, severity)
    homophones = len(re.findall(r"\b(their|they're)\b", y))
    fillers = re.findall(rf"\b({'|'.join(FILLERS)}) elephant\b", y)
    assert homophones + len(fillers) == pytest.approx(RATES[severity - 1] * 600, abs=1)
    assert homophones + y.count("There,") == len(fillers) + y.count("Elephant") == 300
    assert min(homophones, len(fillers)) > 0
    assert re.sub(r"[A-Za-z',]+ ", "", y) == "我 שלום a4 " * 300
    known = [w.split() for w in (y, run("speech", text, 5))]
    assert Counter(known[0])["their"] <= Counter(known[1])["their"]


def test_what_is_misheard_sounds_alike_and_loses_capitals_and_punctuation():
    assert all_struck("speech", "«KNEW!» It’s").split() == ["new", "its"]
    assert set(all_struck("speech", "two " * 200).split()) == {"to", "too"}
    fillers = all_struck("speech", "Rhythm. " * 300)
    assert set(re.split(" rhythm ?", fillers)) == {*FILLERS, ""}
    for word, others in HOMOPHONES.items():
        assert word not in others
        assert all(word in HOMOPHONES[other] for other in others)
        assert re.fullmatch("[a-z']+", word)


@pytest.mark.parametrize("name", ["speech", "numbers-to-words"])
@pytest.mark.parametrize("text", ["我喜歡貓。", "שלום עולם", "हिन्दी भाषा", "🙂 👩‍👩‍👧", "über", " \n", "\ud800 x9"])
def test_what_is_english_only_leaves_other_scripts(name, text):
    assert all_struck(name, text) == text


def test_words_struck_differ_by_sample_and_rates_between_severities_are_between():
    assert run("drop-words", TEXT, seed=1) != run("drop-words", TEXT, seed=2)
    lost = [1000 - len(run("drop-words", TEXT, severity).split()) for severity in np.arange(1, 5.5, 0.5)]
    assert all(a < b for a, b in pairwise(lost))
