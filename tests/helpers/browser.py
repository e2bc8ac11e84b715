"""A page in headless Chromium: what it asks for, what it says, and what it looks like to its readers."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A browser; where there is none the test is skipped, but fails on a machine of continuous integration."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        said = "the report is tested in Chromium, and there is none: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(said)
        pytest.skip(said)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, path: Path, **how: Any) -> Iterator[Page]:
    """A page whose charts are drawn. It fails for an error or a warning on the console and for any request."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **how})
    page, faults = context.new_page(), list[str]()
    page.on("console", lambda m: faults.append(f"{m.type}: {m.text}") if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: faults.append(dialog.message) or dialog.dismiss())
    asked = path.absolute().as_uri()
    page.on("request", lambda r: faults.append(r.url) if r.url != asked and not r.url.startswith("data:") else None)
    page.goto(asked)
    page.wait_for_function("document.documentElement.dataset.ready === 'true'", timeout=20_000)
    yield page
    context.close()
    assert faults == []
