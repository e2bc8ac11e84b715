"""The bar of long work: on a screen, and nothing where there is none."""

import io
import logging

import pytest
from rich.console import Console

from robustmm.report.live import console


@pytest.mark.parametrize("terminal", [True, False])
def test_a_stage_draws_on_a_screen_only(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    told = io.StringIO()
    notes = Console(file=told, force_terminal=terminal, width=80, color_system=None)
    monkeypatch.setattr(console, "notes", notes)
    with console.ConsoleReporter().stage("reading", 3) as advance:
        advance(2)
        assert ("reading" in told.getvalue()) == terminal
    assert terminal or told.getvalue() == ""


@pytest.mark.filterwarnings("ignore:install .ipywidgets.")
def test_a_notebook_is_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    notes = Console(file=io.StringIO(), force_terminal=False)
    notes.is_jupyter = True
    monkeypatch.setattr(console, "notes", notes)
    with console.ConsoleReporter().stage("reading", 3) as advance:
        advance(1)
        assert notes._live_stack, "it draws"


def test_a_warning_of_ours_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    monkeypatch.setattr(console, "notes", Console(file=told, color_system=None))
    logger = logging.getLogger("robustmm.auditing.store")
    with console.show_warnings():
        logger.warning("audit: %s is made again", "a\x1b]0;b")
        logger.info("not this")
    logger.warning("nor this")
    assert told.getvalue() == "audit: a\ufffd]0;b is made again\n", "escapes are inert"
