"""The bar of long work: on a screen, and nothing where there is none."""

import io
import logging
import warnings

import pytest
from rich.console import Console
from rich.panel import Panel
from rich.table import Column, Table
from rich.text import Text

from robustmm.errors import is_harmless
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


def test_no_control_character_passes_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    door = console.Door(file=told, force_terminal=False, width=80)
    table = Table(Column("a\x9bb", min_width=20), Column("c", min_width=20), title="t\x1b]0;x\x07")
    table.add_row("one\u202etwo", Text("\x00three\nfour\x7f"))
    door.print("plain\x1b[2J", table, Panel("\u2066in a frame"), markup=False)
    assert {c for c in told.getvalue() if c != "\n" and not is_harmless(c)} == set()
    for word in ("plain", "one", "two", "three", "four", "in a frame"):
        assert word in told.getvalue(), "what is harmless stays"


def test_the_door_draws_colours() -> None:
    told = io.StringIO()
    console.Door(file=told, force_terminal=True, color_system="standard").print("[red]x[/red]")
    assert "\x1b[31mx\x1b[0m" in told.getvalue()


def test_a_warning_of_ours_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    monkeypatch.setattr(console, "notes", Console(file=told, color_system=None))
    logger = logging.getLogger("robustmm.auditing.store")
    with console.show_warnings():
        logger.warning("audit: %s is made again", "a\x1b]0;b")
        logger.info("not this")
    logger.warning("nor this")
    assert told.getvalue() == "audit: a\ufffd]0;b is made again\n", "escapes are inert"


def test_what_a_library_warns_of_is_a_note_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    monkeypatch.setattr(console, "notes", Console(file=told, color_system=None))
    with console.show_warnings():
        warnings.simplefilter("always")
        for _ in range(2):
            warnings.warn("it is \x1b[2J slow", stacklevel=1)
    assert told.getvalue() == "it is \ufffd[2J slow\n"
