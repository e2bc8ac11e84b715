"""The page in a browser: nothing is asked for, everything is drawn, filters filter, and strangers' words stay words."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import open_browser, opened
from pages import CANARY, audit, examples
from playwright.sync_api import Browser, Page

from robustmm.report.page.page import render_audit_page


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ordinary report and a hostile one."""
    made = tmp_path_factory.mktemp("pages")
    (made / "plain.html").write_bytes(render_audit_page(audit(sweeps=14), examples()))
    names = (f"one {CANARY}", f"two {CANARY}")
    clean = audit(names, CANARY, notes=[CANARY], model=CANARY, manifest=CANARY, description=CANARY, bad_inputs=[CANARY])
    words = examples(CANARY).model_copy(update={"kinds": {names[0]: "image", names[1]: "audio"}})
    (made / "hostile.html").write_bytes(render_audit_page(clean, words))
    return made


@pytest.fixture(scope="module")
def plain(browser: Browser, folder: Path) -> Iterator[Page]:
    with opened(browser, folder / "plain.html") as page:
        yield page


def test_every_chart_is_drawn(plain: Page) -> None:
    for name, shape in (("curves", "path"), ("contributions", "path"), ("calibration", "path")):
        box = plain.locator(f"#{name} svg").bounding_box()
        assert box is not None
        assert box["width"] > 200
        assert box["height"] > 100
        assert plain.locator(f"#{name} svg {shape}").count() > 10


def test_filters_show_what_was_asked_for(plain: Page) -> None:
    count, drawn = plain.locator("#curves-count"), plain.locator("#curves")
    assert count.inner_text() == "12 shown"
    plain.select_option("#curves-show", "")
    plain.wait_for_function("document.getElementById('curves-count').textContent === '16 shown'")
    plain.select_option("#curves-on", label="sound")
    plain.wait_for_function("document.getElementById('curves-count').textContent === '8 shown'")
    plain.wait_for_function("document.getElementById('curves').dataset.drawn === '24'")
    assert "fog1 on sound" in drawn.inner_text()
    assert "rain on photo" not in drawn.inner_text()
    plain.select_option("#curves-noise", label="hiss")
    plain.wait_for_function("document.getElementById('curves').dataset.drawn === '3'")
    plain.select_option("#curves-show", "fate=fails")
    plain.wait_for_function("document.getElementById('curves-count').textContent === '0 shown'")
    for name in ("show", "on", "noise"):
        plain.select_option(f"#curves-{name}", index=0)
    plain.wait_for_function("document.getElementById('curves').dataset.drawn === '36'")


def test_pointing_at_a_level_tells_its_numbers(plain: Page) -> None:
    plain.locator("#curves .mark-symbol.role-mark path").nth(1).hover(force=True)
    plain.wait_for_selector("#vg-tooltip-element.visible")
    said = plain.locator("#vg-tooltip-element").inner_text()
    assert "corruption" in said
    assert "fog" in said
    assert "%" in said


def test_filters_are_reached_by_keyboard(plain: Page) -> None:
    plain.focus("#curves-show")
    plain.keyboard.press("Tab")
    assert plain.evaluate("document.activeElement.id") == "curves-on"
    outline = plain.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_readable_to_everyone(browser: Browser, folder: Path, scheme: str, width: int) -> None:
    """axe-core finds no serious fault (contrast is one), and a narrow page scrolls in one direction only."""
    with opened(browser, folder / "plain.html", color_scheme=scheme, viewport={"width": width, "height": 800}) as page:
        for box in page.locator("details").all():
            box.evaluate("box => { box.open = true }")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = Axe().run(page).response["violations"]
        said = [
            (v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found if v["impact"] in ("serious", "critical")
        ]
        assert said == []
        ink = page.locator("#curves .role-axis-label text").first.evaluate("e => getComputedStyle(e).fill")
        assert ink == ("rgb(166, 176, 187)" if scheme == "dark" else "rgb(84, 93, 104)")


def test_on_paper_a_dark_page_is_light(browser: Browser, folder: Path) -> None:
    with opened(browser, folder / "plain.html", color_scheme="dark") as page:
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.locator("#curves .role-axis-label text").first.evaluate("e => getComputedStyle(e).fill") == (
            "rgb(84, 93, 104)"
        )
        assert not page.locator("nav").is_visible()


def test_strangers_words_stay_words(browser: Browser, folder: Path) -> None:
    with opened(browser, folder / "hostile.html") as page:  # a dialog or a request is a fault
        assert page.locator("script").count() == 3
        assert page.locator("img:not([src^='data:image/'])").count() == 0
        assert "onerror=alert(2)" in page.locator("h1").inner_text()
        assert "<script>alert(1)" in page.locator("#curves").inner_text()
        page.select_option("#curves-on", index=1)
        page.wait_for_function("document.getElementById('curves-count').textContent !== '5 shown'")
        page.locator("#curves .mark-symbol.role-mark path").nth(1).hover(force=True)
        page.wait_for_selector("#vg-tooltip-element.visible")
        assert "<script>" in page.locator("#vg-tooltip-element").inner_text()
        assert page.evaluate("document.querySelectorAll('[onerror]').length") == 0
