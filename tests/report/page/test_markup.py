"""HTML that words cannot break, and JSON that a script element can hold."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pages import Reader

from robustmm.report.page.markup import Markup, embed_json, escape, join, tag
from robustmm.report.page.tables import badge, build_table, draw_bar


def test_an_element_has_attributes_and_content() -> None:
    made = tag("a", "x & y", None, [tag("b", "<"), "z"], href="#q", class_="k", aria_label='"', hidden=True, lang=None)
    assert made == '<a href="#q" class="k" aria-label="&quot;" hidden>x &amp; y<b>&lt;</b>z</a>'
    assert tag("img", alt="") == '<img alt="">'
    assert join(["<", Markup("<br>")]) == "&lt;<br>"


@given(st.text())
def test_words_stay_words_in_text_and_in_attributes(words: str) -> None:
    found = Reader(tag("p", words, title=words).encode().decode())
    assert [name for name, _ in found.tags] == ["p"]
    assert list(found.tags[0][1]) == ["title"]


def test_what_no_page_can_hold_is_shown_as_a_code() -> None:
    assert escape("\ud800") in ("\\ud800", "\ufffd", "�")
    assert "\x1b" not in escape("\x1b[31m")


@given(st.recursive(st.text() | st.none() | st.integers(), lambda inner: st.dictionaries(st.text(), inner)))
def test_json_comes_back_and_ends_no_script(value: object) -> None:
    text = embed_json(value)
    assert json.loads(text) == value
    assert text.isascii()
    assert not set(text) & set("<>&")


def test_json_has_no_number_that_is_none() -> None:
    with pytest.raises(ValueError, match="JSON"):
        embed_json({"a": float("nan")})


def test_a_table_has_a_caption_and_scopes() -> None:
    found = Reader(build_table("A <caption>", ["name", "n"], [["<b>", "1"], ["b", badge("FAIL")]]))
    assert [a for name, a in found.tags if name == "th"] == [
        {"scope": "col", "class": "text"}, {"scope": "col", "class": "number"},
        {"scope": "row", "class": "text"}, {"scope": "row", "class": "text"},
    ]  # fmt: skip
    assert found.tags[0][1]["aria-label"] == "A <caption>"
    assert found.tags[0][1]["tabindex"] == "0", "what scrolls is reached by keyboard"
    assert ("span", {"class": "badge fail"}) in found.tags
    with pytest.raises(ValueError, match="zip"):
        build_table("", ["one"], [["a", "b"]])


@pytest.mark.parametrize(("value", "part"), [(0.5, "50.0"), (2, "100.0"), (-1, "0.0"), (float("nan"), "0.0")])
def test_a_bar_stays_in_its_box(value: float, part: str) -> None:
    assert f"--part:{part}%" in draw_bar(value)
