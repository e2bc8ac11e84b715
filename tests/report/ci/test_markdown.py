"""Markdown of an audit: read back by a parser, a stranger's words are words."""

import re

import pytest
from gated import HOSTILE, audit, gate
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from robustmm.errors import printable
from robustmm.report.ci.markdown import LONGEST, LONGEST_WORDS, escape, render_markdown, render_partial_markdown

SOME = (gate("PASS", "p"), gate("FAIL", "f"), gate("INCONCLUSIVE", "i"))


def tokens(text: str) -> list[Token]:
    """All tokens, those inside of lines too."""
    found = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    return [each for token in found for each in (token, *(token.children or []))]


def texts(text: str) -> str:
    return "\n".join(token.content for token in tokens(text) if token.type == "text")


def test_the_page() -> None:
    text = render_markdown(audit(40, gates=SOME, model="m.onnx", suite="quick"))
    lines = text.splitlines()
    assert lines[0] == "## ❌ FAIL: 1 of 3 gates fails, 1 is inconclusive"
    assert lines[2].startswith("Model m.onnx (n), suite quick, split n, seed 0")
    rows = [line for line in lines if "≥ 90 %" in line]
    assert [row.split(" | ")[:2] for row in rows] == [["| ❌", "f"], ["| ⚠️", "i"], ["| ✅", "p"]]
    assert "- **FAIL** f: accuracy at least 90 % under rain; so it is" in lines
    assert not any(line.startswith("- **PASS**") for line in lines)
    assert "### Failure thresholds" in lines
    assert "### Contributions" in lines
    assert "<summary>All 40 conditions</summary>" in lines
    assert text.count("<details>") == text.count("</details>") == 3


def test_what_is_not_there_takes_no_room() -> None:
    text = render_markdown(audit(0))
    assert text.startswith("## No gates: ")
    assert "thresholds" not in text
    assert "conditions</summary>" not in text
    assert "**FAIL**" not in text


def test_every_table_is_a_table() -> None:
    found = tokens(render_markdown(audit(30, 10, HOSTILE, SOME)))
    assert sum(token.type == "table_open" for token in found) == 6
    kinds = [token.type for token in found]
    tables = "".join({"tr_open": "(", "tr_close": ")", "td_open": "d", "th_open": "h"}.get(kind, "") for kind in kinds)
    for row in re.findall(r"\(([dh]*)\)", tables):
        assert len(row) in (2, 4, 5, 6)


@pytest.mark.parametrize("name", [HOSTILE, "a|b", "`", "<b>", "a\nb", "@octocat", "#1", "www.x.y", "http://x.y", ":x:"])
def test_a_strangers_words_are_text(name: str) -> None:
    some = tuple(gate(v, name, requirement=name, reason=name, condition=name) for v in ("PASS", "FAIL"))  # type: ignore[arg-type]
    text = render_markdown(audit(6, 2, name, some, notes=[name]))
    allowed = {"<details>", "</details>", "<!-- -->"}
    for token in tokens(text):
        assert token.type not in ("link_open", "image", "code_inline", "fence", "code_block", "em_open", "s_open")
        if token.type in ("html_inline", "html_block"):
            rest = re.sub(r"<summary>[\w ,]*</summary>", "", token.content)
            assert set(rest.split("\n")) <= {*allowed, ""} or rest in allowed
    assert not re.search(r"[@#](?!\d+;)\w", text.replace("### ", ""))
    assert not re.search(r"&#(64|35);(?!<!-- -->)", text), "a forge looks for mentions in what is drawn"
    assert "http://" not in text
    assert "www." not in text
    assert "\x1b" not in text


@given(st.text(max_size=300))
def test_words_are_read_back_as_they_are(words: str) -> None:
    """By a parser of GitHub's Markdown, in a cell of a table."""
    shown = printable(words)
    shown = f"{shown[:LONGEST_WORDS]}…" if len(shown) > LONGEST_WORDS else shown
    read = tokens(f"| a |\n| --- |\n| x{escape(words)}x |\n")
    assert not {"link_open", "image", "code_inline", "em_open", "strong_open", "s_open"} & {t.type for t in read}
    cells = [t for t in read if t.type == "inline"]
    assert len(cells) == 2
    said = "".join(t.content for t in cells[1].children or [] if t.type != "html_inline")
    assert said == f"x{shown}x"
    assert {t.content for t in cells[1].children or [] if t.type == "html_inline"} <= {"<!-- -->"}


def test_it_fits_a_comment() -> None:
    long = render_markdown(audit(200, 10, "|" * 400))
    assert len(long) <= LONGEST + 200
    assert long.startswith("## No gates")
    assert "What would make this page too long stands in results.json." in long
    usual = render_markdown(audit(200, 10, "name"))
    assert len(usual) < LONGEST
    assert "too long" not in usual
    assert "and 20 more: 4 undecided, 16 hold" in usual


def test_an_interrupted_audit_says_so() -> None:
    assert render_partial_markdown("PARTIAL: `x`\n") == "## ⚠️ PARTIAL: &#96;x&#96;�\n"
