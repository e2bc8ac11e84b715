"""The curves in a browser: nothing is asked for, all charts are drawn, and strangers' words stay words."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import open_browser, opened
from curves import columns, write_bench, write_run
from pages import CANARY

from robustmm.api.reporting import write_report


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of a run and of a bench, in the words of one who means harm."""
    made, names = tmp_path_factory.mktemp("curves"), (CANARY, "<img src=x>")
    run = write_run(made / "run-001", columns(names=names, terms=(CANARY, "b")), kept=None, name=CANARY)
    return [write_report(run.folder), write_report(write_bench(made / "bench", ["joint", CANARY], names=names))]


def test_curves_are_drawn_for_everyone(pages: list[Path]) -> None:
    with open_browser() as browser:
        for path, width, places in zip(pages, (390, 1280), (("losses", "rate"), ("accuracy", "alone")), strict=True):
            with opened(browser, path, viewport={"width": width, "height": 900}) as page:
                for name in (*places, "contributions"):
                    box = page.locator(f"#{name}-chart svg").bounding_box()
                    assert box is not None
                    assert box["width"] > 200
                    assert page.locator(f"#{name}-chart svg path").count() > 8
                assert "<img src=x>" in page.locator("#contributions-chart").inner_text()
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                for opener in page.locator("summary").all():
                    opener.click()
                found = Axe().run(page).response["violations"]
                assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
                page.locator("#contributions-chart .mark-symbol.role-mark path").last.hover(force=True)
                page.wait_for_selector("#vg-tooltip-element.visible")
                assert "epoch" in page.locator("#vg-tooltip-element").inner_text()
