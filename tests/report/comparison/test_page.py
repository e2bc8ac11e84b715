"""The page of a comparison: what it says, what it draws, and that strangers' words stay words."""

import json
import re
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from browser import open_browser, opened
from compared import BEFORE, after, compared, dress, flipped
from pages import CANARY, Reader

from robustmm.comparing.result import CompareResult
from robustmm.report.comparison import charts
from robustmm.report.comparison.page import render_comparison_page, write_comparison_page

LOST = [0, 50, *[0] * 30, 6, -40]
"""Of n1 many answers are lost, of n32 some, and n33 gains."""


def read(found: CompareResult) -> tuple[str, dict[str, Any]]:
    """The page's words, and its charts by the place where they are drawn."""
    text = render_comparison_page(found).decode()
    drawn = json.loads(re.search(r'<script type="application/json" id="charts">(.*?)</script>', text)[1])
    return " ".join(Reader(re.sub(r"<(script|style).*?</\1>", "", text, flags=re.DOTALL)).words.split()), drawn


def test_the_page_says_what_decides(tmp_path: Path) -> None:
    said, _ = read(dress(compared(tmp_path, after(*[0] * len(LOST)), after(*LOST))))
    places = [
        "m1.onnx against m0.onnx 400 samples of split test of data.csv, seed 0 A: m0.onnx (joint, suite s), the ",
        "FAIL B: m1.onnx is worse: it loses certainly more than 2 points under 1 of 34 conditions, which is n1 (-12.5 ",
        "better under 1 and worse under 1", "a note", "Dashed: the margin.",
        "clean 90.0 % [86.7, 92.6] 90.0 % [86.7, 92.6] +0.0 [-1.0, +1.0] 1.000 undecided not worse 0.0 % +0.000 [",
        "0.100 → 0.100 n1 90.0 % [86.7, 92.6] 77.5 % ", "n32 90.0 % ", "Shapley values of accuracy, points",
        "of which 1 break at the same", "blur a holds fails 1.00 0.20 none 0.40",
        "blank a holds holds 1.00 1.00 none none", "first at least 80 % PASS FAIL", "new at least 60 % – PASS",
        "same at least 70 % PASS PASS", "alone in the reference only",
        "34 p-values are adjusted together (Benjamini-Hochberg)",
    ]  # fmt: skip
    found = [said.find(words) for words in places]
    assert found == sorted(found), said
    assert min(found) >= 0, [words for words, at in zip(places, found, strict=True) if at < 0]


def test_charts_hold_the_numbers_of_the_result(tmp_path: Path) -> None:
    found = dress(compared(tmp_path, after(*[0] * len(LOST)), after(*LOST), margin=0.05))
    _, drawn = read(found)
    rows = drawn["b-differences"]["data"]["values"]
    by = {c.condition: c for c in found.candidates[0].conditions}
    assert [row["panel"] for row in rows[:2]] == ["clean", "n1"]
    assert {row["panel"] for row in rows} == by.keys()
    assert sum(row["first"] == "yes" for row in rows) == charts.FIRST
    for row in rows:
        c = by[row["panel"]]
        d = c.difference
        assert [row["value"], row["low"], row["high"]] == [100 * d.value, 100 * d.low, 100 * d.high]
        assert row["outcome"] == {"holds": "not worse", "fails": "worse", "undecided": "undecided"}[c.outcome]
    margins = [layer["data"]["values"][0]["at"] for layer in drawn["b-differences"]["layer"][:2]]
    assert margins == [0, -5]
    assert len(drawn["b-shares"]["data"]["values"]) == 2 * 2 * charts.COMPARED


def test_bars_stand_side_by_side(tmp_path: Path) -> None:
    _, drawn = read(dress(compared(tmp_path, after(0), after(0))))
    assert [(row["audit"], row["modality"], row["value"]) for row in drawn["b-shares"]["data"]["values"]] == [
        ("A", "a", 50), ("B", "a", 25), ("A", "b", 50), ("B", "b", 25)
    ]  # fmt: skip


def test_the_same_result_is_the_same_page(tmp_path: Path) -> None:
    found = compared(tmp_path, after(0, 0), after(0, 3))
    write_comparison_page(found, tmp_path / "a.html")
    assert (tmp_path / "a.html").read_bytes() == render_comparison_page(found)


def test_each_candidate_has_sections_of_its_own(tmp_path: Path) -> None:
    said, drawn = read(dress(compared(tmp_path, after(0, 0), after(0, 40), after(0, 0))))
    assert drawn.keys() == {"b-differences", "b-shares", "c-differences", "c-shares"}
    for words in ("m1.onnx and m2.onnx against m0.onnx", "FAIL B: m1.onnx is worse", "PASS C: m2.onnx is not worse"):
        assert words in said
    assert said.index("B: Gates") < said.index("C: Accuracy by condition") < said.index("C: Gates")


def test_contributions_that_nobody_knows_have_no_section(tmp_path: Path) -> None:
    found = compared(tmp_path, after(0, 0), after(0, 0))  # their values are NaN
    bare = [c.model_copy(update={"contributions": []}) for c in found.candidates[0].conditions]
    other = found.candidates[0].model_copy(update={"conditions": bare})
    for each in (found, found.model_copy(update={"candidates": [other]})):
        said, drawn = read(each)
        assert drawn.keys() == {"b-differences"}
        assert "Contributions" not in said


def test_in_a_browser(tmp_path: Path) -> None:
    """Nothing is asked for, everything is drawn, filters filter, axe-core finds no serious fault."""
    names = {"clean": BEFORE, f"x {CANARY}": BEFORE} | {f"n{k}": BEFORE for k in range(30)}
    lost = names | {f"x {CANARY}": flipped(BEFORE, 50), "n3": flipped(BEFORE, 0, 40)}
    told = {"manifest": CANARY, "suite": CANARY, "method": CANARY}
    write_comparison_page(dress(compared(tmp_path, names, lost, **told), CANARY), tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 2_000_000
    with open_browser() as browser:
        for width, scheme in ((1280, "light"), (390, "dark")):
            how = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
            with opened(browser, tmp_path / "page.html", **how) as page:
                count = page.locator("#b-differences-count")
                for name in ("b-differences", "b-shares"):
                    box = page.locator(f"#{name} svg").bounding_box()
                    assert box is not None
                    assert box["width"] > 200
                    assert box["height"] > 200
                tall = page.locator("#b-differences svg").bounding_box()
                assert count.inner_text() == f"{charts.FIRST} shown"
                assert "<script>alert(1)" in page.locator("#b-differences").inner_text()
                page.select_option("#b-differences-show", "outcome=worse")
                page.wait_for_function("document.getElementById('b-differences').dataset.drawn === '1'")
                low = page.locator("#b-differences svg").bounding_box()
                assert tall is not None
                assert low is not None
                assert low["height"] < tall["height"] / 3
                page.select_option("#b-differences-show", "")
                page.wait_for_function("document.getElementById('b-differences').dataset.drawn === '32'")
                page.select_option("#b-differences-effect", "effect=better")
                page.wait_for_function("document.getElementById('b-differences').dataset.drawn === '1'")
                page.locator("#b-differences .mark-symbol.role-mark path").first.hover(force=True)
                page.wait_for_selector("#vg-tooltip-element.visible")
                assert "n3" in page.locator("#vg-tooltip-element").inner_text()
                for opener in page.locator("summary").all():
                    opener.click()
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                assert page.evaluate("document.querySelectorAll('[onerror]').length") == 0
                found = Axe().run(page).response["violations"]
                assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
